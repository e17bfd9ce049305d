"""Words of messages that earlier releases have stored without."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

# Two that do it at once do the same; what is new gets its words as it is stored.
_KEEP = text(
    """
    WITH place AS (
        SELECT after_id FROM message_terms_backlog LIMIT 1 FOR UPDATE SKIP LOCKED
    ), old AS MATERIALIZED (
        SELECT one.message, one.id FROM place, LATERAL (
            SELECT messages AS message, messages.id FROM messages
            WHERE messages.id > place.after_id ORDER BY messages.id LIMIT :limit
        ) AS one
    ), kept AS (
        INSERT INTO message_terms
            (message_id, agent_id, conversation_id, role, created_at, terms)
        SELECT (message).id, (message).agent_id, (message).conversation_id, (message).role,
            (message).created_at, o_message_terms(message)
        FROM old WHERE (message).role IN ('user', 'assistant')
        ON CONFLICT (message_id) DO NOTHING
    ), moved AS (
        UPDATE message_terms_backlog SET after_id = (SELECT max(id) FROM old)
        WHERE EXISTS (SELECT FROM old)
    ), done AS (
        DELETE FROM message_terms_backlog
        WHERE EXISTS (SELECT FROM place) AND NOT EXISTS (SELECT FROM old)
    )
    SELECT count(*) FROM old
    """
)


async def keep_old_words(connection: AsyncConnection, *, limit: int) -> int:
    """Find out the words of some old messages; returns how many were looked at, 0 at the end."""
    return int(await connection.scalar(_KEEP, {"limit": limit}) or 0)
