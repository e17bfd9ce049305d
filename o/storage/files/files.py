"""Statements about the files of folders. One that is deleted is hidden, and purged later."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, case, func, literal_column, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.actors import Actor
from o.domain.files.folders import File
from o.errors import NotFound
from o.storage.pages import Page, page_by_time
from o.storage.rows import columns_of, model_of, models_of
from o.storage.tables.folders import files, folders
from o.storage.tables.memory import archives, passages_to_embed

IS_THERE: ColumnElement[bool] = files.c.deleted_at.is_(None)
"""Holds for files that are neither deleted nor still being uploaded."""

# Passages are counted only while something of the archive waits, and there is a model for it.
_IS_EMBEDDING = files.c.processing_status.in_(("embedding", "completed")) & (
    archives.c.embed_after < literal_column("CAST('infinity' AS timestamptz)")
)
_WAITING = (
    select(func.count())
    .where(passages_to_embed.c.file_id == files.c.id, passages_to_embed.c.rank == 0)
    .scalar_subquery()
)
# What keeps the model from its work is told where the file waits for it.
_PROBLEM = case(
    (_IS_EMBEDDING, func.coalesce(files.c.error_message, func.nullif(archives.c.problem, ""))),
    else_=files.c.error_message,
)
FILE_COLUMNS: Sequence[ColumnElement[Any]] = (
    *(column for column in columns_of(files, File) if column.name != "error_message"),
    case((_IS_EMBEDDING, _WAITING), else_=0).label("waiting_chunks"),
    _PROBLEM.label("error_message"),
)
"""What a `File` is read from, of files joined with their folders and these with their archives."""

FILES_IN_FOLDERS = files.join(folders, folders.c.id == files.c.folder_id).join(
    archives, archives.c.id == folders.c.archive_id
)

# How long a text is, is told without reading it.
_CONTENTS = text(
    """
    SELECT id, text FROM (
        SELECT wanted.id, wanted.place, content.text,
            sum(octet_length(content.text)) OVER (ORDER BY wanted.place) AS size_bytes
        FROM unnest(CAST(:ids AS text[])) WITH ORDINALITY AS wanted (id, place)
        LEFT JOIN file_contents AS content ON content.file_id = wanted.id
    ) AS told
    WHERE place = 1 OR size_bytes IS NULL OR size_bytes <= :most
    """
)

_PURGED_PIECES = 16
_GONE = text("SELECT id FROM files WHERE deleted_at <= now() ORDER BY deleted_at LIMIT 1")
_PURGE_PASSAGES = text(
    "DELETE FROM passages WHERE id IN (SELECT id FROM passages WHERE file_id = :id LIMIT :limit)"
)
_PURGE_PIECES = text(
    """
    DELETE FROM file_uploads WHERE file_id = :id AND ordinal IN (
        SELECT ordinal FROM file_uploads WHERE file_id = :id LIMIT :limit
    )
    """
)
_PURGE_FILE = text("DELETE FROM files WHERE id = :id AND deleted_at <= now()")
_PURGE_FOLDERS = text(
    """
    DELETE FROM folders WHERE deleted_at IS NOT NULL
        AND NOT EXISTS (SELECT FROM files WHERE files.folder_id = folders.id)
    """
)


async def get_file(
    connection: AsyncConnection, actor: Actor, folder_id: str | None, file_id: str
) -> File:
    """The file by that id.

    Args:
        connection: Any.
        actor: Whose it must be.
        folder_id: The folder that it must be in; None for whichever.
        file_id: Which.

    Raises:
        NotFound: There is none for this actor.
    """
    statement = _visible(actor).where(files.c.id == file_id)
    if folder_id is not None:
        statement = statement.where(files.c.folder_id == folder_id)
    row = (await connection.execute(statement)).mappings().one_or_none()
    if row is None:
        raise file_not_found(file_id)
    return model_of(File, row)


async def list_files(
    connection: AsyncConnection, actor: Actor, folder_id: str, page: Page
) -> list[File]:
    """A page of the files of a folder, by the time they came.

    Raises:
        NotFound: A cursor names no file of this actor.
    """
    statement = await page_by_time(
        connection, _visible(actor).where(files.c.folder_id == folder_id), page, files, actor
    )
    return models_of(File, (await connection.execute(statement)).mappings().all())


async def find_named(connection: AsyncConnection, folder_id: str, file_name: str) -> File | None:
    """The file that a folder has by its shown name; None where there is none.

    Args:
        connection: Any.
        folder_id: The caller has found it for an actor.
        file_name: With the name of the folder before it.
    """
    statement = select(*FILE_COLUMNS).select_from(FILES_IN_FOLDERS)
    rows = await connection.execute(
        statement.where(files.c.folder_id == folder_id, files.c.file_name == file_name, IS_THERE)
    )
    row = rows.mappings().one_or_none()
    return None if row is None else model_of(File, row)


async def contents_of(
    connection: AsyncConnection, file_ids: Sequence[str], *, most_bytes: int
) -> dict[str, str | None]:
    """The texts of the first of these files; those not read yet have none.

    Args:
        connection: Any.
        file_ids: The caller has found them for an actor.
        most_bytes: What the texts may have together; that of the first one comes in any case.
    """
    rows = await connection.execute(_CONTENTS, {"ids": list(file_ids), "most": most_bytes})
    return {row.id: row.text for row in rows}


async def names_of(connection: AsyncConnection, file_ids: Sequence[str]) -> dict[str, str]:
    """The shown names of files that the caller has found for an actor."""
    if not file_ids:
        return {}
    rows = await connection.execute(
        select(files.c.id, files.c.file_name).where(files.c.id.in_(file_ids))
    )
    return {row.id: row.file_name for row in rows}


async def mark_file_deleted(
    connection: AsyncConnection, actor: Actor, folder_id: str, file_id: str
) -> None:
    """Hide a file from every question and search. What it holds is purged later, some at a time.

    Raises:
        NotFound: The folder has none by that id for this actor.
    """
    gone = await connection.execute(
        update(files)
        .where(
            files.c.id == file_id,
            files.c.folder_id == folder_id,
            files.c.organization_id == actor.organization_id,
            IS_THERE,
        )
        .values(deleted_at=func.now())
        .returning(files.c.id)
    )
    if gone.one_or_none() is None:
        raise file_not_found(file_id)


async def purge_files(connection: AsyncConnection, *, limit: int) -> int:
    """Remove up to `limit` passages of one file that was deleted, else of its upload, else itself.

    An upload that nobody ended goes the same way. Folders go when they have no files any more.

    Args:
        connection: In a transaction, which holds few locks for a short while.
        limit: How many passages.

    Returns:
        How many rows went; 0 when nothing is left to do.
    """
    file_id = await connection.scalar(_GONE)
    if file_id is None:
        return (await connection.execute(_PURGE_FOLDERS)).rowcount
    purged = await connection.execute(_PURGE_PASSAGES, {"id": file_id, "limit": limit})
    if not purged.rowcount:
        pieces = {"id": file_id, "limit": _PURGED_PIECES}
        purged = await connection.execute(_PURGE_PIECES, pieces)
    if not purged.rowcount:
        purged = await connection.execute(_PURGE_FILE, {"id": file_id})
    return purged.rowcount


def file_not_found(file_id: str) -> NotFound:
    """What every question says about a file that this actor does not have."""
    return NotFound(f"File with id {file_id[:100]} not found")


def _visible(actor: Actor) -> Select[Any]:
    return (
        select(*FILE_COLUMNS)
        .select_from(FILES_IN_FOLDERS)
        .where(files.c.organization_id == actor.organization_id, IS_THERE)
    )
