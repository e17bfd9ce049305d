"""Statements by which files are read, and their passages stored. Each bears repeating.

A file that was deleted is as one that never was: whoever deletes it comes before a statement or
after it.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any

from pydantic_core import to_json
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.archives import Archive, Passage
from o.domain.files.ingestion import FileToRead
from o.storage.database import Database
from o.storage.rows import columns_of, model_of, row_of
from o.storage.tables.folders import file_contents, file_uploads, files, folders
from o.storage.tables.memory import archives, passages

_TAKE = text(
    """
    UPDATE files SET processing_status = 'parsing', updated_at = now(), attempts = attempts + 1
    WHERE id = :id AND deleted_at IS NULL AND processing_status IN ('pending', 'parsing')
    RETURNING attempts
    """
)
_FORGET_ATTEMPT = text("UPDATE files SET attempts = attempts - 1 WHERE id = :id AND attempts > 0")
_COLUMNS = ", ".join(column.name for column in columns_of(passages, Passage))
# A release that cuts text otherwise may have stored some of them.
_ADD = text(
    f"INSERT INTO passages ({_COLUMNS}) "  # noqa: S608
    f"SELECT {_COLUMNS} FROM jsonb_populate_recordset(NULL::passages, CAST(:rows AS jsonb)) "
    "ON CONFLICT (id) DO UPDATE SET text = excluded.text, key = excluded.key "
    "WHERE passages.text <> excluded.text"
)
_KEEP = text(
    """
    INSERT INTO file_contents (file_id, text) VALUES (:id, :text)
    ON CONFLICT (file_id) DO UPDATE SET text = excluded.text
    WHERE file_contents.text <> excluded.text
    """
)
_DROP_REST = text("DELETE FROM passages WHERE file_id = :id AND ordinal >= :count")
_SETTLE = text(
    """
    UPDATE files SET processing_status = :status, error_message = CAST(:reason AS text),
        total_chunks = CAST(:count AS integer), updated_at = now()
    WHERE id = :id AND deleted_at IS NULL AND processing_status = 'parsing'
    """
)
_DROP_UPLOAD = text("DELETE FROM file_uploads WHERE file_id = :id")
_DUE = text(
    """
    SELECT id FROM files
    WHERE processing_status IN ('pending', 'parsing') AND deleted_at IS NULL
        AND updated_at < now() - CAST(:older_than AS interval) AND id > :after
    ORDER BY id LIMIT :limit
    """
)


async def take_file(connection: AsyncConnection, file_id: str) -> FileToRead | None:
    """Note that a file is being read; None if it is gone, or somebody has read it.

    Each call counts as an attempt until `forget_attempt`.

    Args:
        connection: On which each statement commits.
        file_id: Which.
    """
    has_upload = select(func.count()).where(
        file_uploads.c.file_id == file_id, file_uploads.c.ordinal == 0
    )
    row = (
        await connection.execute(
            select(
                files.c.original_file_name,
                files.c.file_type,
                files.c.created_at.label("uploaded_at"),
                folders.c.embedding_config["embedding_chunk_size"].as_string().label("size"),
                has_upload.scalar_subquery().label("has_upload"),
                *columns_of(archives, Archive),
            )
            .join(folders, folders.c.id == files.c.folder_id)
            .join(archives, archives.c.id == folders.c.archive_id)
            .where(files.c.id == file_id, archives.c.deleted_at.is_(None))
        )
    ).one_or_none()
    # Counted last: a database that goes away before leaves no attempt behind.
    attempt = None if row is None else await connection.scalar(_TAKE, {"id": file_id})
    if row is None or attempt is None:
        return None
    found = row._mapping
    return FileToRead(
        file_id,
        found["organization_id"],
        found["original_file_name"],
        found["file_type"],
        model_of(Archive, found),
        int(found["size"]) if (found["size"] or "").isdecimal() else None,
        bool(found["has_upload"]),
        found["uploaded_at"],
        attempt,
    )


async def forget_attempt(connection: AsyncConnection, file_id: str) -> None:
    """An attempt failed by itself, and its worker lives: it says nothing of the file.

    Args:
        connection: On which each statement commits.
        file_id: Which.
    """
    await connection.execute(_FORGET_ATTEMPT, {"id": file_id})


async def upload_of(database: Database, file_id: str) -> AsyncIterator[bytes]:
    """The bytes of an upload, a piece at a time; nobody keeps a connection meanwhile."""
    ordinal = 0
    while True:
        async with database.connect() as connection:
            piece = await connection.scalar(
                select(file_uploads.c.body).where(
                    file_uploads.c.file_id == file_id, file_uploads.c.ordinal == ordinal
                )
            )
        if piece is None:
            return
        yield piece
        ordinal += 1


async def content_of(connection: AsyncConnection, file_id: str) -> str | None:
    """The text of a file, None where it has none yet."""
    found: str | None = await connection.scalar(
        select(file_contents.c.text).where(file_contents.c.file_id == file_id)
    )
    return found


async def keep_content(connection: AsyncConnection, file_id: str, content: str) -> bool:
    """Store what a file says; False, and nothing, if it is gone.

    Args:
        connection: In a transaction.
        file_id: Which.
        content: All of its text.
    """
    if not await _is_there(connection, file_id):
        return False
    await connection.execute(_KEEP, {"id": file_id, "text": content})
    return True


async def keep_passages(connection: AsyncConnection, file_id: str, new: Sequence[Passage]) -> bool:
    """Store passages of a file; False, and nothing, if it is gone.

    Args:
        connection: In a transaction.
        file_id: Which.
        new: At least one, all of its archive, with ids derived from its own and their places.
    """
    archive = select(archives.c.id).where(archives.c.id == new[0].archive_id)
    await connection.execute(archive.with_for_update(key_share=True))  # see `o.storage.locks`
    if not await _is_there(connection, file_id):
        return False
    rows = to_json([row_of(passages, passage) for passage in new]).decode()
    await connection.execute(_ADD, {"rows": rows})
    return True


async def complete_file(connection: AsyncConnection, file_id: str, count: int) -> bool:
    """Note that all passages of a file are there; its upload goes. False if it is gone.

    Args:
        connection: In a transaction.
        file_id: Which.
        count: How many passages it has.
    """
    given: dict[str, Any] = {"id": file_id, "count": count, "reason": None, "status": "completed"}
    await connection.execute(_DROP_REST, {"id": file_id, "count": count})
    is_there = (await connection.execute(_SETTLE, given)).rowcount > 0
    if is_there:
        await connection.execute(_DROP_UPLOAD, {"id": file_id})
    return is_there


async def refuse_file(connection: AsyncConnection, file_id: str, reason: str) -> None:
    """Note why no text comes of a file; its upload goes.

    Args:
        connection: In a transaction.
        file_id: Which.
        reason: For its owner; it holds nothing of the file.
    """
    given = {"id": file_id, "count": None, "reason": reason, "status": "error"}
    if (await connection.execute(_SETTLE, given)).rowcount:
        await connection.execute(_DROP_UPLOAD, {"id": file_id})


async def list_files_to_read(
    connection: AsyncConnection, *, older_than_s: float, after: str, limit: int
) -> list[str]:
    """Files that wait to be read, by their ids.

    Args:
        connection: For one statement.
        older_than_s: Seconds for which they have waited.
        after: The last id of the page before.
        limit: At most so many.
    """
    given = {"older_than": timedelta(seconds=older_than_s), "after": after, "limit": limit}
    return list((await connection.execute(_DUE, given)).scalars())


async def _is_there(connection: AsyncConnection, file_id: str) -> bool:
    """Whether a file is there, and stays until the transaction ends."""
    statement = select(files.c.id).where(files.c.id == file_id, files.c.deleted_at.is_(None))
    return await connection.scalar(statement.with_for_update(read=True)) is not None
