"""Statements about folders. One that is deleted is hidden with its files, and purged later."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, func, insert, or_, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.actors import Actor
from o.domain.archives import Archive
from o.domain.files.folders import Folder
from o.errors import Conflict, NotFound
from o.storage.archives.archives import add_archive
from o.storage.pages import Page, page_by_time
from o.storage.rows import columns_of, model_of, models_by_id, models_of, row_of
from o.storage.tables.folders import agent_folders, files, folders
from o.storage.tables.memory import archives

_SHOWN_FILES = 10_000
_NAMESAKES = "Two files would have the same name in a folder named {name!r}: choose another name"

# Files that were moved in may be called after a name that the folder had before: they keep it.
_RENAME_FILES = text(
    """
    UPDATE files SET file_name = CAST(:name AS text) || substr(file_name, length(:before) + 1)
    WHERE folder_id = :folder_id AND deleted_at IS NULL
        AND starts_with(file_name, CAST(:before AS text) || '/')
    """
)
_SUMS = text(
    """
    SELECT folders.id, folders.name, count(files.id) AS file_count,
        coalesce(sum(files.file_size), 0)::bigint AS total_size
    FROM folders LEFT JOIN files ON files.folder_id = folders.id AND files.deleted_at IS NULL
    WHERE folders.organization_id = :organization_id AND folders.deleted_at IS NULL
    GROUP BY folders.id ORDER BY folders.created_at, folders.id
    """
)
_SIZES = text(
    """
    SELECT files.folder_id, files.id, files.file_name, files.file_size
    FROM files JOIN folders ON folders.id = files.folder_id
    WHERE folders.organization_id = :organization_id AND folders.deleted_at IS NULL
        AND files.deleted_at IS NULL
    ORDER BY files.created_at DESC, files.id DESC LIMIT :limit
    """
)


@dataclass(frozen=True)
class FolderSum:
    """What a folder holds.

    Attributes:
        total_size: Bytes that were uploaded.
    """

    id: str
    name: str
    file_count: int
    total_size: int


@dataclass(frozen=True)
class FileSize:
    """A file with its size in bytes, None where nobody has told it."""

    folder_id: str
    id: str
    file_name: str
    file_size: int | None


async def add_folder(connection: AsyncConnection, folder: Folder) -> None:
    """Store a new folder, and the archive that its passages will stand in.

    Args:
        connection: In a transaction.
        folder: Its `archive_id` names an archive that is not there yet.

    Raises:
        Conflict: A folder of that name is there.
    """
    archive = Archive(
        id=folder.archive_id,
        organization_id=folder.organization_id,
        name=folder.name,
        embedding=folder.embedding,
        embedding_config=folder.embedding_config,
        created_by_id=folder.created_by_id,
        last_updated_by_id=folder.last_updated_by_id,
        created_at=folder.created_at,
        updated_at=folder.updated_at,
    )
    await add_archive(connection, archive, is_folder=True)
    try:
        await connection.execute(insert(folders).values(row_of(folders, folder)))
    except IntegrityError:
        raise _taken(folder.name) from None


async def get_folder(
    connection: AsyncConnection, actor: Actor, folder_id: str, *, lock: bool = False
) -> Folder:
    """The folder by that id; with `lock`, no other upload ends in it until the commit.

    Raises:
        NotFound: There is none for this actor.
    """
    statement = _visible(actor).where(folders.c.id == folder_id)
    rows = await connection.execute(
        statement.with_for_update(key_share=True) if lock else statement
    )
    row = rows.mappings().one_or_none()
    if row is None:
        raise folder_not_found(folder_id)
    return model_of(Folder, row)


async def lock_folder(connection: AsyncConnection, actor: Actor, folder_id: str) -> Folder:
    """The folder by that id, which nobody else changes, nor what its passages stand in.

    The archive comes first: see `o.storage.locks`.

    Raises:
        NotFound: There is none for this actor.
    """
    of_it = select(folders.c.archive_id).where(_is_of(actor), folders.c.id == folder_id)
    locked = select(archives.c.id).where(archives.c.id == of_it.scalar_subquery())
    await connection.execute(locked.with_for_update(key_share=True))
    return await get_folder(connection, actor, folder_id, lock=True)


async def get_folders(
    connection: AsyncConnection, actor: Actor, folder_ids: Sequence[str]
) -> list[Folder]:
    """The folders by those ids, in that order, each once; they stay until the commit.

    Whoever gives them to an agent so does not give it one that is just being deleted.

    Raises:
        NotFound: One of them is not there for this actor.
    """
    ids = list(dict.fromkeys(folder_ids))
    if not ids:
        return []
    wanted = _visible(actor).where(folders.c.id.in_(ids)).order_by(folders.c.id)
    rows = await connection.execute(wanted.with_for_update(read=True))
    return models_by_id(Folder, rows.mappings(), ids, folder_not_found)


async def find_folder_id(connection: AsyncConnection, actor: Actor, name: str) -> str:
    """The id of the folder of that name.

    Raises:
        NotFound: There is none for this actor.
    """
    found = await connection.scalar(
        select(folders.c.id).where(_is_of(actor), folders.c.name == name)
    )
    if found is None:
        raise NotFound(f"Folder with name {name[:100]} not found")
    return str(found)


async def list_folders(
    connection: AsyncConnection,
    actor: Actor,
    page: Page,
    *,
    name: str | None = None,
    agent_id: str | None = None,
) -> list[Folder]:
    """A page of folders by the time they were made.

    Args:
        connection: Any.
        actor: Whose folders.
        page: Which part.
        name: Only the one of this name.
        agent_id: Only those of this agent, which the caller has found for the actor.

    Raises:
        NotFound: A cursor names no folder of this actor.
    """
    wanted = _visible(actor)
    if name is not None:
        wanted = wanted.where(folders.c.name == name)
    if agent_id is not None:
        held = select(agent_folders.c.folder_id).where(agent_folders.c.agent_id == agent_id)
        wanted = wanted.where(folders.c.id.in_(held))
    statement = await page_by_time(connection, wanted, page, folders, actor)
    return models_of(Folder, (await connection.execute(statement)).mappings().all())


async def count_folders(connection: AsyncConnection, actor: Actor) -> int:
    """How many folders there are."""
    statement = select(func.count()).select_from(folders).where(_is_of(actor))
    return int(await connection.scalar(statement) or 0)


async def sum_up_folders(connection: AsyncConnection, actor: Actor) -> list[FolderSum]:
    """What each folder holds, the oldest first."""
    rows = await connection.execute(_SUMS, {"organization_id": actor.organization_id})
    return [FolderSum(*row) for row in rows]


async def list_file_sizes(connection: AsyncConnection, actor: Actor) -> list[FileSize]:
    """The files of all folders with their sizes, the newest 10,000."""
    given = {"organization_id": actor.organization_id, "limit": _SHOWN_FILES}
    return [FileSize(*row) for row in await connection.execute(_SIZES, given)]


async def change_folder(
    connection: AsyncConnection, actor: Actor, folder: Folder, changes: Mapping[str, Any]
) -> Folder:
    """Apply `changes` (column to value) to a folder that the caller has locked (`lock_folder`).

    Its files are called after it: with another name, all of theirs change.

    Args:
        connection: In a transaction.
        actor: Whose folder it is.
        folder: As it is.
        changes: None change nothing.

    Raises:
        Conflict: A folder of the new name is there, or two of its files would have one name.
    """
    if not changes:
        return folder
    statement = (
        update(folders)
        .where(_is_of(actor), folders.c.id == folder.id)
        .values(**changes, last_updated_by_id=actor.user_id, updated_at=func.now())
        .returning(*columns_of(folders, Folder))
    )
    try:
        row = (await connection.execute(statement)).mappings().one()
    except IntegrityError:
        raise _taken(str(changes.get("name"))) from None
    changed = model_of(Folder, row)
    if changed.name != folder.name:
        names = {"name": changed.name, "before": folder.name, "folder_id": folder.id}
        try:
            await connection.execute(_RENAME_FILES, names)
        except IntegrityError:
            raise Conflict(_NAMESAKES.format(name=changed.name[:100])) from None
    if changed.embedding != folder.embedding:
        await connection.execute(
            update(archives)
            .where(archives.c.id == folder.archive_id)
            .values(embedding=changed.embedding, embedding_config=changed.embedding_config)
        )
    return changed


async def mark_folder_deleted(connection: AsyncConnection, actor: Actor, folder_id: str) -> None:
    """Hide a folder with its files from every question.

    `take_from_agents` takes it from its agents. What it holds is purged later, some at a time.

    Args:
        connection: In a transaction.
        actor: Whose it must be.
        folder_id: Which.

    Raises:
        NotFound: There is none for this actor.
    """
    folder = await lock_folder(connection, actor, folder_id)
    now = {"deleted_at": func.now()}
    await connection.execute(update(folders).where(folders.c.id == folder.id).values(now))
    is_there_or_to_be = or_(files.c.deleted_at.is_(None), files.c.deleted_at > func.now())
    await connection.execute(
        update(files).where(files.c.folder_id == folder.id, is_there_or_to_be).values(now)
    )
    await connection.execute(update(archives).where(archives.c.id == folder.archive_id).values(now))


def folder_not_found(folder_id: str) -> NotFound:
    """What every question says about a folder that this actor does not have."""
    return NotFound(f"Folder with id {folder_id[:100]} not found")


def is_folder_of(actor: Actor) -> ColumnElement[bool]:
    """Holds for the actor's folders, but those that were deleted."""
    return (folders.c.organization_id == actor.organization_id) & folders.c.deleted_at.is_(None)


_is_of = is_folder_of


def _visible(actor: Actor) -> Select[Any]:
    return select(*columns_of(folders, Folder)).where(_is_of(actor))


def _taken(name: str) -> Conflict:
    return Conflict(f"A folder named {name[:100]!r} is there already: choose another name")
