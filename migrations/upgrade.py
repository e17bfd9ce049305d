"""The schema, brought up to date by one process at a time."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from migrations.schema import (
    OTHER_HISTORY,
    WANTS_VECTOR,
    current_revision,
    is_newer,
    newest_revision,
    refuse_gaps,
    refuse_old_server,
)
from o.errors import Conflict
from o.storage.database import Database, is_unreachable

_LOCK = 0x6F5F6D69  # "o_mi": held by whoever migrates


def configuration(connection: Connection | None = None) -> Config:
    """Alembic's, for our folder; with a connection it may be used to migrate."""
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
        await refuse_old_server(lock)
        await lock.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _LOCK})
        try:
            before = await current_revision(lock)
            after = newest_revision()
            if before is not None and is_newer(before):
                after = before
            else:
                await _upgrade(database, before)
            await refuse_gaps(lock, after)
        finally:
            await lock.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _LOCK})
    return before, after


def upgrade_to(connection: Connection, revision: str) -> None:
    """Bring the schema to a revision, within the transaction that the connection is in."""
    command.upgrade(configuration(connection), revision)


async def _upgrade(database: Database, before: str | None) -> None:
    try:
        async with database.begin() as connection:
            await connection.run_sync(lambda sync: upgrade_to(sync, "head"))
    except DBAPIError as error:
        if is_unreachable(error):
            raise
        diagnosis = getattr(error.orig, "diag", None)
        said = (diagnosis and diagnosis.message_primary) or type(error.orig).__name__
        advice = WANTS_VECTOR if 'extension "vector"' in said else OTHER_HISTORY
        raise Conflict(
            f"the schema (revision {before or 'none'}) cannot be brought up to date: {said}. "
            f"{advice}"
        ) from error
