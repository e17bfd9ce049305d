"""Restoring a backup: all of it in one transaction, or nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import psycopg
from psycopg import sql
from sqlalchemy import Connection

from migrations.schema import is_known, is_newer, newest_revision
from migrations.upgrade import upgrade_to
from o.errors import Conflict, InvalidInput
from server.backup.file import Header, Reader, Table
from server.backup.taking import Tell, known_tables, prepare_session

_THERE = """
    SELECT relname FROM pg_class
    WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p', 'v', 'm')
        AND relname = ANY(%s)
"""
_FOREIGN_KEYS = """
    SELECT relname, conname, pg_get_constraintdef(pg_constraint.oid) FROM pg_constraint
    JOIN pg_class ON pg_class.oid = conrelid
    WHERE contype = 'f' AND relnamespace = current_schema()::regnamespace AND relname = ANY(%s)
    ORDER BY relname, conname
"""
_INDEXES = """
    SELECT index.relname, pg_get_indexdef(index.oid) FROM pg_index
    JOIN pg_class AS index ON index.oid = indexrelid JOIN pg_class AS owner ON owner.oid = indrelid
    WHERE owner.relnamespace = current_schema()::regnamespace AND owner.relname = ANY(%s)
        AND NOT indisunique
    ORDER BY index.relname
"""
_OTHERS = """
    SELECT DISTINCT application_name FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
        AND backend_type = 'client backend' AND application_name ~ '^o[ -]'
        AND application_name <> 'o probe' -- ours, of a moment ago
    ORDER BY 1 LIMIT 5
"""
_RESTORED = "SELECT obj_description('alembic_version'::regclass, 'pg_class')"
_WHOLE = (
    "the database has this backup already, whole: `o migrate`, or `o up`, brings its schema up to "
    "date, and `o reset-temporal` ends what Temporal has open"
)
# What O writes by itself, before anybody has asked it for anything.
_ITS_OWN = {
    "alembic_version": "false",
    "organizations": "id <> 'org-00000000-0000-4000-8000-000000000000'",
    "users": "id <> 'user-00000000-0000-4000-8000-000000000000'",
    "message_embedding": "false",
    "model_lessons": "false",
    "provider_rests": "false",
    "worker_requests": "false",
    "sandbox_states": "false",
}


def refuse_later(reader: Reader, name: str) -> None:
    """Make sure that this release knows the schema of a backup.

    Raises:
        InvalidInput: A later release made it, or none.
    """
    header = reader.header
    if is_newer(header.revision):
        raise InvalidInput(
            f"{name} was made by a later release ({header.release}, schema {header.revision}; this "
            f"one knows {newest_revision()}): restore it with that one"
        )
    if not is_known(header.revision):
        raise InvalidInput(f"{name} is damaged: there is no schema {header.revision[:40]!r}")


def driver_of(connection: Connection) -> psycopg.Connection:
    """What is under SQLAlchemy's connection, for COPY."""
    return cast("psycopg.Connection", connection.connection.driver_connection)


def load(reader: Reader, connection: Connection, tell: Tell) -> None:
    """Make the schema of the backup, and put every row into it.

    Nothing of it is there unless the transaction of `connection` is committed afterwards.

    Raises:
        Conflict: The database is not empty, or somebody works on it.
        InvalidInput: The backup is damaged, or not what it says.
    """
    driver = driver_of(connection)
    prepare_session(driver)
    place = _Place(driver)
    place.check_empty(reader.header)
    upgrade_to(connection, reader.header.revision)
    with place.bare():
        rows = place.fill(reader, tell)
    if rows != reader.totals.rows:
        raise InvalidInput("the backup is damaged: it has not as many rows as it says")
    place.set_sequences(reader.totals.sequences)
    place.note(reader.header)


def _note(header: Header) -> str:
    """What a database says of the backup that was restored into it."""
    return f"o restore: the backup of {header.created_at}, release {header.release}"


