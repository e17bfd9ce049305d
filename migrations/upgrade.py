"""The schema: brought up to date by one process at a time, and checked before serving."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection

from o.errors import Conflict
from o.storage.database import Database

_LOCK = 0x6F5F6D69  # "o_mi": held by whoever migrates
MINIMUM_POSTGRES, NEWEST_TESTED_POSTGRES = 16, 18


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    return config


async def migrate(database: Database) -> tuple[str | None, str]:
    """Bring the schema up to date. Processes that start together wait for one another.

    Returns:
        The revision before and the one after.

    Raises:
        Conflict: The PostgreSQL server is older than 16.
    """
    async with database.connect() as lock:
        await _refuse_old_server(lock)
        await lock.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _LOCK})
        try:
            async with database.begin() as connection:
                before = await connection.run_sync(_current)
                await connection.run_sync(lambda sync: command.upgrade(_config(sync), "head"))
        finally:
            await lock.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _LOCK})
    return before, newest_revision()


def newest_revision() -> str:
    """The revision that this version of the code brings."""
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


async def is_migrated(database: Database) -> bool:
    """Whether the schema is at this code's revision or a newer one, which it accepts."""
    async with database.connect() as connection:
        current = await connection.run_sync(_current)
    return current is not None and current >= newest_revision()


def _current(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


async def _refuse_old_server(connection: AsyncConnection) -> None:
    version = await connection.scalar(text("SHOW server_version_num"))
    if int(version or 0) // 10_000 < MINIMUM_POSTGRES:
        raise Conflict(f"PostgreSQL {MINIMUM_POSTGRES} or newer is needed; this one is {version}")
