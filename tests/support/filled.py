"""Rows for every table of a schema, whichever its revision: made up from what the catalog says."""

import json
from typing import Any

import psycopg
from psycopg import sql

ROWS = 3
HOSTILE = "a\ttab, a\nline, \\N, \\. and \\x00 as text, “quotes”, a 🦜 and a trailing \\"

_COLUMNS = """
    SELECT attname, format_type(atttypid, NULL), pg_get_expr(adbin, adrelid)
    FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
    ORDER BY attnum
"""
_TABLES = """
    SELECT relname FROM pg_class WHERE relkind = 'r' AND relname <> 'alembic_version'
        AND relnamespace = current_schema()::regnamespace ORDER BY 1
"""
_KEYS = """
    SELECT attname, confrelid::regclass::text,
        (SELECT attname FROM pg_attribute WHERE attrelid = confrelid AND attnum = confkey[place])
    FROM pg_constraint, generate_subscripts(conkey, 1) AS place
    JOIN pg_attribute ON true
    WHERE contype = 'f' AND conrelid = %s::regclass
        AND attrelid = conrelid AND attnum = conkey[place]
"""
_UNIQUE = """
    SELECT DISTINCT attname FROM pg_index
    JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY(indkey)
    WHERE indrelid = %s::regclass AND indisunique
"""
_ONLY_ONE = {"message_embedding"}
_EMPTY: dict[str, set[str]] = {"tool_variables": {"sandbox_config_id"}}
"""One of two columns is null there."""


def fill(connection: psycopg.Connection, *, only: set[str] | None = None) -> dict[str, int]:
    """Put some rows into every table, as a superuser and past all triggers.

    Args:
        connection: One that commits by itself.
        only: These tables alone.

    Returns:
        How many rows each table has now.
    """
    connection.execute("SET session_replication_role = replica")
    tables = [str(name) for (name,) in connection.execute(_TABLES)]
    for table in tables:
        if only is None or table in only:
            _fill(connection, table)
    connection.execute("RESET session_replication_role")
    return {table: count(connection, table) for table in tables}


def count(connection: psycopg.Connection, table: str) -> int:
    """How many rows a table has."""
    ask = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))
    row = connection.execute(ask).fetchone()
    assert row is not None
    return int(row[0])


def _fill(connection: psycopg.Connection, table: str) -> None:
    columns = connection.execute(_COLUMNS, (table,)).fetchall()
    keys = {name: (other, its) for name, other, its in connection.execute(_KEYS, (table,))}
    unique = {name for (name,) in connection.execute(_UNIQUE, (table,))}
    insert = sql.SQL("INSERT INTO {} ({}) VALUES ({}) ON CONFLICT DO NOTHING").format(
        sql.Identifier(table),
        sql.SQL(", ").join(sql.Identifier(name) for name, _, _ in columns),
        sql.SQL(", ").join(sql.SQL("%s::{}").format(sql.SQL(kind)) for _, kind, _ in columns),
    )
    for number in range(1 if table in _ONLY_ONE else ROWS):
        values: list[Any] = []
        for name, kind, default in columns:
            if name in _EMPTY.get(table, ()):
                values.append(None)
            elif name in keys:
                values.append(_value(*keys[name], kind, default, number, is_plain=True))
            else:
                values.append(_value(table, name, kind, default, number, is_plain=name in unique))
        connection.execute(insert, values)


def _value(
    table: str, column: str, kind: str, default: str | None, number: int, *, is_plain: bool
) -> Any:
    """The same for a column and for those that refer to it; plain where it must be told apart."""
    if kind in {"json", "jsonb"}:
        return (default or "'{}'").split("'")[1] or json.dumps(HOSTILE)
    if kind == "boolean":
        return True
    if kind.startswith("timestamp"):
        return f"2026-0{number + 1}-01T12:00:00.123456Z"
    made = {
        "date": f"2026-0{number + 1}-01",
        "bytea": b"\x00\xff\\" + bytes([number]),
        "vector": f"[0.1,-2.5e-07,{number}]",
        "tsvector": "'word':1A 'other ''word''':2",
        "text[]": [f"{table}-{number}", HOSTILE],
        "text": f"{table}-{column}-{number}" + ("" if is_plain else HOSTILE),
    }
    return made.get(kind, number + 1)
