"""The schema: brought up to date by one process at a time, and checked before serving."""

import asyncio
import re
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection

from o.errors import Conflict, Unavailable
from o.storage.availability import reach
from o.storage.database import Database, is_unreachable
from o.storage.tables import metadata

_LOCK = 0x6F5F6D69  # "o_mi": held by whoever migrates
_NUMBERED = re.compile(r"\d{4}$")
_COLUMNS = text(
    "SELECT relname, attname FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid "
    "WHERE relnamespace = current_schema()::regnamespace AND attnum > 0 AND NOT attisdropped"
)
_OTHER_HISTORY = (
    "It was made by a release that never was, or by another program: "
    "restore it from a backup, or set DATABASE_URL to another database"
)
MINIMUM_POSTGRES, NEWEST_TESTED_POSTGRES = 16, 18


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    return config


async def migrate(database: Database) -> tuple[str | None, str]:
    """Bring the schema up to date. Processes that start together wait for one another.

    A schema of a newer release stays as it is.

    Returns:
        The revision before and the one after.

    Raises:
        Conflict: The PostgreSQL server is older than 16, or the schema is none of O's.
    """
    async with database.connect() as lock:
        await _refuse_old_server(lock)
        await lock.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _LOCK})
        try:
            before = await lock.run_sync(_current)
            after = newest_revision()
            if before is not None and _is_newer(before):
                after = before
            else:
                await _upgrade(database, before)
            await _refuse_gaps(lock, after)
        finally:
            await lock.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _LOCK})
    return before, after


@cache
def newest_revision() -> str:
    """The revision that this version of the code brings."""
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


async def is_migrated(database: Database) -> bool:
    """Whether the schema is at this code's revision or a newer one, which it accepts.

    Raises:
        Conflict: The schema is not what its revision says, or none of O's.
    """
    async with database.connect() as connection:
        current = await connection.run_sync(_current)
        if current is None or current < newest_revision():
            return False
        await _refuse_gaps(connection, current)
        return True


async def wait_for_schema(database: Database, *, patience_s: float) -> None:
    """Wait until the database answers and somebody has migrated it.

    Raises:
        Unavailable: That did not happen in time.
        Conflict: The schema is not what its revision says, or none of O's.
    """
    limit = time.monotonic() + patience_s
    await reach(database.url, patience_s=patience_s)
    while True:
        with suppress(OperationalError, PoolTimeout):  # away again
            if await is_migrated(database):
                return
        if time.monotonic() > limit:
            raise Unavailable("the database has not the schema of this release: run `o migrate`")
        await asyncio.sleep(0.05)


async def _upgrade(database: Database, before: str | None) -> None:
    try:
        async with database.begin() as connection:
            await connection.run_sync(lambda sync: command.upgrade(_config(sync), "head"))
    except DBAPIError as error:
        if is_unreachable(error):
            raise
        diagnosis = getattr(error.orig, "diag", None)
        said = (diagnosis and diagnosis.message_primary) or type(error.orig).__name__
        raise Conflict(
            f"the schema (revision {before or 'none'}) cannot be brought up to date: {said}. "
            f"{_OTHER_HISTORY}"
        ) from error


def _current(connection: Connection) -> str | None:
    """The revision that the database names, checked to be one of O's.

    Raises:
        Conflict: It is not.
    """
    try:
        current = MigrationContext.configure(connection).get_current_revision()
    except CommandError:
        raise Conflict(f"the database names several revisions. {_OTHER_HISTORY}") from None
    if current is not None and current not in _known() and not _is_newer(current):
        raise Conflict(f"the database names a revision {current[:40]!r}. {_OTHER_HISTORY}")
    return current


@cache
def _known() -> frozenset[str]:
    script = ScriptDirectory.from_config(_config())
    return frozenset(revision.revision for revision in script.walk_revisions())


def _is_newer(revision: str | None) -> bool:
    """Whether a later release has made it: revisions are numbered."""
    return (
        revision is not None
        and _NUMBERED.match(revision) is not None
        and (revision > newest_revision())
    )


async def _refuse_gaps(connection: AsyncConnection, revision: str) -> None:
    """Compare what is there with what this code reads and writes; more may be there.

    Raises:
        Conflict: A table or a column is missing.
    """
    rows = await connection.execute(_COLUMNS)
    there = {(table, column) for table, column in rows}
    wanted = {(table.name, column.name) for table in metadata.tables.values() for column in table.c}
    if missing := sorted(f"{table}.{column}" for table, column in wanted - there):
        named = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" * (len(missing) > 5))
        raise Conflict(
            f"the schema says that it is revision {revision} and lacks {named}. {_OTHER_HISTORY}"
        )


async def _refuse_old_server(connection: AsyncConnection) -> None:
    version = await connection.scalar(text("SHOW server_version_num"))
    if int(version or 0) // 10_000 < MINIMUM_POSTGRES:
        raise Conflict(f"PostgreSQL {MINIMUM_POSTGRES} or newer is needed; this one is {version}")
