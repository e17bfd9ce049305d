"""What stands in a context window, read for whoever wants to see it."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.agents import Conversation
from o.memory.fill import Reported

MOST_MESSAGES = 10_000
"""As many stand in a window at most, the newest. A history that came from elsewhere, or is older
than compaction, may have more: what takes seconds to read gets no turn to its end."""

WINDOW_START = (
    f"greatest(conversations.window_start, conversations.next_position - {MOST_MESSAGES} - 1)"
)
"""In SQL, the position behind which the window of a row `conversations` begins."""

# Of a range that is open at one end PostgreSQL expects a third of all there is, and so reads the
# whole table where one agent has most of it; of one with two ends, a two-hundredth.
WINDOW_IDS = f"""(
    SELECT coalesce(jsonb_agg(shown.id ORDER BY shown.place), '[]')
    FROM (
        SELECT coalesce(copy_of, id) AS id, 0 AS place FROM messages
        WHERE messages.conversation_id = conversations.id AND messages.position = 0
        UNION ALL
        SELECT coalesce(copy_of, id), 1 FROM messages
        WHERE messages.id = conversations.summary_id AND NOT agents.message_buffer_autoclear
        UNION ALL
        SELECT coalesce(copy_of, id), messages.position + 1 FROM messages
        WHERE messages.conversation_id = conversations.id
          AND messages.position > {WINDOW_START}
          AND messages.position < conversations.next_position AND messages.role <> 'summary'
          AND NOT messages.is_aside AND NOT agents.message_buffer_autoclear
    ) AS shown
)"""  # noqa: S608
"""In SQL, as JSON, the ids of the messages that stand in the window of a row `conversations` of a
row `agents`: the system message, the summary, and what is not told by it. What is aside
(`messages.is_aside`) is left out, as another server did. An agent that clears its buffer has
nothing there but the system message."""

REPORTED = """(
    SELECT jsonb_build_object(
        'model', steps.model,
        'estimated', coalesce(o_used(steps.usage, 'estimated_tokens'), 0),
        'prompt_tokens', coalesce(o_used(steps.usage, 'prompt_tokens'), 0))
    FROM messages LEFT JOIN messages AS source ON source.id = messages.copy_of
    JOIN steps ON steps.id = coalesce(messages.step_id, source.step_id)
    WHERE messages.conversation_id = conversations.id AND messages.role = 'assistant'
      AND messages.position > conversations.next_position - 200
      AND messages.position < conversations.next_position -- see WINDOW_IDS
    ORDER BY messages.position DESC LIMIT 1
)"""
"""In SQL, as JSON, what was reported of the newest prompt of a row `conversations`, in a fork of
its source's before it was made; null where that is long ago: nobody is to read a whole history
for it."""

_REPORTED = text(f"SELECT {REPORTED} FROM conversations WHERE id = :conversation_id")  # noqa: S608

# Positions rise with gaps; nobody counts a hundred thousand messages for this.
_RECALL = text(
    """
    SELECT coalesce(sum(greatest(next_position - 1, 0)), 0) FROM conversations
    WHERE agent_id = :agent_id AND deleted_at IS NULL
    """
)


async def newest_report(connection: AsyncConnection, conversation: Conversation) -> Reported | None:
    """What a provider said of the conversation's newest prompt."""
    found = await connection.scalar(_REPORTED, {"conversation_id": conversation.id})
    return Reported(**found) if found else None


async def count_messages(connection: AsyncConnection, agent_id: str) -> int:
    """About how many messages the conversations of an agent hold, the system messages not."""
    return int(await connection.scalar(_RECALL, {"agent_id": agent_id}) or 0)
