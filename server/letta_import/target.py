"""O's database, as what is moved in writes it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import psycopg
from psycopg.rows import dict_row

from o.errors import Conflict
from o.storage.tables.all import metadata

_LOCK = 0x6F5F696D  # "o_im": held by whoever moves things in
_SOURCE = "letta"
_AT_ONCE = 1000

_MARKS = """
    SELECT id, source_hash, moved_hash, notes FROM moved_rows
    WHERE kind = %(kind)s AND id = ANY(%(ids)s)
"""
_STORE_MARKS = """
    INSERT INTO moved_rows (kind, source, organization_id, id, source_hash, moved_hash, notes)
    SELECT %(kind)s, %(source)s, organization_id, id, source_hash, moved_hash, notes
    FROM json_populate_recordset(NULL::moved_rows, %(marks)s)
    ON CONFLICT (kind, id) DO UPDATE SET source_hash = excluded.source_hash,
        moved_hash = excluded.moved_hash, notes = excluded.notes, moved_at = now()
"""


@dataclass(frozen=True)
class Mark:
    """What is known of an item that was moved.

    Attributes:
        source_hash: The digest of how it stood in V1.
        moved_hash: The digest of how it stood here right after.
        notes: What was left out of it, and told.
    """

    id: str
    organization_id: str
    source_hash: str
    moved_hash: str
    notes: Mapping[str, Any]


class Target:
    """A connection to O's database, in which each transaction is one batch."""

    def __init__(self, connection: psycopg.Connection[dict[str, Any]]) -> None:
        self._connection = connection

    @contextmanager
    def batch(self, *, is_dry: bool = False) -> Iterator[None]:
        """A transaction; a dry one is taken back at its end, and may not write."""
        with self._connection.transaction(force_rollback=is_dry):
            if is_dry:
                self._connection.execute("SET TRANSACTION READ ONLY")
            yield

    def query(self, statement: str, parameters: Mapping[str, Any] | None = None) -> list[Any]:
        """Rows as dicts; none for a statement that has no answer."""
        cursor = self._connection.execute(statement, parameters)
        return cursor.fetchall() if cursor.description else []

    def count(self, statement: str, parameters: Mapping[str, Any] | None = None) -> int:
        """The one number that a statement answers with."""
        (row,) = self.query(statement, parameters)
        return int(next(iter(row.values())) or 0)

    def upsert(
        self,
        table: str,
        rows: Sequence[Mapping[str, Any]],
        *,
        update: Sequence[str] | None = None,
        where: str = "true",
    ) -> None:
        """Insert rows; one that is there becomes as the new one is.

        All have the same columns. Values are as JSON has them: times are ISO texts.

        Args:
            table: One of O's.
            rows: Column to value.
            update: Which columns of a row that is there are changed; None for all that are given.
            where: A condition on the new rows, as `new`; those that it does not hold for are left.
        """
        for start in range(0, len(rows), _AT_ONCE):
            piece = rows[start : start + _AT_ONCE]
            changed = tuple(update) if update is not None else None
            statement = _upsert(table, tuple(piece[0]), changed, where)
            self._connection.execute(statement, {"rows": json.dumps(piece, default=_plain)})

    def write(self, statement: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Carry out a statement whose parameter `rows` are these, as JSON; nothing for none."""
        if rows:
            self._connection.execute(statement, {"rows": json.dumps(rows, default=_plain)})

    def lock(self, table: str, ids: Sequence[str]) -> None:
        """Let nobody else change these rows until the transaction ends."""
        self.query(
            f'SELECT id FROM "{table}" WHERE id = ANY(%(ids)s) ORDER BY id FOR NO KEY UPDATE',
            {"ids": list(ids)},
        )

    def existing(self, table: str, ids: Sequence[str]) -> set[str]:
        """Which of these ids a table has."""
        found = self.query(
            f'SELECT id FROM "{table}" WHERE id = ANY(%(ids)s)',
            {"ids": list(ids)},
        )
        return {row["id"] for row in found}

    def marks(self, kind: str, ids: Sequence[str]) -> dict[str, Mark]:
        """What is known of these items, of those that were moved."""
        found = self.query(_MARKS, {"kind": kind, "ids": list(ids)})
        return {row["id"]: Mark(organization_id="", **row) for row in found}

    def store_marks(self, kind: str, marks: Sequence[Mark]) -> None:
        """Keep what is known of items now."""
        rows = [mark.__dict__ for mark in marks]
        self.query(_STORE_MARKS, {"kind": kind, "source": _SOURCE, "marks": json.dumps(rows)})

    def moved_ids(self, kind: str) -> Iterator[list[str]]:
        """The ids of all items of a kind that were ever moved, in pieces."""
        last = ""
        while found := self.query(
            "SELECT id FROM moved_rows WHERE kind = %(kind)s AND id > %(last)s "
            "ORDER BY id LIMIT 1000",
            {"kind": kind, "last": last},
        ):
            yield [row["id"] for row in found]
            last = found[-1]["id"]


@contextmanager
def open_target(url: str, *, is_dry: bool) -> Iterator[Target]:
    """O's database. Only one process moves things in at a time.

    Raises:
        Conflict: Another one does so now.
    """
    with psycopg.connect(
        url, row_factory=dict_row, autocommit=True, application_name="o import letta"
    ) as connection:
        connection.execute("SET statement_timeout = 0")
        if not is_dry:
            (row,) = connection.execute("SELECT pg_try_advisory_lock(%s) AS got", (_LOCK,))
            if not row["got"]:
                raise Conflict("another import is under way: wait for its end, or stop it")
        yield Target(connection)


def digest(table: str, columns: Sequence[str], *more: str) -> str:
    """In SQL, a digest of these columns of a row, and of expressions beside them."""
    parts = [f"{table}.{column}" for column in columns] + list(more)
    return f"md5(jsonb_build_array({', '.join(parts)})::text)"


@cache
def _upsert(
    table: str, columns: tuple[str, ...], update: tuple[str, ...] | None, where: str
) -> str:
    keys = [column.name for column in metadata.tables[table].primary_key]
    if update is None:
        update = tuple(name for name in columns if name not in keys)
    named = ", ".join(f'"{name}"' for name in columns)
    changes = ", ".join(f'"{name}" = excluded."{name}"' for name in update)
    return (
        f'INSERT INTO "{table}" ({named}) SELECT {named} '
        f'FROM json_populate_recordset(NULL::"{table}", %(rows)s) AS new WHERE {where} '
        f"ON CONFLICT ({', '.join(keys)}) DO " + (f"UPDATE SET {changes}" if changes else "NOTHING")
    )


def _plain(value: Any) -> Any:
    return value.isoformat()
