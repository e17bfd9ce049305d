"""Statements about how far archives are with their vectors. Each bears repeating."""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.embedding import ArchiveToEmbed, EmbeddingProgress, Space

_TAKE = text(
    """
    UPDATE archives SET embed_after = now() + CAST(:lease AS interval)
    WHERE id = :id AND deleted_at IS NULL
    """
)
_STANDS = text(
    """
    SELECT archives.organization_id, archives.embedding, archives.is_filling,
        space.id AS space_id, space.handle AS space_handle, space.dimension AS space_dimension,
        next.id AS next_id, next.handle AS next_handle, next.dimension AS next_dimension
    FROM archives
    LEFT JOIN vector_spaces AS space ON space.id = archives.space_id
    LEFT JOIN vector_spaces AS next ON next.id = archives.next_space_id
    WHERE archives.id = :id AND archives.deleted_at IS NULL
    """
)
_SPACE = text(
    """
    INSERT INTO vector_spaces (organization_id, handle, dimension)
    VALUES (:organization_id, :handle, :dimension)
    ON CONFLICT (organization_id, handle, dimension) DO UPDATE SET handle = excluded.handle
    RETURNING id
    """
)
# Where nothing is searched by meaning yet, the new vectors are, from the first one on.
_AIM = text(
    """
    UPDATE archives SET is_filling = true,
        embedding = CASE WHEN embedding IS NOT DISTINCT FROM CAST(:seen AS text)
            THEN :handle ELSE embedding END,
        space_id = COALESCE(space_id, :space_id),
        next_space_id = CASE WHEN COALESCE(space_id, :space_id) = :space_id THEN NULL
            ELSE CAST(:space_id AS bigint) END
    WHERE id = :id AND deleted_at IS NULL
    """
)
_FILLED = text("UPDATE archives SET is_filling = false WHERE id = :id AND is_filling")
_LOCK = text(
    """
    SELECT space_id, next_space_id, is_filling, deleted_at, EXISTS (
        SELECT 1 FROM passages_to_embed WHERE archive_id = :id AND rank < 2) AS waits
    FROM archives WHERE id = :id
    FOR NO KEY UPDATE
    """
)
_WAITS = text("SELECT EXISTS (SELECT 1 FROM passages_to_embed WHERE archive_id = :id AND rank < 2)")
_SWITCH = text(
    """
    UPDATE archives SET space_id = next_space_id, next_space_id = NULL
    WHERE id = :id AND next_space_id = :space_id
    """
)
_REST = text(
    """
    UPDATE archives SET problem = :problem, embed_after = CASE
        WHEN CAST(:wait AS interval) IS NULL THEN CAST('infinity' AS timestamptz)
        ELSE now() + CAST(:wait AS interval) END
    WHERE id = :id
    """
)
_CLEAR = text("UPDATE archives SET problem = '' WHERE id = :id AND problem <> ''")
_SETTLE = text("UPDATE archives SET embed_after = NULL, problem = '' WHERE id = :id")
_ASK_ANEW = text(
    """
    UPDATE archives SET embedding = COALESCE(CAST(:handle AS text), embedding),
        embedding_config = COALESCE(CAST(:shown AS json), embedding_config), is_filling = true,
        embed_after = now(), problem = ''
    WHERE id = :id AND organization_id = :organization_id AND deleted_at IS NULL RETURNING id
    """
)
# Vectors are counted while they are made; where each passage has its own, that is known.
_PROGRESS = text(
    """
    SELECT archives.embedding, archives.problem, archives.is_filling,
        archives.passage_count AS total,
        space.handle AS space_handle, space.dimension AS space_dimension,
        next.handle AS next_handle, next.dimension AS next_dimension,
        CASE WHEN next.id IS NULL AND space.id IS NOT NULL AND NOT (is_filling OR waiting.waits)
            THEN passage_count - refused.number
            ELSE (SELECT count(*) FROM passage_vectors
                WHERE passage_vectors.archive_id = archives.id
                AND passage_vectors.space_id = COALESCE(next.id, space.id))
        END AS done,
        waiting.waits,
        refused.number AS refused, refused.refusal
    FROM archives
    LEFT JOIN vector_spaces AS space ON space.id = archives.space_id
    LEFT JOIN vector_spaces AS next ON next.id = archives.next_space_id,
    LATERAL (SELECT EXISTS (SELECT 1 FROM passages_to_embed
        WHERE passages_to_embed.archive_id = archives.id AND rank < 2) AS waits) AS waiting,
    LATERAL (SELECT count(*) AS number, max(problem) AS refusal FROM passages_to_embed
        WHERE passages_to_embed.archive_id = archives.id AND rank = 2) AS refused
    WHERE archives.id = :id AND archives.organization_id = :organization_id
        AND archives.deleted_at IS NULL
    """
)
_UNINDEXED = text(
    """
    UPDATE archives SET embed_after = now() WHERE embed_after IS NULL AND id IN (
        SELECT max(archives.id) FROM archives JOIN vector_spaces ON vector_spaces.id = space_id
        WHERE index_name IS NULL AND archives.deleted_at IS NULL
        GROUP BY space_id HAVING sum(passage_count) >= :many)
    """
)
_DUE = text(
    """
    SELECT id FROM archives
    WHERE deleted_at IS NULL AND (embed_after < now() - CAST(:older_than AS interval)
        OR :has_default AND (embedding IS NULL OR embedding LIKE 'letta/%')
            AND embed_after = 'infinity')
    ORDER BY embed_after LIMIT :limit
    """
)


