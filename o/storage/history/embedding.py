"""Statements about how far messages are with their vectors. Each bears repeating.

All messages are embedded by one model, the server's default, so that a question needs one vector
wherever it looks.
"""

from datetime import timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.embedding import MessagesToEmbed, Space
from o.storage.archives.embedding import space_of

_SET_MODEL = text(
    """
    UPDATE message_embedding
    SET handle = CAST(:handle AS text), after_id = CASE WHEN CAST(:handle AS text) IS NOT NULL
        THEN '' END
    WHERE handle IS DISTINCT FROM CAST(:handle AS text)
    """
)
# Two that do it at once do the same. Those that wait already keep others from being added.
_QUEUE_OLD = text(
    """
    WITH place AS (
        SELECT handle, after_id FROM message_embedding
        WHERE handle IS NOT NULL AND after_id IS NOT NULL AND :most > (
            SELECT count(*) FROM (SELECT FROM messages_to_embed LIMIT :most) AS waiting)
        FOR UPDATE SKIP LOCKED
    ), old AS MATERIALIZED (
        SELECT one.*, place.handle FROM place, LATERAL (
            SELECT id, organization_id, role, created_at FROM messages
            WHERE messages.id > place.after_id ORDER BY messages.id LIMIT :limit
        ) AS one
    ), queued AS (
        INSERT INTO messages_to_embed (message_id, organization_id, created_at)
        SELECT id, organization_id, created_at FROM old
        WHERE role IN ('user', 'assistant') AND NOT EXISTS (
            SELECT FROM message_spaces JOIN vector_spaces ON vector_spaces.id = space_id
            JOIN message_vectors USING (space_id)
            WHERE message_spaces.organization_id = old.organization_id AND message_id = old.id
              AND vector_spaces.handle = old.handle)
        ON CONFLICT (message_id) DO NOTHING
    ), moved AS (
        UPDATE message_embedding SET after_id = (SELECT max(id) FROM old)
        WHERE EXISTS (SELECT FROM place)
    )
    SELECT count(*) FROM old
    """
)
_FORGET = text(
    """
    DELETE FROM messages_to_embed WHERE message_id IN (
        SELECT message_id FROM messages_to_embed
        WHERE NOT EXISTS (SELECT FROM message_embedding WHERE handle IS NOT NULL) LIMIT :limit)
    """
)
_DUE = text(
    """
    SELECT id FROM organizations, LATERAL (
        SELECT CASE WHEN EXISTS (
            SELECT FROM messages_to_embed WHERE organization_id = organizations.id
              AND created_at >= now() - CAST(:quiet AS interval)
        ) THEN CAST(:patience AS interval) ELSE CAST(:quiet AS interval) END AS wait
    ) AS talk
    WHERE EXISTS (
        SELECT FROM messages_to_embed
        WHERE organization_id = organizations.id AND queued_at < now() - wait
    ) AND NOT EXISTS (
        SELECT FROM message_spaces
        WHERE organization_id = organizations.id AND embed_after > now()
    ) LIMIT :limit
    """
)
_TAKE = text(
    """
    INSERT INTO message_spaces (organization_id, embed_after)
    VALUES (:organization_id, now() + CAST(:lease AS interval))
    ON CONFLICT (organization_id) DO UPDATE SET embed_after = excluded.embed_after
    RETURNING space_id
    """
)
_STANDS = text(
    """
    SELECT message_embedding.handle AS wanted, vector_spaces.id, vector_spaces.handle, dimension
    FROM message_embedding LEFT JOIN vector_spaces ON vector_spaces.id = :space_id
    """
)
_AIM = text(
    """
    UPDATE message_spaces SET space_id = :space_id, vector_count = 0, index_name = NULL
    WHERE organization_id = :organization_id AND space_id IS DISTINCT FROM :space_id
    """
)
# Of what has been embedded already the vectors are of another length: all are looked at again.
_LOOK_AGAIN = text("UPDATE message_embedding SET after_id = '' WHERE handle = :handle")
_REST = text(
    """
    UPDATE message_spaces SET problem = :problem, embed_after = now() + CAST(:wait AS interval)
    WHERE organization_id = :organization_id
    """
)
_SETTLE = text(
    """
    UPDATE message_spaces SET problem = '', embed_after = NULL
    WHERE organization_id = :organization_id
    """
)
_DROP = text(
    """
    DELETE FROM message_vectors WHERE (message_id, space_id) IN (
        SELECT message_id, message_vectors.space_id
        FROM vector_spaces JOIN message_vectors ON message_vectors.space_id = vector_spaces.id
        WHERE vector_spaces.organization_id = :organization_id AND vector_spaces.id <> :kept
        LIMIT :limit)
    """
)


