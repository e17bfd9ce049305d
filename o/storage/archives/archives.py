"""Statements about archives by themselves. One that is deleted is hidden, and purged later.

Those that folders keep their passages in are no archives to anybody: no question here finds them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    delete,
    exists,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.actors import Actor
from o.domain.archives import Archive
from o.errors import NotFound
from o.storage.pages import Page, page_by_time
from o.storage.rows import columns_of, model_of, models_of, row_of
from o.storage.tables.folders import folders
from o.storage.tables.memory import agent_archives, archives, passages

_PURGE_PASSAGES = text(
    """
    DELETE FROM passages WHERE id IN (
        SELECT passages.id FROM passages
        WHERE passages.archive_id = (
            SELECT id FROM archives WHERE deleted_at IS NOT NULL
                AND NOT EXISTS (SELECT FROM folders WHERE folders.archive_id = archives.id)
            ORDER BY id LIMIT 1
        )
        LIMIT :limit
    )
    """
)


@dataclass(frozen=True)
class ArchiveFilter:
    """Which archives a list is about; None leaves a criterion out.

    Attributes:
        agent_id: Only archives that this agent has.
    """

    name: str | None = None
    agent_id: str | None = None


async def add_archive(
    connection: AsyncConnection, archive: Archive, *, is_folder: bool = False
) -> None:
    """Store a new archive, or what a new folder keeps its passages in."""
    values = row_of(archives, archive) | {"is_folder": is_folder}
    await connection.execute(insert(archives).values(values))


async def get_archive(
    connection: AsyncConnection, actor: Actor, archive_id: str, *, lock: bool = False
) -> Archive:
    """The archive by that id; with `lock`, nobody adds to it or deletes it in this transaction.

    Raises:
        NotFound: There is none for this actor.
    """
    statement = select(*columns_of(archives, Archive)).where(is_archive(actor, archive_id))
    rows = await connection.execute(
        statement.with_for_update(key_share=True) if lock else statement
    )
    row = rows.mappings().one_or_none()
    if row is None:
        raise archive_not_found(archive_id)
    return model_of(Archive, row)


async def list_archives(
    connection: AsyncConnection, actor: Actor, wanted: ArchiveFilter, page: Page
) -> list[Archive]:
    """A page of archives by the time they were made.

    Raises:
        NotFound: A cursor names no archive of this actor.
    """
    statement = await page_by_time(
        connection, _visible(actor).where(*_conditions(wanted)), page, archives, actor
    )
    return models_of(Archive, (await connection.execute(statement)).mappings().all())


async def change_archive(
    connection: AsyncConnection, actor: Actor, archive_id: str, changes: Mapping[str, Any]
) -> Archive:
    """Apply `changes` (column to value); none change nothing.

    Raises:
        NotFound: There is no such archive for this actor.
    """
    if not changes:
        return await get_archive(connection, actor, archive_id)
    rows = await connection.execute(
        update(archives)
        .where(is_archive(actor, archive_id))
        .values(**changes, last_updated_by_id=actor.user_id, updated_at=func.now())
        .returning(*columns_of(archives, Archive))
    )
    row = rows.mappings().one_or_none()
    if row is None:
        raise archive_not_found(archive_id)
    return model_of(Archive, row)


async def mark_archive_deleted(connection: AsyncConnection, actor: Actor, archive_id: str) -> None:
    """Hide the archive from every question and take it from its agents.

    Its passages are purged later, some at a time: nobody waits for locks on all of them.

    Raises:
        NotFound: There is none for this actor.
    """
    row = await connection.execute(
        update(archives)
        .where(is_archive(actor, archive_id))
        .values(deleted_at=func.now())
        .returning(archives.c.id)
    )
    if row.scalar_one_or_none() is None:
        raise archive_not_found(archive_id)
    await connection.execute(
        delete(agent_archives).where(agent_archives.c.archive_id == archive_id)
    )


async def purge_archives(connection: AsyncConnection, *, limit: int) -> int:
    """Remove up to `limit` passages of one archive that was deleted, or archives that have none.

    What a folder had for its passages goes once the folder has gone.

    Args:
        connection: In a transaction, which holds few locks for a short while.
        limit: How many passages.

    Returns:
        How many rows went; 0 when nothing is left to do.
    """
    purged = await connection.execute(_PURGE_PASSAGES, {"limit": limit})
    if purged.rowcount:
        return purged.rowcount
    is_empty = ~exists().where(passages.c.archive_id == archives.c.id)
    has_folder = exists().where(folders.c.archive_id == archives.c.id)
    gone = await connection.execute(
        delete(archives).where(archives.c.deleted_at.is_not(None), is_empty, ~has_folder)
    )
    return gone.rowcount


def is_archive(actor: Actor, archive_id: str) -> ColumnElement[bool]:
    """Holds for the actor's archive by that id, unless it was deleted."""
    return (archives.c.id == archive_id) & _is_of(actor)


def archive_not_found(archive_id: str) -> NotFound:
    """What every question says about an archive that this actor does not have."""
    return NotFound(f"Archive with id {archive_id} not found")


def _is_of(actor: Actor) -> ColumnElement[bool]:
    return and_(
        archives.c.organization_id == actor.organization_id,
        archives.c.deleted_at.is_(None),
        ~archives.c.is_folder,
    )


def _visible(actor: Actor) -> Select[Any]:
    return select(*columns_of(archives, Archive)).where(_is_of(actor))


def _conditions(wanted: ArchiveFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.name is not None:
        found.append(archives.c.name == wanted.name)
    if wanted.agent_id is not None:
        has_it = (agent_archives.c.archive_id == archives.c.id) & (
            agent_archives.c.agent_id == wanted.agent_id
        )
        found.append(exists().where(has_it))
    return found
