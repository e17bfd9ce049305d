"""The system prompt of a thread, compiled anew when a client asks for it."""

from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.actors import Actor
from o.domain.agents import Thread
from o.memory.prompt import compile_prompt, prompt_key
from o.storage.agents import get_agent
from o.storage.conversations import get_thread
from o.storage.histories import get_system_prompt
from o.storage.messages import rewrite_system_message
from o.storage.thread_blocks import list_thread_blocks


async def recompile_prompt(
    connection: AsyncConnection,
    actor: Actor,
    thread: Thread,
    *,
    is_due: bool = False,
    is_kept: bool = True,
) -> str:
    """The prompt with memory as it is; one that shows it already stays as it is to the byte.

    Args:
        connection: In a transaction.
        actor: Whose thread it must be.
        thread: Which.
        is_due: Compile also a prompt that shows memory as it is, for the time and the counts.
        is_kept: Store the prompt.

    Raises:
        NotFound: There is no such agent or conversation for this actor.
    """
    conversation = await get_thread(connection, actor, thread, lock=True)
    agent = conversation.agent_here(await get_agent(connection, actor, conversation.agent_id))
    blocks = await list_thread_blocks(connection, conversation)
    key = prompt_key(agent, blocks)
    if key == conversation.prompt_key and not is_due:
        return await get_system_prompt(connection, conversation.id)
    prompt = compile_prompt(
        agent,
        conversation,
        blocks,
        recall_count=conversation.next_position - 1,
        now=datetime.now(UTC),
    )
    if is_kept:
        await rewrite_system_message(connection, conversation.id, prompt, prompt_key=key)
    return prompt