async def set_message_model(connection: AsyncConnection, handle: str | None) -> None:
    """Have messages embedded by a model from now on, also those that are there; None ends it.

    Vectors that another model has made are no longer searched, and dropped by and by.
    """
    await connection.execute(_SET_MODEL, {"handle": handle})


async def queue_old_messages(connection: AsyncConnection, *, limit: int, most: int) -> int:
    """Have some messages wait that were there before; returns how many were looked at.

    Args:
        connection: In a transaction.
        limit: How many are looked at.
        most: As soon as so many wait, none are added.
    """
    return int(await connection.scalar(_QUEUE_OLD, {"limit": limit, "most": most}) or 0)


async def forget_waiting_messages(connection: AsyncConnection, *, limit: int) -> int:
    """Where messages are not embedded, let some of those go that wait; returns how many."""
    return (await connection.execute(_FORGET, {"limit": limit})).rowcount


async def list_organizations_to_embed(
    connection: AsyncConnection, *, quiet_s: float, patience_s: float, limit: int
) -> list[str]:
    """Organizations whose messages wait, and that nobody is at.

    Args:
        connection: For one statement.
        quiet_s: See `list_waiting_messages`.
        patience_s: The same.
        limit: At most so many.
    """
    given = {
        "quiet": timedelta(seconds=quiet_s),
        "patience": timedelta(seconds=patience_s),
        "limit": limit,
    }
    return list((await connection.execute(_DUE, given)).scalars())


async def take_messages(
    connection: AsyncConnection, organization_id: str, *, lease_s: float
) -> MessagesToEmbed:
    """How an organization's messages stand; the sweeper leaves them alone for the lease.

    Args:
        connection: In a transaction.
        organization_id: Whose; it is there.
        lease_s: For so many seconds.
    """
    given = {"organization_id": organization_id, "lease": timedelta(seconds=lease_s)}
    space_id = await connection.scalar(_TAKE, given)
    row = (await connection.execute(_STANDS, {"space_id": space_id})).one()
    space = None if row.id is None else Space(row.id, row.handle, row.dimension)
    return MessagesToEmbed(organization_id, row.wanted, space)


async def aim_messages_at(
    connection: AsyncConnection, messages: MessagesToEmbed, handle: str, dimension: int
) -> None:
    """Have messages' vectors made for a space, which is made if need be.

    Args:
        connection: In a transaction.
        messages: How they stood.
        handle: Of the model.
        dimension: Of its vectors.
    """
    owner = messages.organization_id
    space_id = await space_of(connection, owner, handle, dimension)
    await connection.execute(_AIM, {"organization_id": owner, "space_id": space_id})
    if messages.space is not None and messages.space.handle == handle:
        await connection.execute(_LOOK_AGAIN, {"handle": handle})


async def rest_messages(
    connection: AsyncConnection, organization_id: str, problem: str, *, wait_s: float
) -> None:
    """Leave an organization's messages alone for a while."""
    given = {"organization_id": organization_id, "problem": problem}
    await connection.execute(_REST, given | {"wait": timedelta(seconds=wait_s)})


async def settle_messages(connection: AsyncConnection, organization_id: str) -> None:
    """Note that nobody is at them; what waits by now the sweeper finds."""
    await connection.execute(_SETTLE, {"organization_id": organization_id})


async def drop_message_vectors(
    connection: AsyncConnection, organization_id: str, kept: Space, *, limit: int
) -> int:
    """Delete some vectors of spaces that are no longer searched; returns how many."""
    given = {"organization_id": organization_id, "kept": kept.id, "limit": limit}
    return (await connection.execute(_DROP, given)).rowcount
