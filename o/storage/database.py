"""The connection to PostgreSQL: one pool a process, its failures told apart."""

import asyncio
import logging
import math
import re
import select
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar, cast
from weakref import WeakKeyDictionary

from psycopg import AsyncConnection as PlainConnection
from psycopg import Error, ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from psycopg.types.json import set_json_loads
from sqlalchemy import event, text
from sqlalchemy.engine import URL, ExceptionContext, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    DisconnectionError,
    InterfaceError,
    OperationalError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, ManagesConnection, QueuePool
from sqlalchemy.util import greenlet_spawn

from o.disk import is_full
from o.errors import InvalidInput, OError, Unavailable
from o.storage.quick import QuickConnection, as_sqlalchemy_error
from o.storage.rows import read_json
from o.storage.shared_reads import SharedReads

_log = logging.getLogger(__name__)

KEPT_S = 120.0
"""How long a worker keeps what is nowhere else (a reply that was paid for, a tool's return) for a
database that is away."""

set_json_loads(read_json)  # several times as fast as the standard library's
_Result = TypeVar("_Result")

DATABASE_IS_AWAY = "The database is away; try again."
DISK_IS_FULL = "The disk of the database is full: make room there, then try again."
POOL_IS_BUSY = (
    "All connections of this process to the database are in use (O_DATABASE_POOL); try again."
)
NO_CONNECTION_LEFT = "The database has no connection left (its max_connections); try again."
_DISK_FULL = "53100"
NO_ROOM = ("No space left on device", "could not write init file")
"""What a PostgreSQL says that has to write a file before it takes a connection; 16 the second."""
_NO_CONNECTION_LEFT = re.compile("too many (?:clients|connections)|connection slots are reserved")
_LIMITS = "54"  # the class of what is beyond a limit of PostgreSQL, such as a key of an index
_FULL_S = 10.0
NOTIFY_CHANNEL = "o_run_events"
_CONNECT_TIMEOUT_S = 5
_HUNG_UP: int = getattr(select, "POLLRDHUP", 0)  # elsewhere than on Linux it is told unasked


_OF_ASYNCPG = ("ssl", "prepared_statement_cache_size", "statement_cache_size")

_FOLLOW: WeakKeyDictionary[AsyncConnection, list[Callable[[], None]]] = WeakKeyDictionary()
"""What follows the commits of transactions that are under way."""


def sqlalchemy_url(database_url: str) -> str:
    """`database_url` with the driver that O uses, whichever PostgreSQL spelling it has.

    Raises:
        InvalidInput: It is no PostgreSQL URL.
    """
    url = _parsed(database_url)
    return url.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


def libpq_url(database_url: str) -> str:
    """`database_url` as libpq, and so psycopg by itself, reads it.

    Raises:
        InvalidInput: It is no PostgreSQL URL.
    """
    return _for_libpq(_parsed(database_url))


def _for_libpq(url: URL) -> str:
    written = url.set(drivername="postgresql").render_as_string(hide_password=False)
    address, mark, query = written.partition("?")
    return address + mark + query.replace("+", "%20")  # in which libpq sees no space


def _parsed(database_url: str) -> URL:
    try:
        url = _without_asyncpg(make_url(database_url))
        if url.drivername.partition("+")[0] in {"postgres", "postgresql"}:
            conninfo_to_dict(_for_libpq(url))
            _check_password(url)
            return url
    except (ArgumentError, ValueError, ProgrammingError):
        pass  # what they say repeats parts of the URL, which may be its password
    raise InvalidInput(
        "DATABASE_URL is not the address of a PostgreSQL database: "
        "write postgresql://user:password@host:port/database"
    )


def _without_asyncpg(url: URL) -> URL:
    """The URL as other drivers read it: asyncpg has a word of its own for `sslmode`."""
    ssl = url.query.get("ssl")
    if isinstance(ssl, str):
        mode = {"true": "require", "false": "disable"}.get(ssl.lower(), ssl)
        url = url.update_query_dict({"sslmode": url.query.get("sslmode", mode)})
    return url.difference_update_query(_OF_ASYNCPG)


def _check_password(url: URL) -> None:
    """See that no part of a password was taken for the host or the database."""
    if any("@" in (part or "") for part in (url.host, url.database)):
        raise InvalidInput(
            "the password in DATABASE_URL cannot be told from what follows it: "
            "write @ in it as %40, / as %2F, # as %23, ? as %3F and % as %25"
        )