class _Place:
    """The database that a backup is restored into."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection

    def check_empty(self, header: Header) -> None:
        """Make sure that nothing can be lost here, and that nobody is at work."""
        others = [name for (name,) in self._connection.execute(_OTHERS)]
        if others:
            raise Conflict(
                f"O runs on this database ({', '.join(others)}): stop all of its processes first"
            )
        there = self._names(_THERE, [*known_tables(), "alembic_version"])
        if not there:
            return
        if "alembic_version" not in there:
            raise Conflict(
                f"the database has a table {there[0]} that is not of O: restore into an empty one"
            )
        filled = next((name for name in there if self._has_rows(name)), None)
        if filled and self._connection.execute(_RESTORED).fetchone() == (_note(header),):
            raise Conflict(_WHOLE)
        (found,) = self._connection.execute("SELECT max(version_num) FROM alembic_version")
        if found[0] != header.revision:
            raise Conflict(
                f"the database has the schema {found[0]} already, and the backup has "
                f"{header.revision}: restore into a database without tables, which is brought up "
                "to date afterwards"
            )
        if filled:
            raise Conflict(
                f"the database is not empty (there are {filled}): restore into an empty one"
            )

    def note(self, header: Header) -> None:
        """Keep which backup this is: who was killed behind the commit does not know of it."""
        said = sql.SQL("COMMENT ON TABLE alembic_version IS {}").format(_note(header))
        self._connection.execute(said)

    @contextmanager
    def bare(self) -> Iterator[None]:
        """Without what looks at each row: triggers, foreign keys, and indexes that only help.

        The rows have been through all of it. Foreign keys are compared once, at the end.
        """
        tables = self._names(_THERE, known_tables())
        keys = self._connection.execute(_FOREIGN_KEYS, (tables,)).fetchall()
        indexes = self._connection.execute(_INDEXES, (tables,)).fetchall()
        for table, name, _ in keys:
            self._do("ALTER TABLE {} DROP CONSTRAINT {}", table, name)
        for name, _ in indexes:
            self._do("DROP INDEX {}", name)
        for table in tables:
            self._do("ALTER TABLE {} DISABLE TRIGGER USER", table)
        named = sql.SQL(", ").join(map(sql.Identifier, tables))
        self._connection.execute(sql.SQL("TRUNCATE {}").format(named))
        yield
        for _, definition in indexes:
            self._connection.execute(definition)
        for table, name, definition in keys:
            added = sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} ").format(
                sql.Identifier(table), sql.Identifier(name)
            )
            self._connection.execute(added + sql.SQL(definition))
        for table in tables:
            self._do("ALTER TABLE {} ENABLE TRIGGER USER", table)

    def fill(self, reader: Reader, tell: Tell) -> dict[str, int]:
        """Every row of every table; answers how many came into each."""
        rows: dict[str, int] = {}
        parts = reader.parts()
        part = next(parts, None)
        while isinstance(part, Table):
            table = part
            if table.name not in known_tables():  # the server's own, or another program's
                raise InvalidInput(f"the backup is damaged: {table.name[:40]!r} is no table of O")
            with self._connection.cursor() as cursor:
                with cursor.copy(_copy_into(table)) as copy:
                    while isinstance(part := next(parts, None), bytes):
                        copy.write(part)
                        tell(len(part))
                rows[table.name] = cursor.rowcount
        return rows

    def set_sequences(self, sequences: dict[str, tuple[int, bool]]) -> None:
        """Have each go on behind the last value that it gave."""
        for name, (value, is_called) in sequences.items():
            self._connection.execute(
                "SELECT setval(quote_ident(%s)::regclass, %s, %s)", (name, value, is_called)
            )

    def _has_rows(self, table: str) -> bool:
        asked = sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE {})").format(
            sql.Identifier(table), sql.SQL(_ITS_OWN.get(table, "true"))
        )
        row = self._connection.execute(asked).fetchone()
        return bool(row and row[0])

    def _names(self, statement: str, tables: list[str]) -> list[str]:
        return [str(name) for (name,) in self._connection.execute(statement.encode(), (tables,))]

    def _do(self, statement: str, *names: str) -> None:
        form = sql.SQL(statement)
        self._connection.execute(form.format(*map(sql.Identifier, names)))


def _copy_into(table: Table) -> sql.Composed:
    return sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table.name), sql.SQL(", ").join(map(sql.Identifier, table.columns))
    )
