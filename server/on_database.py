"""Commands that do something in the database at once, whether `o up` runs here or not."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from o.errors import Unavailable
from o.settings.all import Settings

if TYPE_CHECKING:
    from o.storage.database import Database

_Result = TypeVar("_Result")
_OTHER_SCHEMA = "the database has not the schema of this release: run `o migrate`, then try again"


def on_database(
    settings: Settings, name: str, work: "Callable[[Database], Awaitable[_Result]]"
) -> _Result:
    """Do `work` in DATABASE_URL, or in the database of the `o up` that runs here.

    Args:
        settings: Where that is.
        name: What PostgreSQL shows of the connection.
        work: What is done, and what is returned.

    Raises:
        Unavailable: It cannot be used, or its schema is older than this release.
        OError: There is none, or `work` refuses.
    """
    # Imported when it is needed: `o --help` is quick.
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

    from migrations.schema import is_migrated  # noqa: PLC0415
    from o.storage.availability import reason_of  # noqa: PLC0415
    from o.storage.database import Database  # noqa: PLC0415

    async def run() -> _Result:
        database = Database(target_url(settings), pool_size=1, name=name)
        try:
            if not await is_migrated(database):
                raise Unavailable(_OTHER_SCHEMA)
            return await work(database)
        finally:
            await database.close()

    try:
        return asyncio.run(run())
    except SQLAlchemyError as error:
        raise Unavailable(f"the database cannot be used: {reason_of(error)}") from None


def target_url(settings: Settings) -> str:
    """O's database: that of the settings, else that of the `o up` whose directory they name.

    Raises:
        Unavailable: There is none.
    """
    # Imported when it is needed: see above.
    from o.storage.database import libpq_url  # noqa: PLC0415
    from server.up import state  # noqa: PLC0415

    if settings.database_url is not None:
        return libpq_url(settings.database_url.get_secret_value())
    try:
        return libpq_url(state.read(settings.data_dir.resolve()).database_url)
    except Unavailable as error:
        raise Unavailable(
            f"{error.message}: start `o up` (its directory is --data-dir), or set DATABASE_URL to "
            "the database of your O"
        ) from None
