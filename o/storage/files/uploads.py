"""Statements of an upload: its pieces come one by one, and then the file is there or is not.

Until it is complete its file is marked deleted, a while ahead: nobody sees it, and where nobody
ends it, because a client hangs up and the API dies, the sweeper removes what is there of it.
"""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import func, insert, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.actors import Actor
from o.domain.files.folders import File, Folder, shown_name
from o.domain.files.names import numbered
from o.errors import Conflict, NotFound
from o.storage.files.files import find_named, get_file
from o.storage.files.folders import get_folder
from o.storage.files.open_files import lock_open_files_of, open_for_agents
from o.storage.rows import row_of
from o.storage.tables.folders import agent_files, file_uploads, files

_LEASE = timedelta(minutes=10)
_REPEATED_WITHIN = timedelta(minutes=10)

_RENEW = text("UPDATE files SET deleted_at = now() + :lease WHERE id = :id AND deleted_at > now()")
_TAKEN = text(
    """
    SELECT file_name FROM files
    WHERE folder_id = :folder_id AND deleted_at IS NULL AND starts_with(file_name, :beginning)
    """
)
_REPEATED = text(
    """
    SELECT id FROM files
    WHERE folder_id = :folder_id AND deleted_at IS NULL AND original_file_name = :name
        AND content_key = :content_key AND created_at > now() - :within
    ORDER BY created_at LIMIT 1
    """
)


@dataclass(frozen=True)
class Uploaded:
    """What became of an upload.

    Attributes:
        file: The file that is there now.
        is_new: Whether it is this upload; else one that was there before stays as it was.
    """

    file: File
    is_new: bool


async def begin_upload(connection: AsyncConnection, file: File) -> None:
    """Store a file that nobody sees yet.

    Args:
        connection: In a transaction.
        file: Its names may be those of another one.
    """
    values = row_of(files, file) | {"deleted_at": func.now() + _LEASE}
    await connection.execute(insert(files).values(values))


async def add_piece(connection: AsyncConnection, file_id: str, ordinal: int, body: bytes) -> None:
    """Store the n-th piece of an upload, which has a while more from now on.

    Args:
        connection: In a transaction.
        file_id: Which has begun.
        ordinal: From 0.
        body: 1 MiB, unless it is the last.

    Raises:
        NotFound: The file or its folder was deleted meanwhile.
    """
    renewed = await connection.execute(_RENEW, {"id": file_id, "lease": _LEASE})
    if not renewed.rowcount:
        raise NotFound("The folder was deleted while the file was uploaded")
    await connection.execute(
        insert(file_uploads).values(file_id=file_id, ordinal=ordinal, body=body)
    )


async def drop_upload(connection: AsyncConnection, file_id: str) -> None:
    """Have an upload purged that will not be ended; one that was ended stays."""
    await connection.execute(
        update(files)
        .where(files.c.id == file_id, files.c.deleted_at > func.now())
        .values(deleted_at=func.now())
    )


async def end_upload(
    connection: AsyncConnection,
    actor: Actor,
    upload: File,
    *,
    duplicates: str,
    is_repeat: bool,
) -> Uploaded:
    """Make an upload, of which every piece is stored, a file of its folder, under a free name.

    Uploads of one folder come to their ends one after the other, so that of two with one name
    each sees the other.

    Args:
        connection: In a transaction.
        actor: Who uploads.
        upload: What has begun, with its size and `content_key`.
        duplicates: V1's `duplicate_handling`: what becomes of it where its name is taken.
        is_repeat: Whether the client has sent it before: a file of the same name and content that
            came a moment ago is taken for it.

    Returns:
        The file; where it is not new, the upload is to be dropped.

    Raises:
        Conflict: The name is taken, and that was to be an error.
        NotFound: The folder was deleted meanwhile.
    """
    folder = await get_folder(connection, actor, upload.folder_id, lock=True)
    if is_repeat and (first := await _sent_before(connection, upload)) is not None:
        return Uploaded(await get_file(connection, actor, folder.id, first), is_new=False)
    await lock_open_files_of(connection, folder.id)
    name = shown_name(folder.name, upload.original_file_name)
    there = await find_named(connection, folder.id, name)
    if there is not None:
        if duplicates == "skip":
            return Uploaded(there, is_new=False)
        if duplicates == "error":
            raise name_taken(upload.original_file_name, folder)
        if duplicates == "suffix":
            name = await _free_name(connection, folder, upload.original_file_name)
        else:
            await _replace(connection, there, upload)
    await _show(connection, upload, name)
    await open_for_agents(connection, folder.id, upload.id)
    return Uploaded(await get_file(connection, actor, folder.id, upload.id), is_new=True)


def name_taken(name: str, folder: Folder) -> Conflict:
    """What is said where a file of that name is there and must not be."""
    return Conflict(f"File '{name}' already exists in folder '{folder.name[:100]}'")


async def _sent_before(connection: AsyncConnection, upload: File) -> str | None:
    given = {
        "folder_id": upload.folder_id,
        "name": upload.original_file_name,
        "content_key": upload.content_key,
        "within": _REPEATED_WITHIN,
    }
    found: str | None = await connection.scalar(_REPEATED, given)
    return found


async def _show(connection: AsyncConnection, upload: File, name: str) -> None:
    """Have everybody see the file, under this name and from now on."""
    values = {
        "file_name": name,
        "file_size": upload.file_size,
        "content_key": upload.content_key,
        "deleted_at": None,
        "created_at": func.now(),
        "updated_at": func.now(),
    }
    shown = await connection.execute(
        update(files)
        .where(files.c.id == upload.id, files.c.deleted_at.is_not(None))
        .values(values)
        .returning(files.c.id)
    )
    if shown.one_or_none() is None:
        raise NotFound("The file was deleted while it was uploaded")


async def _free_name(connection: AsyncConnection, folder: Folder, name: str) -> str:
    """The first numbered name that no file has."""
    beginning = shown_name(folder.name, name.rpartition(".")[0] or name)[: len(folder.name) + 200]
    rows = await connection.execute(_TAKEN, {"folder_id": folder.id, "beginning": beginning})
    taken = set(rows.scalars())
    number = 1
    while (free := shown_name(folder.name, numbered(name, number))) in taken:
        number += 1
    return free


async def _replace(connection: AsyncConnection, there: File, upload: File) -> None:
    """Hide the file that was there; agents that have it open have the new one open."""
    await connection.execute(
        update(files).where(files.c.id == there.id).values(deleted_at=func.now())
    )
    await connection.execute(
        update(agent_files).where(agent_files.c.file_id == there.id).values(file_id=upload.id)
    )
