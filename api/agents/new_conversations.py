"""Conversations as they begin: empty, or with a copy of what was said in another one."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from api.wire.conversations import CreateConversationBody
from o.domain.actors import Actor
from o.domain.agents import AgentState, Conversation, Thread
from o.domain.blocks import Block
from o.domain.messages import InputMessage
from o.errors import InvalidArgument
from o.ids import new_id
from o.memory.initial_messages import first_messages
from o.memory.prompt import prompt_key
from o.storage.agents.agents import add_conversation, get_agent_state
from o.storage.agents.conversations import get_thread
from o.storage.agents.thread_blocks import add_isolated_blocks, list_isolated_blocks
from o.storage.files.directories import read_directories
from o.storage.history.changes import copy_history
from o.storage.history.messages import add_first_messages


async def start_conversation(
    connection: AsyncConnection,
    actor: Actor,
    agent_id: str,
    body: CreateConversationBody,
    *,
    model: str | None,
) -> str:
    """Store a conversation with what agents of this type begin with; returns its id.

    Args:
        connection: In a transaction.
        actor: Who asks.
        agent_id: With whom.
        body: What was asked for.
        model: The handle of the model asked for, None for the agent's.

    Raises:
        NotFound: There is no such agent for this actor.
        InvalidArgument: The agent has no block by a label that is to be isolated.
    """
    state = await get_agent_state(connection, actor, agent_id)
    labels = set(body.isolated_block_labels or ())
    if missing := labels - {block.label for block in state.blocks}:
        raise InvalidArgument(
            f"INVALID_ARGUMENT: agent {agent_id} has no block with the label {min(missing)!r}"
        )
    isolated = [block for block in state.blocks if block.label in labels]
    given = {"summary": body.summary, "model": model, "model_settings": body.model_settings}
    return await _begin(connection, actor, state, given, isolated, initial=None)


async def fork_conversation(connection: AsyncConnection, actor: Actor, thread: Thread) -> str:
    """Store a conversation that goes on from a copy of another one; returns its id.

    Blocks that the source has to itself are copied too; the prompt is compiled anew.

    Raises:
        NotFound: There is no such agent or conversation for this actor.
    """
    source = await get_thread(connection, actor, thread, lock=True)
    state = await get_agent_state(connection, actor, source.agent_id)
    isolated = await list_isolated_blocks(connection, source.id)
    given = source.model_dump(include={"summary", "model", "model_settings"})
    forked_id = await _begin(connection, actor, state, given, isolated, initial=[])
    await copy_history(connection, source.id, forked_id)
    return forked_id


async def _begin(
    connection: AsyncConnection,
    actor: Actor,
    state: AgentState,
    given: dict[str, Any],
    isolated: Sequence[Block],
    *,
    initial: Sequence[InputMessage] | None,
) -> str:
    """Store a conversation with its first messages and with copies of the `isolated` blocks."""
    now = datetime.now(UTC)
    copies = {block.label: _copy(block, actor, now) for block in isolated}
    blocks = [copies.get(block.label, block) for block in state.blocks]
    conversation = Conversation(
        **given,
        id=new_id("conv"),
        organization_id=actor.organization_id,
        agent_id=state.agent.id,
        is_default=False,
        created_by_id=actor.user_id,
        last_updated_by_id=actor.user_id,
        created_at=now,
        updated_at=now,
    )
    agent = conversation.agent_here(state.agent)
    directories, files = await read_directories(connection, agent)
    first = first_messages(agent, conversation, blocks, initial, now, directories)
    stored = {"prompt_key": prompt_key(agent, blocks, files), "next_position": len(first)}
    await add_conversation(connection, conversation.model_copy(update=stored))
    await add_isolated_blocks(connection, conversation.id, list(copies.values()))
    await add_first_messages(connection, first)
    return conversation.id


def _copy(block: Block, actor: Actor, now: datetime) -> Block:
    """A new block that holds the same, with a history of its own."""
    return block.model_copy(
        update={
            "id": new_id("block"),
            "version": 1,
            "changed_by": actor.user_id,
            "changed_via": "api",
            "changed_in": None,
            "created_by_id": actor.user_id,
            "last_updated_by_id": actor.user_id,
            "created_at": now,
            "updated_at": now,
        }
    )
