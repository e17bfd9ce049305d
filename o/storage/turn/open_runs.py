"""Which conversations have open runs: asked again and again, however many runs are open.

The statements walk along an index from one conversation to the next, a bounded number of them, and
read no run whole.
"""

from dataclasses import dataclass

from sqlalchemy import Integer, bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

_OPEN = "runs.conversation_id = conversations.id AND runs.status IN ('created', 'running')"
_CONVERSATIONS = text(
    f"""
    WITH RECURSIVE walk (id, place) AS (
        SELECT CAST(:after AS text), 0
        UNION ALL
        SELECT (
            SELECT runs.conversation_id FROM runs
            WHERE runs.status IN ('created', 'running') AND runs.conversation_id > walk.id
            ORDER BY runs.conversation_id LIMIT 1
        ), walk.place + 1
        FROM walk WHERE walk.id IS NOT NULL AND walk.place < :limit
    )
    SELECT walk.id,
        conversations.deleted_at IS NULL AND agents.deleted_at IS NULL AND (
            SELECT runs.created_at < now() - make_interval(secs => :older_than_s)
            FROM runs WHERE {_OPEN} ORDER BY runs.created_at LIMIT 1
        ) AS is_due,
        EXISTS (SELECT FROM runs WHERE {_OPEN} AND runs.status = 'running') AS has_begun,
        EXISTS (
            SELECT FROM approvals
            WHERE approvals.conversation_id = conversations.id AND approvals.status = 'pending'
        ) AS waits
    FROM walk
    JOIN conversations ON conversations.id = walk.id
    JOIN agents ON agents.id = conversations.agent_id
    WHERE walk.place > 0
    ORDER BY walk.place
    """  # noqa: S608
).bindparams(bindparam("limit", type_=Integer))


@dataclass(frozen=True)
class OpenConversation:
    """A conversation that has an open run.

    Attributes:
        is_due: Whether its oldest open run is of the age asked for, and nothing of it deleted.
        has_begun: Whether one of them has begun.
        waits: Whether it waits for an answer to an approval request.
    """

    id: str
    is_due: bool
    has_begun: bool
    waits: bool


async def list_open_conversations(
    connection: AsyncConnection, *, older_than_s: float = 0.0, after: str = "", limit: int
) -> list[OpenConversation]:
    """The next conversations behind `after`, by id, that have open runs; fewer only at the end.

    Args:
        connection: Any.
        older_than_s: The age from which an open run is due to be looked at.
        after: The last one of the page before, empty for the first page.
        limit: How many at most, those that are not due among them.
    """
    given = {"older_than_s": older_than_s, "after": after, "limit": limit}
    rows = await connection.execute(_CONVERSATIONS, given)
    return [OpenConversation(row.id, bool(row.is_due), row.has_begun, row.waits) for row in rows]
