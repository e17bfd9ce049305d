"""What a move works with, opened: the two databases, in a state that it can work with."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy.exc import SQLAlchemyError

from migrations.schema import is_migrated
from o.errors import InvalidInput, Unavailable
from o.secrets import Keyring
from o.settings.all import Settings
from o.storage.availability import reason_of
from o.storage.database import Database, libpq_url
from server.letta_import.kind import Context, Kind
from server.letta_import.kinds.order import ALWAYS, KINDS, OPTIONAL
from server.letta_import.source import open_source
from server.letta_import.target import open_target
from server.on_database import target_url


def chosen_kinds(only: Sequence[str], *, with_runs: bool) -> list[Kind]:
    """The kinds that are asked for, in order; what everything refers to is always among them.

    Raises:
        InvalidInput: There is no such kind.
    """
    known = {kind.name for kind in KINDS}
    if unknown := sorted(set(only) - known):
        raise InvalidInput(f"there is no kind {unknown[0]!r}: there are {', '.join(sorted(known))}")
    wanted = set(only) or {name for name in known if with_runs or name not in OPTIONAL}
    return [kind for kind in KINDS if kind.name in wanted | ALWAYS]


@contextmanager
def open_context(
    settings: Settings, url: str, encryption_key: str | None, *, is_dry: bool
) -> Iterator[Context]:
    """Both databases.

    Args:
        settings: Where O is.
        url: V1's database, spelled for psycopg or for SQLAlchemy.
        encryption_key: V1's.
        is_dry: Whether nothing is to be written.

    Raises:
        InvalidInput: V1's address is that of no PostgreSQL database.
        Unavailable: A database cannot be reached, or O's is not of this release.
        Conflict: V1's is none, or another import is under way.
    """
    there, into = _v1_url(url), target_url(settings)
    asyncio.run(_check_schema(into))
    with open_source(there) as source, open_target(into, is_dry=is_dry) as target:
        keyring = Keyring(settings.data_dir, settings.encryption_key)
        yield Context(source, target, settings, keyring, encryption_key, is_dry)


def _v1_url(url: str) -> str:
    if url.startswith("sqlite"):
        raise InvalidInput(
            "a V1 server on SQLite cannot be moved as a whole: export its agents as agent files "
            "while it runs (GET /v1/agents/{id}/export), and import those"
        )
    try:
        return libpq_url(url.strip())
    except InvalidInput as error:
        raise InvalidInput(error.message.replace("DATABASE_URL", "V1_DATABASE_URL")) from None


async def _check_schema(url: str) -> None:
    database = Database(url, pool_size=1, name="o import letta")
    try:
        if not await is_migrated(database):
            raise Unavailable("O's database has not the schema of this release: run `o migrate`")
    except SQLAlchemyError as error:
        raise Unavailable(f"O's database cannot be reached: {reason_of(error)}") from None
    finally:
        await database.close()
