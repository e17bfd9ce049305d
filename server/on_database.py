"""Commands that do something in the database at once, whether `o up` runs here or not."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from o.errors import Unavailable
from o.settings import Settings

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
    from server.letta_import.opening import target_url  # noqa: PLC0415

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
