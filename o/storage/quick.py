"""Statements that are text, sent past SQLAlchemy: those that turns and frequent reads wait for.

SQLAlchemy spends more on such a statement than PostgreSQL and the driver together, and has nothing
to add: no expression to compile, no type to convert. It still keeps the pool.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import psycopg
from psycopg.rows import namedtuple_row
from sqlalchemy import ClauseElement
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.exc import DBAPIError

_DIALECT = PGDialect_psycopg()  # type: ignore[no-untyped-call]


class QuickRows:
    """What a statement returned."""

    def __init__(self, rows: Sequence[Any]) -> None:
        self._rows = rows

    def one_or_none(self) -> Any:
        """The row, whose columns are attributes, or None; statements sent here return no more."""
        return self._rows[0] if self._rows else None

    def all(self) -> Sequence[Any]:
        """The rows, whose columns are attributes."""
        return self._rows


class QuickConnection:
    """A connection of the pool on which each statement commits by itself."""

    def __init__(self, driver: psycopg.AsyncConnection[Any]) -> None:
        self._driver = driver

    async def execute(self, statement: ClauseElement, values: Mapping[str, Any]) -> QuickRows:
        """Send a statement with its parameters, which returns at most a few rows.

        Raises:
            psycopg.Error: It failed; `Database.quick` puts it into SQLAlchemy's words.
        """
        cursor = self._driver.cursor(row_factory=namedtuple_row)
        await cursor.execute(_spelled(statement), values)
        return QuickRows(await cursor.fetchall())

    async def execute_after(
        self,
        first: ClauseElement,
        statement: ClauseElement,
        values: Mapping[str, Any],
    ) -> QuickRows:
        """Send two statements at once, which are one transaction; returns what the second one does.

        Raises:
            psycopg.Error: One of them failed.
        """
        async with self._driver.pipeline():
            await self._driver.execute(_spelled(first))
            cursor = self._driver.cursor(row_factory=namedtuple_row)
            await cursor.execute(_spelled(statement), values)
        return QuickRows(await cursor.fetchall())


def as_sqlalchemy_error(error: psycopg.Error, *, is_lost: bool) -> Exception:
    """The error as every caller of the storage knows it, without what the statement held."""
    return DBAPIError.instance(
        None,
        None,
        error,
        psycopg.Error,
        hide_parameters=True,
        connection_invalidated=is_lost,
        dialect=_DIALECT,
    )


@lru_cache(maxsize=512)  # a handful of statements, each made once; and those of searches
def _spelled(statement: ClauseElement) -> bytes:
    return str(statement.compile(dialect=_DIALECT)).encode()
