"""The connection to PostgreSQL: one pooled engine a process, its failures told apart."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from functools import cache
from typing import TypeVar

from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

_log = logging.getLogger(__name__)
_Result = TypeVar("_Result")

NOTIFY_CHANNEL = "o_run_events"


def sqlalchemy_url(database_url: str) -> str:
    """`database_url` with the driver that O uses, whichever PostgreSQL spelling it has."""
    url = make_url(database_url)
    return url.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


def libpq_url(database_url: str) -> str:
    """`database_url` as libpq, and so psycopg by itself, reads it."""
    url = make_url(database_url)
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


def create_engine(database_url: str, *, pool_size: int = 5, name: str = "o") -> AsyncEngine:
    """A pooled engine; statements that repeat are prepared by the driver.

    Args:
        database_url: Any PostgreSQL URL.
        pool_size: Connections kept, and the most that are opened.
        name: `application_name`, by which PostgreSQL shows who asks.
    """
    return create_async_engine(
        sqlalchemy_url(database_url),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=30,
        hide_parameters=True,  # errors go into logs and histories, which hold no content
        pool_use_lifo=True,  # the same few connections stay warm, with their prepared statements
        connect_args={"application_name": name, "connect_timeout": 5, "prepare_threshold": 2},
    )


@cache  # making one costs as much as a short statement
def autocommit(engine: AsyncEngine) -> AsyncEngine:
    """The same pool for single statements: each commits by itself, without a BEGIN around it."""
    return engine.execution_options(isolation_level="AUTOCOMMIT")


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