async def connect_alone(url: str, name: str) -> PlainConnection:
    """A connection that no pool has, with psycopg by itself; each statement commits.

    Args:
        url: As libpq reads it.
        name: `application_name`, by which PostgreSQL shows who asks.
    """
    return await PlainConnection.connect(
        url, autocommit=True, application_name=name, connect_timeout=_CONNECT_TIMEOUT_S
    )


class Database:
    """The connections of one process to PostgreSQL; statements that repeat are prepared."""

    def __init__(
        self, database_url: str, *, pool_size: int = 5, name: str = "o", place: Path | None = None
    ) -> None:
        """Nothing is connected yet.

        Args:
            database_url: Any PostgreSQL URL.
            pool_size: Connections kept, and the most that are opened.
            name: `application_name`, by which PostgreSQL shows who asks.
            place: Where PostgreSQL keeps its files, None when they are not on this machine.

        Raises:
            InvalidInput: It is no PostgreSQL URL.
        """
        self.url = libpq_url(database_url)
        self._name = name
        self._place = place
        self._full_until = 0.0
        self._looked_at_s = -math.inf
        self._was_full = False
        self._generation = 0
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
        event.listen(self.engine.sync_engine, "connect", self._note_generation)
        event.listen(self.engine.sync_engine, "checkout", _drop_lost)
        event.listen(self.engine.sync_engine, "checkin", self._drop_outdated)
        event.listen(self.engine.sync_engine, "handle_error", self._note_full_disk)
        self._transactional = self.engine.execution_options(isolation_level="READ COMMITTED")
        self.shared_reads = SharedReads(self.quick)

    def connect(self) -> AsyncConnection:
        """A connection, for `async with`, on which each statement commits by itself."""
        return self.engine.connect()

    @asynccontextmanager
    async def quick(self) -> AsyncIterator[QuickConnection]:
        """The same for statements that are text, at less than half of the CPU.

        Raises:
            SQLAlchemyError: What `connect` raises where there is no connection, or a statement
                fails.
        """
        try:
            entry = await greenlet_spawn(self.engine.sync_engine.pool.connect)
        except Error as error:  # nobody is there to take a new connection
            raise as_sqlalchemy_error(error, is_lost=True) from error
        driver: PlainConnection[Any] = cast("PlainConnection[Any]", entry.driver_connection)
        is_well = False
        try:
            yield QuickConnection(driver)
            is_well = True
        except OError:  # it is about what came back
            is_well = True
            raise
        except Error as error:
            if is_disk_full(error):
                self._full_until = time.monotonic() + _FULL_S
            if driver.closed:  # and so are the others, most likely
                await self.drop_connections()
            raise as_sqlalchemy_error(error, is_lost=driver.closed) from error
        finally:
            # A statement may be under way, whose answer nobody may take for theirs. The driver
            # closes in a greenlet only: out of one, the pool complains and leaves it open.
            if not is_well or self._is_outdated(entry):
                await greenlet_spawn(entry.invalidate)
            entry.close()

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """A connection in a transaction, which commits at the end of `async with`."""
        async with self._transactional.begin() as connection:
            follow = _FOLLOW[connection] = []
            yield connection
        for call in follow:
            call()

    def pool_standing(self) -> tuple[int, int, int]:
        """Connections of the pool that are in use, that are idle, and the most that it has."""
        pool = cast("QueuePool", self.engine.sync_engine.pool)
        return pool.checkedout(), pool.checkedin(), pool.size()

    async def connect_alone(self, purpose: str) -> PlainConnection:
        """A connection beside the pool, for what keeps one for long; each statement commits.

        Args:
            purpose: Shown by PostgreSQL behind the name of the process.
        """
        return await connect_alone(self.url, f"{self._name} {purpose}")

    def check_room(self, *, known_for_s: float = 0.0) -> None:
        """Refuse now what would wait for room on the disk.

        Args:
            known_for_s: How old a look at the disk may be, for callers who are many.

        Raises:
            Unavailable: The disk is full, or was so for a statement some seconds ago.
        """
        now = time.monotonic()
        if self._place and now - self._looked_at_s >= known_for_s:
            self._looked_at_s = now
            self._was_full = is_full(self._place)
        if now < self._full_until or self._was_full:
            raise Unavailable(DISK_IS_FULL, retry_after_s=int(_FULL_S))

    async def check_answering(self) -> None:
        """Make sure that the database answers.

        Raises:
            SQLAlchemyError: It is away.
        """
        async with self.connect() as connection:
            await connection.execute(text("SELECT 1"))

    async def drop_connections(self) -> None:
        """Close those that are idle now, and the others when their work is done.

        A server that shuts down in its smart way waits for every client to leave, and takes no new
        ones meanwhile.
        """
        self._generation += 1
        await self.engine.dispose()

    async def close(self) -> None:
        """Let go of all connections."""
        await self.engine.dispose()

    def _note_full_disk(self, context: ExceptionContext) -> None:
        if is_disk_full(context.original_exception):
            self._full_until = time.monotonic() + _FULL_S

    def _note_generation(self, _: object, entry: ConnectionPoolEntry) -> None:
        entry.info["generation"] = self._generation

    def _drop_outdated(self, connection: object, entry: ConnectionPoolEntry) -> None:
        if connection is not None and self._is_outdated(entry):
            entry.invalidate()

    def _is_outdated(self, entry: ManagesConnection) -> bool:
        return entry.info.get("generation") != self._generation


