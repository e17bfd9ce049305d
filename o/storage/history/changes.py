"""Changes of a conversation's history other than appending: each counts its epoch up."""

from collections.abc import Sequence

from sqlalchemy import delete, exists, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.agents import Conversation
from o.domain.messages import Message
from o.storage.conditions import is_open
from o.storage.history.messages import (
    add_first_messages,
    is_system_message_of,
    rewrite_system_message,
)
from o.storage.tables.core import conversations, messages, runs

# The ids of runs and steps stay with the originals, and so do the `otid`s: a copy answers nobody.
_COPIED = (
    *("agent_id", "organization_id", "role", "parts", "tool_calls", "tool_return", "approval"),
    *("name", "sender_id", "extras", "is_aside", "created_at"),
)
# The low 7 bits of a message's id are zero (`o.ids.new_id`).
_COPY = text(
    f"""
    WITH unfinished AS (
        SELECT coalesce(runs.origin_run_id, runs.id) AS origin_id FROM runs
        WHERE runs.conversation_id = :source_id
          AND (runs.status IN ('created', 'running') OR EXISTS (
              SELECT FROM approvals
              WHERE approvals.run_id = runs.id AND approvals.status = 'pending'
          ))
    ), cut AS (
        SELECT min(messages.position) AS position
        FROM messages JOIN runs ON runs.id = messages.run_id
        WHERE messages.conversation_id = :source_id
          AND coalesce(runs.origin_run_id, runs.id) IN (SELECT origin_id FROM unfinished)
    ), source AS (
        SELECT window_start, summary_id FROM conversations WHERE id = :source_id
    ), copied AS (
        INSERT INTO messages (id, conversation_id, position, copy_of, {", ".join(_COPIED)})
        SELECT 'message-' || left(gen_random_uuid()::text, 34) || '00', :target_id,
            row_number() OVER (ORDER BY messages.position), coalesce(copy_of, messages.id),
            {", ".join(_COPIED)}
        FROM messages CROSS JOIN cut
        WHERE messages.conversation_id = :source_id AND messages.position > 0
          AND (cut.position IS NULL OR messages.position < cut.position
               OR messages.id = (SELECT summary_id FROM source))
        RETURNING id, copy_of, position
    )
    UPDATE conversations SET next_position = 1 + (SELECT count(*) FROM copied),
        summary_id = (
            SELECT copied.id FROM copied JOIN messages ON messages.id = source.summary_id
            WHERE copied.copy_of = coalesce(messages.copy_of, messages.id)
        ),
        window_start = (
            SELECT count(*) FROM messages CROSS JOIN cut
            WHERE messages.conversation_id = :source_id AND messages.position > 0
              AND messages.position <= source.window_start
              AND (cut.position IS NULL OR messages.position < cut.position)
        )
    FROM source WHERE conversations.id = :target_id
    """  # noqa: S608
)


async def get_system_prompt(connection: AsyncConnection, conversation_id: str) -> str:
    """The stored prompt of a conversation, as it was last compiled."""
    parts = await connection.scalar(
        select(messages.c.parts).where(is_system_message_of(conversation_id))
    )
    return "\n".join(part["text"] for part in parts or ())


async def reset_history(
    connection: AsyncConnection,
    conversation: Conversation,
    first: Sequence[Message],
    *,
    prompt_key: str,
) -> None:
    """Let a locked conversation begin anew with `first`, whose system message keeps its row.

    What a run that is open has said and called stays whole, so that it can go on, and so does
    what it carries on; `first` is then its system message only, because nothing may come between
    a call and its return.

    Args:
        connection: In the transaction that has locked the conversation.
        conversation: Whose messages go.
        first: The system message, and what follows it from position 1 on.
        prompt_key: What the system message was compiled from.
    """
    behind = (messages.c.conversation_id == conversation.id) & (messages.c.position > 0)
    under_way = runs.alias("under_way")
    is_of_open_run = exists().where(
        runs.c.id == messages.c.run_id,
        under_way.c.conversation_id == conversation.id,
        is_open(under_way),
        func.coalesce(under_way.c.origin_run_id, under_way.c.id)
        == func.coalesce(runs.c.origin_run_id, runs.c.id),
    )
    await connection.execute(delete(messages).where(behind, ~is_of_open_run))
    await connection.execute(
        update(conversations)
        .where(conversations.c.id == conversation.id)
        .values(epoch=conversations.c.epoch + 1, window_start=0, summary_id=None)
    )
    if not await connection.scalar(select(func.count()).where(behind)):
        if first[1:]:
            await add_first_messages(connection, first[1:])
        await connection.execute(
            update(conversations)
            .where(conversations.c.id == conversation.id)
            .values(next_position=len(first))
        )
    await rewrite_system_message(connection, conversation.id, first[0].text, prompt_key=prompt_key)


async def copy_history(connection: AsyncConnection, source_id: str, target_id: str) -> None:
    """Copy what follows the system message behind that of a new conversation.

    The copy ends with the last request that is done: one that is under way, or that waits for an
    approval, is left out from its first message on, so that no call in it is without its return.

    Args:
        connection: In the transaction that has locked the source and stored the target.
        source_id: The conversation to copy from.
        target_id: A conversation that has its system message only.
    """
    await connection.execute(_COPY, {"source_id": source_id, "target_id": target_id})
