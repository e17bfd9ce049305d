"""The schema that a database has, checked before a process serves.

Processes that serve load no more than this: Alembic, which changes the schema, takes 10 MB.
"""

import asyncio
import re
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection

from o.errors import Conflict, Unavailable
from o.storage.availability import reach
from o.storage.database import Database
from o.storage.tables.all import metadata

_NUMBERED = re.compile(r"\d{4}$")
_FILE = re.compile(r"(\d{4})_\w+\.py")
_IS_THERE = text("SELECT to_regclass('alembic_version') IS NOT NULL")
_REVISIONS = text("SELECT version_num FROM alembic_version LIMIT 2")
_COLUMNS = text(
    "SELECT relname, attname FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid "
    "WHERE relnamespace = current_schema()::regnamespace AND attnum > 0 AND NOT attisdropped"
)
OTHER_HISTORY = (
    "It was made by a release that never was, or by another program: "
    "restore it from a backup, or set DATABASE_URL to another database"
)
WANTS_VECTOR = (
    "pgvector 0.8 or newer is needed: install it where PostgreSQL is, and have a superuser run "
    "`CREATE EXTENSION vector` in this database"
)
MINIMUM_POSTGRES, NEWEST_TESTED_POSTGRES = 16, 18


@cache
def _known() -> frozenset[str]:
    """The revisions of this code: their files are named by them."""
    files = (Path(__file__).parent / "versions").iterdir()
    return frozenset(found[1] for file in files if (found := _FILE.fullmatch(file.name)))


def newest_revision() -> str:
    """The revision that this version of the code brings."""
    return max(_known())


def is_known(revision: str) -> bool:
    """Whether it is one of this code's; Alembic would take `head` or `-1` as well."""
    return revision in _known()


async def is_migrated(database: Database) -> bool:
    """Whether the schema is at this code's revision or a newer one, which it accepts.

    Raises:
        Conflict: The schema is not what its revision says, or none of O's.
    """
    async with database.connect() as connection:
        current = await current_revision(connection)
        if current is None or current < newest_revision():
            return False
        await refuse_gaps(connection, current)
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


async def current_revision(connection: AsyncConnection) -> str | None:
    """The revision that the database names, checked to be one of O's; None for no schema.

    Raises:
        Conflict: It is not.
    """
    if not await connection.scalar(_IS_THERE):
        return None
    named = list((await connection.execute(_REVISIONS)).scalars())
    if len(named) > 1:
        raise Conflict(f"the database names several revisions. {OTHER_HISTORY}")
    current = named[0] if named else None
    if current is not None and current not in _known() and not is_newer(current):
        raise Conflict(f"the database names a revision {current[:40]!r}. {OTHER_HISTORY}")
    return current


def is_newer(revision: str | None) -> bool:
    """Whether a later release has made it: revisions are numbered."""
    return (
        revision is not None
        and _NUMBERED.match(revision) is not None
        and (revision > newest_revision())
    )


async def refuse_gaps(connection: AsyncConnection, revision: str) -> None:
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
            f"the schema says that it is revision {revision} and lacks {named}. {OTHER_HISTORY}"
        )


async def refuse_old_server(connection: AsyncConnection) -> None:
    """Make sure that the server is one that O works with.

    Raises:
        Conflict: It is older.
    """
    version = await connection.scalar(text("SHOW server_version_num"))
    if int(version or 0) // 10_000 < MINIMUM_POSTGRES:
        raise Conflict(f"PostgreSQL {MINIMUM_POSTGRES} or newer is needed; this one is {version}")
