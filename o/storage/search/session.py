"""What a search asks with: how its statements are planned, and how long each may take."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Protocol

from sqlalchemy import ClauseElement, TextClause, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from o.errors import Unavailable
from o.storage.database import Database

TOO_LONG = (
    "The search took too long and was given up: ask with fewer or rarer words, or narrow it by "
    "agent, archive, tags or dates."
)
_CANCELED = "57014"
# Connections read pages in the order of an index, and so use no bitmaps (`o.storage.database`),
# by which alone an index of words can be read.
_SETTINGS = (("enable_bitmapscan", "on"), ("jit", "off"))
_NOTHING: Mapping[str, str] = MappingProxyType({})


class Ask(Protocol):
    """Sends a statement of a search."""

    async def __call__(
        self,
        statement: ClauseElement,
        values: Mapping[str, Any],
        settings: Mapping[str, str] | None = _NOTHING,
    ) -> Sequence[Any]:
        """Its rows, whose columns are attributes.

        Args:
            statement: What is asked.
            values: Its parameters.
            settings: How it is planned and carried out, beside what holds for all searches; None
                for a statement that goes by keys alone, to which nothing of it matters but the
                time that it may take.
        """
        ...


def asking(database: Database, *, timeout_s: float) -> Ask:
    """Ask each statement by itself, so that no connection is held between two of them.

    Args:
        database: Where passages are.
        timeout_s: How long each may take; where one takes longer, `Unavailable` is raised.
    """

    async def ask(
        statement: ClauseElement,
        values: Mapping[str, Any],
        settings: Mapping[str, str] | None = _NOTHING,
    ) -> Sequence[Any]:
        with _given_up():
            async with database.quick() as quick:
                set_up = (
                    _timed(timeout_s)
                    if settings is None
                    else _set_up(timeout_s, tuple(settings.items()))
                )
                return (await quick.execute_after(set_up, statement, values)).all()

    return ask


@lru_cache(maxsize=256)
def statement_of(sql: str) -> TextClause:
    """A statement that was put together: the same one for the same text, which is spelled once."""
    return text(sql)


@asynccontextmanager
async def searching(database: Database, *, timeout_s: float) -> AsyncIterator[AsyncConnection]:
    """A connection to search with. What it is set to ends with its transaction.

    Args:
        database: Where passages and messages are.
        timeout_s: How long each of the search's statements may take.

    Raises:
        Unavailable: One took longer.
    """
    with _given_up():
        async with database.begin() as connection:
            await connection.execute(_set_up(timeout_s))
            yield connection


@contextmanager
def _given_up() -> Iterator[None]:
    """Say so where a statement was cancelled."""
    try:
        yield
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) == _CANCELED:
            raise Unavailable(TOO_LONG) from None
        raise


def _set_up(timeout_s: float, more: tuple[tuple[str, str], ...] = ()) -> TextClause:
    return _set((*_SETTINGS, _time_of(timeout_s), *more))


def _timed(timeout_s: float) -> TextClause:
    return _set((_time_of(timeout_s),))


def _time_of(timeout_s: float) -> tuple[str, str]:
    return "statement_timeout", str(max(1, int(timeout_s * 1_000)))


@lru_cache(maxsize=256)
def _set(settings: tuple[tuple[str, str], ...]) -> TextClause:
    """They hold until the transaction ends. No client has a say in what they are."""
    each = (f"set_config('{name}', '{value}', true)" for name, value in settings)
    return text(f"SELECT {', '.join(each)}")