async def take_archive(
    connection: AsyncConnection, archive_id: str, *, lease_s: float
) -> ArchiveToEmbed | None:
    """How an archive stands, None if it is gone; the sweeper leaves it alone for the lease."""
    await connection.execute(_TAKE, {"id": archive_id, "lease": timedelta(seconds=lease_s)})
    row = (await connection.execute(_STANDS, {"id": archive_id})).one_or_none()
    if row is None:
        return None
    return ArchiveToEmbed(
        archive_id,
        row.organization_id,
        row.embedding,
        _space(row.space_id, row.space_handle, row.space_dimension),
        _space(row.next_id, row.next_handle, row.next_dimension),
        row.is_filling,
    )


def _space(space_id: int | None, handle: str, dimension: int) -> Space | None:
    return None if space_id is None else Space(space_id, handle, dimension)


async def space_of(
    connection: AsyncConnection, organization_id: str, handle: str, dimension: int
) -> int:
    """The id of the space of a model's vectors of that length, which is made if need be."""
    given = {"organization_id": organization_id, "handle": handle, "dimension": dimension}
    return int(await connection.scalar(_SPACE, given))


async def aim_at(
    connection: AsyncConnection, archive: ArchiveToEmbed, handle: str, dimension: int
) -> None:
    """Have an archive's vectors made for a space, which is made if need be."""
    space_id = await space_of(connection, archive.organization_id, handle, dimension)
    seen = archive.embedding
    given = {"id": archive.id, "handle": handle, "seen": seen, "space_id": space_id}
    await connection.execute(_AIM, given)


async def end_filling(connection: AsyncConnection, archive_id: str) -> None:
    """Note that every passage which lacks a vector waits for it."""
    await connection.execute(_FILLED, {"id": archive_id})


async def switch_space(connection: AsyncConnection, archive_id: str, space: Space) -> bool:
    """Have searches use the space that was filled; False, and nothing, while passages wait.

    Args:
        connection: In a transaction.
        archive_id: Whose.
        space: What was filled.
    """
    if not await _is_complete(connection, archive_id):
        return False
    await connection.execute(_SWITCH, {"id": archive_id, "space_id": space.id})
    return True