def _prefer_ordered_reads(connection: Any, record: object) -> None:
    """Read pages through the index that has their order.

    Of a conversation PostgreSQL expects the average length. It would gather and sort what it finds,
    and so read the whole of one that is long.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET enable_bitmapscan = off")


def _drop_lost(_: object, entry: ConnectionPoolEntry, __: object) -> None:
    """Have the pool connect anew where the server closed a connection while nobody used it.

    The end has come already, and is seen without a statement.
    """
    driver = cast("PlainConnection[Any]", entry.driver_connection)
    is_lost = driver.closed
    if not is_lost:
        look = select.poll()
        look.register(driver.fileno(), _HUNG_UP)
        is_lost = bool(look.poll(0))
    if is_lost:
        raise DisconnectionError("the connection was closed while it was idle")


def after_commit(connection: AsyncConnection, call: Callable[[], None]) -> None:
    """Call when what was written is there for good, and never where it is not.

    Args:
        connection: In a transaction of `Database.begin`; on another one each statement commits by
            itself, and the call is made at once.
        call: Must not raise.
    """
    follow = _FOLLOW.get(connection)
    if follow is None:
        call()
    else:
        follow.append(call)


def is_disk_full(error: BaseException | None) -> bool:
    """Whether PostgreSQL had no room for what it was to write."""
    return getattr(error, "sqlstate", None) == _DISK_FULL


def why_away(error: BaseException) -> str:
    """What to tell of an error that `is_unreachable`: another try may help, or an operator."""
    if isinstance(error, PoolTimeout):
        return POOL_IS_BUSY
    # A server that takes no connection has no code for it that reaches us, only its words.
    told = str(error.orig) if isinstance(error, DBAPIError) else ""
    if any(words in told for words in NO_ROOM):
        return DISK_IS_FULL
    return NO_CONNECTION_LEFT if _NO_CONNECTION_LEFT.search(told) else DATABASE_IS_AWAY


def is_unfit(error: BaseException) -> bool:
    """Whether a value is none that PostgreSQL takes, or too large, however often it is asked."""
    if isinstance(error, DataError):
        return True
    told = getattr(error.orig, "sqlstate", None) if isinstance(error, DBAPIError) else None
    return (told or "").startswith(_LIMITS)


def is_unreachable(error: BaseException) -> bool:
    """Whether the database was away, so that the same call may work when it is back."""
    if isinstance(error, DBAPIError) and (is_disk_full(error.orig) or is_unfit(error)):
        return False
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    return isinstance(error, OperationalError | InterfaceError | PoolTimeout)


async def with_patience(call: Callable[[], Awaitable[_Result]], *, patience_s: float) -> _Result:
    """Repeat `call` while the database is away, for `patience_s` seconds at most.

    For calls that bear repeating only. The last error is raised when patience runs out.
    """
    deadline = time.monotonic() + patience_s
    is_told = False
    while True:
        try:
            return await call()
        except (DBAPIError, PoolTimeout) as error:
            if not is_unreachable(error) or time.monotonic() > deadline:
                raise
            if not is_told:  # once, however long it is away
                _log.warning("database is away", extra={"error": type(error).__name__})
                is_told = True
            await asyncio.sleep(0.1)
