"""Statements by which messages get the vectors that they wait for. Each bears repeating."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.embedding import Space, Vector, WaitingMessage

# What was said last is what somebody may ask for next: a long history that came from elsewhere
# waits behind it.
_WAITING = text(
    """
    WITH talk AS MATERIALIZED (
        SELECT EXISTS (
            SELECT FROM messages_to_embed WHERE organization_id = :organization_id
              AND created_at >= now() - CAST(:quiet AS interval)) AS goes_on
    ), next AS MATERIALIZED (
        SELECT message_id, created_at, queued_at, goes_on FROM talk, messages_to_embed
        WHERE organization_id = :organization_id AND queued_at < now()
            - CASE WHEN goes_on THEN CAST(:patience AS interval) ELSE CAST(:quiet AS interval) END
        ORDER BY created_at DESC LIMIT :limit
    )
    SELECT message_id AS id, left(said, :most_chars) AS text, md5(said) AS digest,
        goes_on OR next.queued_at > next.created_at + CAST(:new_for AS interval) AS is_patient
    FROM next LEFT JOIN messages ON messages.id = message_id,
    LATERAL (SELECT coalesce(o_message_said(messages), '') AS said) AS one
    ORDER BY next.created_at DESC
    """
)
_COLUMNS = (
    "message_id, space_id, organization_id, agent_id, conversation_id, role, created_at, embedding"
)
# A copy, which a fork makes, says what its original says.
_COPY = text(
    f"""
    WITH made AS (
        INSERT INTO message_vectors ({_COLUMNS})
        SELECT copy.id, vector.space_id, copy.organization_id, copy.agent_id,
            copy.conversation_id, copy.role, copy.created_at, vector.embedding
        FROM messages AS copy
        JOIN messages AS original ON original.id = copy.copy_of
            AND (original.parts, original.tool_calls) = (copy.parts, copy.tool_calls)
        JOIN message_vectors AS vector
            ON vector.message_id = original.id AND vector.space_id = :space_id
        WHERE copy.id = ANY(:ids)
        FOR NO KEY UPDATE OF copy SKIP LOCKED
        ON CONFLICT (message_id, space_id) DO UPDATE SET embedding = excluded.embedding
        RETURNING message_id
    )
    SELECT message_id FROM made
    """  # noqa: S608
)
# Whoever changes or deletes a message comes before or after, and never between. One that somebody
# holds waits for the next time: no turn is to wait for this.
_STORE = text(
    f"""
    WITH made AS (
        SELECT * FROM unnest(
            CAST(:ids AS text[]), CAST(:digests AS text[]), CAST(:vectors AS text[])
        ) AS made (id, digest, vector)
    ), there AS (
        SELECT messages.*, made.vector FROM messages
        JOIN made ON made.id = messages.id AND made.digest = md5(o_message_said(messages))
        FOR NO KEY UPDATE OF messages SKIP LOCKED
    ), kept AS (
        INSERT INTO message_vectors ({_COLUMNS})
        SELECT id, :space_id, organization_id, agent_id, conversation_id, role, created_at,
            CAST(vector AS vector)
        FROM there
        ON CONFLICT (message_id, space_id) DO UPDATE SET embedding = excluded.embedding
        RETURNING message_id
    )
    SELECT message_id FROM kept
    """  # noqa: S608
)
_COUNT = text(
    """
    UPDATE message_spaces SET vector_count = vector_count + :more, problem = ''
    WHERE organization_id = :organization_id AND space_id = :space_id
    """
)
# One that was changed since it was read waits on.
_DONE = text(
    """
    DELETE FROM messages_to_embed USING unnest(
        CAST(:ids AS text[]), CAST(:digests AS text[])) AS done (id, digest)
    WHERE message_id = done.id AND NOT EXISTS (
        SELECT FROM messages WHERE messages.id = done.id
          AND md5(o_message_said(messages)) <> done.digest)
    """
)


async def list_waiting_messages(
    connection: AsyncConnection,
    organization_id: str,
    *,
    limit: int,
    most_chars: int,
    quiet_s: float,
    patience_s: float,
    new_for_s: float,
) -> list[WaitingMessage]:
    """Messages that wait for vectors, the newest first.

    Args:
        connection: For one statement.
        organization_id: Whose.
        limit: At most so many.
        most_chars: How much of a text is read.
        quiet_s: Seconds for which they have waited at least, and nobody has said anything.
        patience_s: Seconds after which they wait no more for a quiet moment.
        new_for_s: How many seconds after it was made a message counts as new when it came here.
    """
    given = {
        "organization_id": organization_id,
        "limit": limit,
        "most_chars": most_chars,
        "quiet": timedelta(seconds=quiet_s),
        "patience": timedelta(seconds=patience_s),
        "new_for": timedelta(seconds=new_for_s),
    }
    rows = await connection.execute(_WAITING, given)
    return [WaitingMessage(row.id, row.text, row.digest, row.is_patient) for row in rows]


async def copy_message_vectors(
    connection: AsyncConnection, organization_id: str, space: Space, ids: Sequence[str]
) -> set[str]:
    """Give copies the vectors of their originals; returns which have them now.

    Args:
        connection: In a transaction.
        organization_id: Whose.
        space: Where they belong.
        ids: Messages that wait; most are no copies.
    """
    found = await connection.execute(_COPY, {"space_id": space.id, "ids": list(ids)})
    kept = set(found.scalars())
    await _count(connection, organization_id, space, len(kept))
    return kept


async def store_message_vectors(
    connection: AsyncConnection,
    organization_id: str,
    space: Space,
    made: Sequence[tuple[WaitingMessage, Vector]],
) -> set[str]:
    """Keep vectors; one of a message that is gone or says something else by now is dropped.

    Args:
        connection: In a transaction.
        organization_id: Whose.
        space: Where they belong.
        made: Messages with their vectors, all of the space's length.

    Returns:
        The messages whose vectors were kept; another that is held by somebody waits on.
    """
    given = {
        "space_id": space.id,
        "ids": [message.id for message, _ in made],
        "digests": [message.digest for message, _ in made],
        "vectors": [str(vector) for _, vector in made],
    }
    kept = set((await connection.execute(_STORE, given)).scalars())
    await _count(connection, organization_id, space, len(kept))
    return kept


async def end_waiting(connection: AsyncConnection, messages: Sequence[WaitingMessage]) -> None:
    """Let messages wait no more: they have their vectors, or get none. Changed ones wait on."""
    given = {"ids": [one.id for one in messages], "digests": [one.digest for one in messages]}
    await connection.execute(_DONE, given)


async def _count(
    connection: AsyncConnection, organization_id: str, space: Space, more: int
) -> None:
    if more:
        given = {"organization_id": organization_id, "space_id": space.id, "more": more}
        await connection.execute(_COUNT, given)
