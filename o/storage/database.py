"""The connection to PostgreSQL: one pool a process, its failures told apart."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeVar

import psycopg
from psycopg.types.json import set_json_loads
from sqlalchemy import event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from o.storage.rows import read_json

_log = logging.getLogger(__name__)
set_json_loads(read_json)  # several times as fast as the standard library's
_Result = TypeVar("_Result")

NOTIFY_CHANNEL = "o_run_events"
_CONNECT_TIMEOUT_S = 5


def sqlalchemy_url(database_url: str) -> str:
    """`database_url` with the driver that O uses, whichever PostgreSQL spelling it has."""
    url = make_url(database_url)
    return url.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


def libpq_url(database_url: str) -> str:
    """`database_url` as libpq, and so psycopg by itself, reads it."""
    url = make_url(database_url)
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


class Database:
    """The connections of one process to PostgreSQL; statements that repeat are prepared."""

    def __init__(self, database_url: str, *, pool_size: int = 5, name: str = "o") -> None:
        """Nothing is connected yet.

        Args:
            database_url: Any PostgreSQL URL.
            pool_size: Connections kept, and the most that are opened.
            name: `application_name`, by which PostgreSQL shows who asks.
        """
        self._url, self._name = libpq_url(database_url), name
        self.engine = create_async_engine(
            sqlalchemy_url(database_url),
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=30,
            isolation_level="AUTOCOMMIT",
            skip_autocommit_rollback=True,
            hide_parameters=True,  # errors go into logs and histories, which hold no content
            pool_use_lifo=True,  # the same few stay warm, with their prepared statements
            connect_args={
                "application_name": name,
                "connect_timeout": _CONNECT_TIMEOUT_S,
                "prepare_threshold": 2,
            },
        )
        event.listen(self.engine.sync_engine, "connect", _prefer_ordered_reads)
        self._transactional = self.engine.execution_options(isolation_level="READ COMMITTED")

    def connect(self) -> AsyncConnection:
        """A connection, for `async with`, on which each statement commits by itself."""
        return self.engine.connect()

    def begin(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A connection in a transaction, which commits at the end of `async with`."""
        return self._transactional.begin()

    @asynccontextmanager
    async def try_lock(self, key: int) -> AsyncIterator[bool]:
        """Tell whether the lock by that number is ours, to the end of `async with`.

        It has a connection of its own beside the pool, with no transaction open: what it guards may
        need all the connections of the pool, and may take long.
        """
        async with await psycopg.AsyncConnection.connect(
            self._url,
            autocommit=True,
            application_name=f"{self._name} lock",
            connect_timeout=_CONNECT_TIMEOUT_S,
        ) as connection:
            took = await connection.execute("SELECT pg_try_advisory_lock(%s)", (key,))
            row = await took.fetchone()
            yield bool(row and row[0])

    async def close(self) -> None:
        """Let go of all connections."""
        await self.engine.dispose()


def _prefer_ordered_reads(connection: Any, record: object) -> None:
    """Read pages through the index that has their order.

    Of a conversation PostgreSQL expects the average length. It would gather and sort what it finds,
    and so read the whole of one that is long.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET enable_bitmapscan = off")


def is_unreachable(error: BaseException) -> bool:
    """Whether the database was away, so that the same call may work when it is back."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    return isinstance(error, OperationalError | InterfaceError | PoolTimeout)


async def with_patience(call: Callable[[], Awaitable[_Result]], *, patience_s: float) -> _Result:
    """Repeat `call` while the database is away, for `patience_s` seconds at most.

    For calls that bear repeating only. The last error is raised when patience runs out.
    """
    deadline = time.monotonic() + patience_s
    while True:
        try:
            return await call()
        except (DBAPIError, PoolTimeout) as error:
            if not is_unreachable(error) or time.monotonic() > deadline:
                raise
            _log.warning("database is away", extra={"error": type(error).__name__})
            await asyncio.sleep(0.1)
