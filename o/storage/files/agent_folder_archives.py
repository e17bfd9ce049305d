"""Where the passages of an agent's folders stand, and which files they are of."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_ARCHIVES = text(
    """
    SELECT folders.archive_id FROM agent_folders AS attached
    JOIN folders ON folders.id = attached.folder_id AND folders.deleted_at IS NULL
    WHERE attached.agent_id = :agent_id ORDER BY attached.created_at, folders.id
    """
)
_PLACES = text(
    """
    SELECT passages.id, files.id AS file_id, files.file_name, passages.ordinal, files.total_chunks
    FROM passages JOIN files ON files.id = passages.file_id AND files.deleted_at IS NULL
    WHERE passages.id = ANY(CAST(:ids AS text[]))
    """
)


@dataclass(frozen=True)
class PassagePlace:
    """Where in which file a passage stands.

    Attributes:
        ordinal: Its place among those of the file, from 0.
        total: How many those are.
    """

    file_id: str
    name: str
    ordinal: int | None
    total: int | None


async def list_folder_archives(connection: AsyncConnection, agent_id: str) -> list[str]:
    """The archives of the folders that an agent has, which no list of archives shows."""
    return list((await connection.execute(_ARCHIVES, {"agent_id": agent_id})).scalars())


async def list_passage_places(
    connection: AsyncConnection, passage_ids: Sequence[str]
) -> dict[str, PassagePlace]:
    """The places of passages by their ids; those of deleted files are left out."""
    rows = await connection.execute(_PLACES, {"ids": list(passage_ids)})
    return {row[0]: PassagePlace(*row[1:]) for row in rows}
