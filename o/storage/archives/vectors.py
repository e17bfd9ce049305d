"""Statements by which passages wait for vectors, and get them. Each bears repeating."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.embedding import Space, Vector, WaitingPassage

# The few that are first, whatever is thought of how many wait.
_WAITING = text(
    """
    WITH first AS MATERIALIZED (
        SELECT passage_id, rank FROM passages_to_embed
        WHERE archive_id = :archive_id AND rank < 2
        ORDER BY rank, passage_id LIMIT :limit
    )
    SELECT passages.id, left(passages.text, :most_chars) AS text, md5(passages.text) AS digest, rank
    FROM first JOIN passages ON passages.id = passage_id ORDER BY rank, passage_id
    """
)
# Whoever changes or deletes a passage comes before or after, and never between.
_STORE = text(
    """
    WITH made AS (
        SELECT * FROM unnest(
            CAST(:ids AS text[]), CAST(:digests AS text[]), CAST(:vectors AS text[])
        ) AS made (id, digest, vector)
    ), there AS (
        SELECT passages.id, passages.archive_id, made.vector
        FROM passages JOIN made ON made.id = passages.id AND made.digest = md5(passages.text)
        ORDER BY passages.id FOR NO KEY UPDATE OF passages
    )
    INSERT INTO passage_vectors (passage_id, space_id, archive_id, embedding)
    SELECT id, :space_id, archive_id, CAST(vector AS vector) FROM there
    ON CONFLICT (passage_id, space_id) DO UPDATE SET embedding = excluded.embedding
    RETURNING passage_id
    """
)
_DONE = text("DELETE FROM passages_to_embed WHERE passage_id = ANY(:ids)")
_PASS_OVER = text(
    """
    UPDATE passages_to_embed SET rank = 2, problem = :problem
    FROM passages
    WHERE passage_id = :id AND passages.id = passage_id AND md5(passages.text) = :digest
    """
)
_FILL = text(
    """
    WITH part AS (
        SELECT id, created_at FROM passages
        WHERE archive_id = :archive_id AND (created_at, id) > (:created_at, :after)
        ORDER BY created_at, id LIMIT :limit
    ), added AS (
        INSERT INTO passages_to_embed (passage_id, archive_id, rank)
        SELECT id, :archive_id, 1 FROM part WHERE NOT EXISTS (
            SELECT 1 FROM passage_vectors WHERE passage_id = part.id AND space_id = :space_id
        )
        ON CONFLICT (passage_id) DO UPDATE SET rank = 1, problem = ''
        WHERE passages_to_embed.rank = 2
    )
    SELECT created_at, id FROM part ORDER BY created_at DESC, id DESC LIMIT 1
    """
)
_DROP = text(
    """
    DELETE FROM passage_vectors WHERE (passage_id, space_id) IN (
        SELECT passage_id, space_id FROM passage_vectors
        WHERE archive_id = :archive_id AND NOT space_id = ANY(:kept) LIMIT :limit)
    """
)


async def list_waiting(
    connection: AsyncConnection, archive_id: str, *, limit: int, most_chars: int
) -> list[WaitingPassage]:
    """Passages that wait for vectors, new ones first. Those that were refused wait no more.

    Args:
        connection: For one statement.
        archive_id: Whose.
        limit: At most so many.
        most_chars: How much of a text is read.
    """
    given = {"archive_id": archive_id, "limit": limit, "most_chars": most_chars}
    rows = await connection.execute(_WAITING, given)
    return [WaitingPassage(row.id, row.text, row.digest, row.rank == 0) for row in rows]


async def store_vectors(
    connection: AsyncConnection,
    space: Space,
    made: Sequence[tuple[WaitingPassage, Vector]],
    *,
    is_target: bool,
) -> int:
    """Keep vectors; one of a passage that is gone, or says something else by now, is dropped.

    Args:
        connection: In a transaction.
        space: Where they belong.
        made: Passages with their vectors, all of the space's length.
        is_target: Whether a passage that has its vector there waits for nothing more.

    Returns:
        How many were kept.
    """
    given = {
        "space_id": space.id,
        "ids": [passage.id for passage, _ in made],
        "digests": [passage.digest for passage, _ in made],
        "vectors": [str(vector) for _, vector in made],
    }
    kept = list((await connection.execute(_STORE, given)).scalars())
    if is_target:
        await connection.execute(_DONE, {"ids": kept})
    return len(kept)


async def pass_over(connection: AsyncConnection, passage: WaitingPassage, reason: str) -> None:
    """Note that the model refuses a passage; it waits until it is changed or all are asked anew."""
    given = {"id": passage.id, "digest": passage.digest, "problem": reason}
    await connection.execute(_PASS_OVER, given)


async def fill_part(
    connection: AsyncConnection,
    archive_id: str,
    space: Space,
    after: tuple[datetime, str],
    *,
    limit: int,
) -> tuple[datetime, str] | None:
    """Have the next passages wait that lack a vector; the place behind them, None at the end."""
    given = {"archive_id": archive_id, "space_id": space.id, "limit": limit}
    row = (
        await connection.execute(_FILL, given | {"created_at": after[0], "after": after[1]})
    ).one_or_none()
    return None if row is None else (row.created_at, row.id)


async def drop_vectors(
    connection: AsyncConnection, archive_id: str, kept: Sequence[Space], *, limit: int
) -> int:
    """Delete some vectors of spaces that an archive no longer uses; returns how many."""
    given = {"archive_id": archive_id, "kept": [space.id for space in kept], "limit": limit}
    return (await connection.execute(_DROP, given)).rowcount