async def rest_archive(
    connection: AsyncConnection, archive_id: str, problem: str, *, wait_s: float | None
) -> None:
    """Leave an archive alone for a while; without end where no model is there (None)."""
    wait = None if wait_s is None else timedelta(seconds=wait_s)
    await connection.execute(_REST, {"id": archive_id, "problem": problem, "wait": wait})


async def clear_problem(connection: AsyncConnection, archive_id: str) -> None:
    """Note that the model answers."""
    await connection.execute(_CLEAR, {"id": archive_id})


async def settle_archive(connection: AsyncConnection, archive_id: str) -> bool:
    """Note that every passage has its vector; False, and nothing, if one waits by now.

    Args:
        connection: In a transaction.
        archive_id: Whose.
    """
    if not await _is_complete(connection, archive_id):
        return False
    await connection.execute(_SETTLE, {"id": archive_id})
    return True


async def _is_complete(connection: AsyncConnection, archive_id: str) -> bool:
    """Whether nothing waits, nor will before the transaction ends: inserts lock the archive."""
    row = (await connection.execute(_LOCK, {"id": archive_id})).one_or_none()
    if row is None:
        return True
    # Not what the statement saw: it may have waited for an insert.
    return not row.is_filling and not await connection.scalar(_WAITS, {"id": archive_id})


async def embed_anew(
    connection: AsyncConnection,
    organization_id: str,
    archive_id: str,
    handle: str | None,
    shown: Mapping[str, Any] | None = None,
) -> bool:
    """Have an archive embedded by another model, or its refused passages tried again.

    Args:
        connection: For one statement.
        organization_id: Whose.
        archive_id: Which.
        handle: None leaves its model as it is.
        shown: Its `embedding_config` from now on.

    Returns:
        Whether there is such an archive.
    """
    given = {
        "id": archive_id,
        "organization_id": organization_id,
        "handle": handle,
        "shown": None if shown is None else json.dumps(shown),
    }
    return (await connection.execute(_ASK_ANEW, given)).one_or_none() is not None


async def embedding_progress(
    connection: AsyncConnection, organization_id: str, archive_id: str
) -> EmbeddingProgress | None:
    """How far an archive is; None if there is no such one."""
    given = {"id": archive_id, "organization_id": organization_id}
    row: Any = (await connection.execute(_PROGRESS, given)).one_or_none()
    if row is None:
        return None
    is_aimed = row.embedding in {None, row.next_handle or row.space_handle}
    is_anew = row.next_handle is not None or (row.space_handle is not None and not is_aimed)
    dimension = row.next_dimension if is_anew else row.space_dimension
    is_well = is_aimed if row.space_handle else row.total == 0
    return EmbeddingProgress(
        embedding=row.embedding,
        dimension=dimension if is_aimed else None,
        replaces=row.space_handle if is_anew else None,
        total=row.total,
        done=row.done if is_aimed else 0,
        refused=row.refused,
        is_done=is_well and not (is_anew or row.is_filling or row.waits),
        problem=row.problem,
        refusal=row.refusal or "",
    )


async def take_up_unindexed(connection: AsyncConnection, *, many: int) -> None:
    """Have an archive looked at of each space that has so many passages and no index.

    Whoever was to make it has died, and its archive may never change again.
    """
    await connection.execute(_UNINDEXED, {"many": many})


async def list_archives_to_embed(
    connection: AsyncConnection, *, has_default: bool, older_than_s: float, limit: int
) -> list[str]:
    """Archives whose passages wait and that nobody is at, those that wait longest first.

    Args:
        connection: For one statement.
        has_default: Whether there is a model now for archives that name none.
        older_than_s: Seconds for which they have waited.
        limit: At most so many.
    """
    given = {
        "has_default": has_default,
        "older_than": timedelta(seconds=older_than_s),
        "limit": limit,
    }
    return list((await connection.execute(_DUE, given)).scalars())
