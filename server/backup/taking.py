"""Taking a backup: every table of O as it stands at one moment, while O runs.

By COPY, and not by pg_dump: that is not in O's image and refuses newer servers, and what it writes
for one release of PostgreSQL an older one may not read. Here the schema is made by O's own
migrations, so a backup goes from any server (16 to 18) into any other, managed ones too.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from typing import LiteralString

import psycopg
from psycopg import sql

from migrations.schema import is_newer, newest_revision
from o.errors import Conflict
from o.storage.tables.all import metadata
from server.backup.file import Header, Table, Totals, Writer

Tell = Callable[[int], None]
"""Is told how many bytes of rows were read or written just now."""

_TRIES = 3
_SEALED = re.compile(rb"o1:([0-9a-f]{16}):")
# What a server sets against those who take long, and what makes values look otherwise.
_SESSION: tuple[LiteralString, ...] = (
    "SET statement_timeout = 0",
    "SET lock_timeout = 0",
    "SET idle_in_transaction_session_timeout = 0",
    "SET row_security = off",
    "SET datestyle = 'ISO, YMD'",
    "SET intervalstyle = 'postgres'",
    "SET timezone = 'UTC'",
    "SET extra_float_digits = 3",
    "SET bytea_output = 'hex'",
    "SET client_encoding = 'UTF8'",
)
_LATER_SESSION = "SET transaction_timeout = 0"
_LATER_POSTGRES = 170_000
_TABLES = """
    SELECT relname, pg_total_relation_size(oid) FROM pg_class
    WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' AND relname = ANY(%s)
    ORDER BY relname
"""
_COLUMNS = """
    SELECT attname FROM pg_attribute
    WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
    ORDER BY attnum
"""
_SEQUENCES = """
    SELECT DISTINCT sequence.relname FROM pg_class AS sequence
    JOIN pg_depend ON objid = sequence.oid JOIN pg_class AS owner ON owner.oid = refobjid
    WHERE sequence.relkind = 'S' AND sequence.relnamespace = current_schema()::regnamespace
        AND owner.relname = ANY(%s)
"""


def prepare_session(connection: psycopg.Connection) -> None:
    """Have values read and written in one form, and nothing end for taking long."""
    for setting in _SESSION:
        connection.execute(setting)
    if connection.info.server_version >= _LATER_POSTGRES:
        connection.execute(_LATER_SESSION)


def known_tables() -> list[str]:
    """The tables of this release. No release has dropped one, so older schemas have no others."""
    return sorted(metadata.tables)


class Snapshot:
    """O's tables as they stand at one moment; nobody waits for whoever reads them.

    What changes the schema does wait, until the transaction ends.
    """

    def __init__(self, connection: psycopg.Connection) -> None:
        """Begin a transaction on a connection that commits by itself.

        Raises:
            Conflict: There is no schema of O, or one of a later release.
        """
        self._connection = connection
        prepare_session(connection)
        for _ in range(_TRIES):
            if self._begin():
                return
            connection.execute("ROLLBACK")
        raise Conflict("the schema is being changed: take the backup when `o migrate` is done")

    def _begin(self) -> bool:
        """Hold the tables, then see them: they must be those that were there before."""
        tables = self._list()
        self._connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        if tables:
            named = sql.SQL(", ").join(sql.Identifier(name) for name in tables)
            self._connection.execute(sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(named))
        self.revision = self._find_revision()
        self.tables = self._list()
        return self.tables.keys() == tables.keys()

    @property
    def header(self) -> Header:
        """What is known at the beginning."""
        return Header(
            release=version("o-server"),
            revision=self.revision,
            created_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            postgres=self._connection.info.parameter_status("server_version") or "",
        )

    def write(self, writer: Writer, tell: Tell) -> Totals:
        """Write all rows of all tables, and what they come to."""
        rows: dict[str, int] = {}
        sealed: set[str] = set()
        for name in self.tables:
            rows[name] = self._write_table(name, writer, tell, sealed)
        totals = Totals(rows, self._sequences(), sorted(sealed))
        writer.finish(totals)
        return totals

    def _write_table(self, name: str, writer: Writer, tell: Tell, sealed: set[str]) -> int:
        found = self._connection.execute(_COLUMNS, (f'"{name}"',)).fetchall()
        columns = [str(column) for (column,) in found]
        writer.begin(Table(name, columns))
        statement = sql.SQL("COPY {} ({}) TO STDOUT").format(
            sql.Identifier(name), sql.SQL(", ").join(map(sql.Identifier, columns))
        )
        with self._connection.cursor() as cursor:
            with cursor.copy(statement) as copy:
                for row in copy:
                    writer.add(row)
                    sealed.update(key.decode() for key in _SEALED.findall(row))
                    tell(len(row))
                    del row  # a large one goes before the next one comes
            return cursor.rowcount

    def _list(self) -> dict[str, int]:
        """The tables, and how much room each takes, in bytes."""
        return dict(self._connection.execute(_TABLES, (known_tables(),)).fetchall())

    def _find_revision(self) -> str:
        there = self._connection.execute("SELECT to_regclass('alembic_version')").fetchone()
        if there is None or there[0] is None:
            raise Conflict("there is nothing to back up: the database has no schema of O")
        (revision,) = self._connection.execute("SELECT max(version_num) FROM alembic_version")
        if is_newer(revision[0]):
            raise Conflict(
                f"the schema is that of a later release ({revision[0]}; this one knows "
                f"{newest_revision()}): have that release take the backup"
            )
        return str(revision[0])

    def _sequences(self) -> dict[str, tuple[int, bool]]:
        """They are read as they stand now, behind the snapshot: no value is given out twice."""
        found = {}
        for (name,) in self._connection.execute(_SEQUENCES, (list(self.tables),)).fetchall():
            ask = sql.SQL("SELECT last_value, is_called FROM {}").format(sql.Identifier(name))
            if (state := self._connection.execute(ask).fetchone()) is not None:
                found[str(name)] = (int(state[0]), bool(state[1]))
        return found
