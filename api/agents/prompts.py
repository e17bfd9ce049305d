"""The system prompt of a thread, compiled anew when a client asks for it."""

from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.actors import Actor
from o.domain.agents import Agent, Conversation, Thread
from o.memory.prompt import compile_prompt, prompt_key
from o.storage.agents.agents import get_agent
from o.storage.agents.conversations import get_thread
from o.storage.agents.thread_blocks import list_seen_blocks
from o.storage.archives.agent_archives import sum_up_archives
from o.storage.files.directories import read_directories
from o.storage.history.changes import get_system_prompt
from o.storage.history.messages import rewrite_system_message


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
    now = datetime.now(UTC)
    prompt, key = await compiled_prompt(connection, conversation, agent, now, is_due=is_due)
    if is_kept and (is_due or key != conversation.prompt_key):
        await rewrite_system_message(connection, conversation.id, prompt, prompt_key=key)
    return prompt


async def compiled_prompt(
    connection: AsyncConnection,
    conversation: Conversation,
    agent: Agent,
    now: datetime,
    *,
    is_due: bool = False,
) -> tuple[str, str]:
    """The prompt with memory as it is, and what it is compiled from (`prompt_key`).

    Args:
        connection: Any.
        conversation: Whose prompt.
        agent: As it acts there.
        now: When it is compiled, if it is.
        is_due: Compile also a prompt that shows memory as it is.
    """
    blocks = await list_seen_blocks(connection, agent)
    directories, files = await read_directories(connection, agent)
    key = prompt_key(agent, blocks, files)
    if key == conversation.prompt_key and not is_due:
        return await get_system_prompt(connection, conversation.id), key
    prompt = compile_prompt(
        agent,
        conversation,
        blocks,
        recall_count=conversation.next_position - 1,
        archival=await sum_up_archives(connection, agent.id),
        directories=directories,
        now=now,
    )
    return prompt, key
