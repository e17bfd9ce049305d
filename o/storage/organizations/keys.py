"""Statements about keys of the API."""

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import ARRAY, Text, any_, insert, literal, select, true, update
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.keys import ApiKey
from o.errors import NotFound
from o.storage.pages import Page, page_of_kept_rows
from o.storage.rows import columns_of, model_of, models_of, readable
from o.storage.tables.keys import api_keys

_SHOWN = columns_of(api_keys, ApiKey)


async def add_key(connection: AsyncConnection, key: ApiKey, hashed: str) -> None:
    """Store a new key; `hashed` stands for its text, which is not kept."""
    await connection.execute(insert(api_keys).values(**key.model_dump(), hash=hashed))


async def find_keys(connection: AsyncConnection, hashes: Collection[str]) -> dict[str, ApiKey]:
    """The keys whose texts have these hashes, by hash, whether they are good or not."""
    sought = api_keys.c.hash == any_(literal(list(hashes), ARRAY(Text)))
    found = await connection.execute(select(api_keys.c.hash, *_SHOWN).where(sought))
    return dict(readable(found.mappings(), lambda row: (row["hash"], model_of(ApiKey, row))))


async def find_shut(
    connection: AsyncConnection, key_ids: Collection[str], now: datetime
) -> set[str]:
    """Which of these keys open nothing any more: revoked, expired, or gone."""
    sought = api_keys.c.id == any_(literal(list(key_ids), ARRAY(Text)))
    found = await connection.execute(select(*_SHOWN).where(sought))
    keys = models_of(ApiKey, found.mappings())
    return set(key_ids) - {key.id for key in keys if key.is_good(now)}


async def list_keys(connection: AsyncConnection, reach: str | None, page: Page) -> list[ApiKey]:
    """The keys of an organization, or of all.

    Raises:
        NotFound: A cursor names none.
    """
    mine = true() if reach is None else api_keys.c.organization_id == reach
    wanted = select(*_SHOWN).where(mine)
    wanted = await page_of_kept_rows(connection, wanted, page, api_keys, among=mine)
    return models_of(ApiKey, (await connection.execute(wanted)).mappings())


async def revoke_key(
    connection: AsyncConnection, reach: str | None, key_id: str, now: datetime
) -> tuple[ApiKey, bool]:
    """Have a key open nothing any more; one that was revoked keeps its time.

    Args:
        connection: In a transaction.
        reach: The organization in which it is looked for; None looks in all.
        key_id: Which.
        now: When.

    Returns:
        The key, and whether it was revoked by this.

    Raises:
        NotFound: There is no such key.
    """
    mine = api_keys.c.id == key_id
    if reach is not None:
        mine &= api_keys.c.organization_id == reach
    done = await connection.execute(
        update(api_keys).where(mine, api_keys.c.revoked_at.is_(None)).values(revoked_at=now)
    )
    found = await connection.execute(select(*_SHOWN).where(mine))
    row = found.mappings().one_or_none()
    if row is None:
        raise NotFound(f"Key with id {key_id} not found")
    return model_of(ApiKey, row), done.rowcount > 0


async def note_use(
    connection: AsyncConnection, key_id: str, now: datetime, *, every: timedelta
) -> None:
    """Keep when a key was used last, unless a process has done so less than `every` ago."""
    is_old = api_keys.c.last_used_at.is_(None) | (api_keys.c.last_used_at <= now - every)
    await connection.execute(
        update(api_keys).where(api_keys.c.id == key_id, is_old).values(last_used_at=now)
    )
