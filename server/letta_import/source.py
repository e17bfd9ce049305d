"""A database of the Letta V1 server, read and never written, as it was at one moment."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import psycopg
from psycopg.abc import Buffer
from psycopg.rows import dict_row
from psycopg.types.datetime import TimestampLoader, TimestamptzLoader
from psycopg.types.json import set_json_loads

from o.domain.text import storable_json
from o.errors import Conflict, Unavailable
from o.letta.release import REVISION
from o.storage.availability import reason_of

_READ_AT_ONCE = 500
_TABLES = """
    SELECT relname, attname FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
    JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE relkind IN ('r', 'p') AND attnum > 0 AND NOT attisdropped
      AND nspname = current_schema()
"""

Row = dict[str, Any]
"""A row of V1, by the names of its columns."""


class UnreadableJson:
    """Stands for a JSON value that is nested deeper than anybody reads. No kind takes it."""


class _Time(TimestampLoader):
    """A time; one that Python has no word for (infinity, before the year 1) is the nearest."""

    def load(self, data: Buffer) -> datetime:
        """The time, without a zone."""
        try:
            return super().load(data)
        except psycopg.DataError:
            return _nearest(data).replace(tzinfo=None)


class _ZonedTime(TimestamptzLoader):
    """The same with a zone."""

    def load(self, data: Buffer) -> datetime:
        """The time, in the zone of the connection."""
        try:
            return super().load(data)
        except psycopg.DataError:
            return _nearest(data)


def _nearest(data: Buffer) -> datetime:
    """As far as there is room left to reckon with it."""
    told = bytes(data)
    is_before = told.startswith(b"-") or told.endswith(b"BC")
    return datetime(2, 1, 1, tzinfo=UTC) if is_before else datetime(9999, 1, 1, tzinfo=UTC)


class Source:
    """One transaction of a V1 database: read only, and the same rows however long it takes.

    Attributes:
        tables: The columns of each table that it has.
    """

    def __init__(self, connection: psycopg.Connection[Row]) -> None:
        self._connection = connection
        self.tables: dict[str, set[str]] = {}
        for row in connection.execute(_TABLES):
            self.tables.setdefault(row["relname"], set()).add(row["attname"])
        self._names = 0

    def rows(
        self, statement: str, parameters: Mapping[str, Any] | None = None, *, size: int = 0
    ) -> Iterator[Row]:
        """The rows of a statement, read in pieces, so that it does not matter how many there are.

        Args:
            statement: SQL with parameters like `%(name)s`.
            parameters: By name.
            size: How many are read at once; 0 for the usual number.
        """
        self._names += 1
        with self._connection.cursor(name=f"o_{self._names}") as cursor:
            cursor.itersize = size or _READ_AT_ONCE
            cursor.execute(statement, parameters)
            yield from cursor

    def batches(
        self, statement: str, parameters: Mapping[str, Any] | None = None, *, size: int = 200
    ) -> Iterator[list[Row]]:
        """The same in lists, for whoever asks for what belongs to several rows at once."""
        rows = self.rows(statement, parameters, size=size)
        while batch := list(islice(rows, size)):
            yield batch

    def all(self, statement: str, parameters: Mapping[str, Any] | None = None) -> list[Row]:
        """The same for rows that are few."""
        return self._connection.execute(statement, parameters).fetchall()

    def count(self, table: str) -> int:
        """How many rows a table has, flagged ones too; 0 where there is no such table."""
        if table not in self.tables:
            return 0
        (found,) = self.all(f'SELECT count(*) AS n FROM "{table}"')
        return int(found["n"])

    def missing(self, needed: Mapping[str, Sequence[str]]) -> list[str]:
        """Which of these columns it lacks, as `table.column`."""
        return [
            f"{table}.{column}"
            for table, columns in needed.items()
            for column in columns
            if column not in self.tables.get(table, ())
        ]


@contextmanager
def open_source(url: str) -> Iterator[Source]:
    """A V1 database at this moment. A role that may read its tables is enough.

    Raises:
        Unavailable: It cannot be reached.
        Conflict: It is none, or of a revision that this release does not know.
    """
    try:
        connection = psycopg.connect(url, row_factory=dict_row, application_name="o import letta")
    except (psycopg.OperationalError, psycopg.ProgrammingError) as error:
        reason = reason_of(error) if isinstance(error, psycopg.OperationalError) else "no valid URL"
        raise Unavailable(f"the V1 database cannot be reached: {reason}") from None
    with connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        connection.prepare_threshold = None  # behind a pooler another's statements may be there
        set_json_loads(_read_json, connection)
        connection.adapters.register_loader("timestamp", _Time)
        connection.adapters.register_loader("timestamptz", _ZonedTime)
        connection.execute("SET statement_timeout = 0")  # a server may have short ones
        connection.execute("SET idle_in_transaction_session_timeout = 0")
        source = Source(connection)
        _check_revision(source)
        yield source


def _check_revision(source: Source) -> None:
    if "version_num" not in source.tables.get("alembic_version", ()):
        raise Conflict(
            "that is no database of a Letta V1 server: it has no table alembic_version. Is the URL "
            "that of its database (LETTA_PG_URI), and its schema the role's search path?"
        )
    found = [row["version_num"] for row in source.all("SELECT version_num FROM alembic_version")]
    if found == [REVISION]:
        return
    if not {"agents", "messages", "organizations"} <= source.tables.keys():
        raise Conflict(f"that is no database of a Letta V1 server (revision {found})")
    raise Conflict(
        f"the V1 database is at revision {', '.join(found) or 'none'}, and what is known here is "
        f"{REVISION}, of release 0.16.8. If it is of an older release, bring a copy of it up to "
        "date with V1's own migrations first: in the source of Letta 0.16.8, "
        "`LETTA_PG_URI=… alembic upgrade head`. Nothing was read or changed"
    )


def _read_json(stored: str | bytes) -> Any:
    try:
        return storable_json(json.loads(stored))
    except (ValueError, RecursionError):
        return UnreadableJson()
