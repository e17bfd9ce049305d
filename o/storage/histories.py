"""Changes of a conversation's history other than appending: each counts its epoch up."""

from collections.abc import Sequence

from sqlalchemy import delete, exists, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.actors import Actor
from o.domain.agents import Conversation
from o.domain.messages import Message
from o.domain.runs import OPEN_STATUSES
from o.storage.agents import agent_not_found
from o.storage.messages import rewrite_system_message
from o.storage.rows import columns_of, model_of, row_of
from o.storage.tables import agents, conversations, messages, runs


async def lock_own_thread(connection: AsyncConnection, actor: Actor, agent_id: str) -> Conversation:
    """The agent's default conversation, to which nobody appends in this transaction.

    Raises:
        NotFound: There is no such agent for this actor.
    """
    rows = await connection.execute(
        select(*columns_of(conversations, Conversation))
        .join(agents, agents.c.id == conversations.c.agent_id)
        .where(
            agents.c.id == agent_id,
            agents.c.organization_id == actor.organization_id,
            agents.c.deleted_at.is_(None),
            conversations.c.is_default,
        )
        .with_for_update(of=conversations, key_share=True)
    )
    row = rows.mappings().one_or_none()
    if row is None:
        raise agent_not_found(agent_id)
    return model_of(Conversation, row)


async def get_system_prompt(connection: AsyncConnection, conversation_id: str) -> str:
    """The stored prompt of a conversation, as it was last compiled."""
    parts = await connection.scalar(
        select(messages.c.parts).where(
            messages.c.conversation_id == conversation_id, messages.c.position == 0
        )
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

    What a run that is open has said and called stays whole, so that it can go on; `first` is
    then its system message only, because nothing may come between a call and its return.

    Args:
        connection: In the transaction that has locked the conversation.
        conversation: Whose messages go.
        first: The system message, and what follows it from position 1 on.
        prompt_key: What the system message was compiled from.
    """
    behind = (messages.c.conversation_id == conversation.id) & (messages.c.position > 0)
    is_of_open_run = exists().where(
        runs.c.id == messages.c.run_id, runs.c.status.in_(OPEN_STATUSES)
    )
    await connection.execute(delete(messages).where(behind, ~is_of_open_run))
    await connection.execute(
        update(conversations)
        .where(conversations.c.id == conversation.id)
        .values(epoch=conversations.c.epoch + 1)
    )
    if not await connection.scalar(select(func.count()).where(behind)):
        others = [row_of(messages, message) for message in first[1:]]
        if others:
            await connection.execute(insert(messages).values(others))
        await connection.execute(
            update(conversations)
            .where(conversations.c.id == conversation.id)
            .values(next_position=len(first))
        )
    await rewrite_system_message(connection, conversation.id, first[0].text, prompt_key=prompt_key)
