"""What a compaction goes by: the window as it is, and the prompt as it is compiled anew."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.actors import Actor
from o.domain.agents import Agent, Conversation, Thread
from o.domain.fallbacks import models_in_turn, settings_for
from o.domain.llm import ToolSpec
from o.domain.messages import Message
from o.domain.runs import Run, RunOptions
from o.memory.context import Prompt
from o.memory.prompt import compile_prompt, prompt_key, prompt_of_request, system_message
from o.memory.summaries import unpacked_summary
from o.memory.tokens import message_tokens, tools_tokens
from o.storage.agents.agents import get_agent
from o.storage.agents.conversations import get_thread
from o.storage.agents.thread_blocks import list_seen_blocks
from o.storage.archives.agent_archives import sum_up_archives
from o.storage.files.directories import read_directories
from o.storage.history.window import read_window
from o.storage.tools.tools import find_tools
from o.storage.turn.runs import list_request_runs
from o.tools.model_request import tools_shown


@dataclass(frozen=True)
class Room:
    """A window that is to be made smaller.

    Attributes:
        agent: As it is in the conversation, called as the model `handle` is.
        handle: The model that reads the prompt.
        run: The run under way, None for none.
        system: The head of the prompt, compiled anew; `prompt` is what of it is stored.
        known: The head as the model has seen it, of which its provider may have a cache.
        before: The summary that stands there now.
        messages: The rest of the prompt, oldest first.
        tools: What the model is shown.
    """

    agent: Agent
    conversation: Conversation
    handle: str
    run: Run | None
    system: Message | None
    known: Message | None
    prompt: str
    prompt_key: str
    before: Message | None
    messages: list[Message]
    tools: list[ToolSpec]

    @property
    def fixed(self) -> int:
        """Tokens of what no compaction takes away."""
        chat = Prompt().chat(self.system)
        return sum(map(message_tokens, chat)) + tools_tokens(self.tools)

    @property
    def summary_tokens(self) -> int:
        """Tokens of the summary that stands there now."""
        return message_tokens({"role": "user", "content": self.before.text}) if self.before else 0

    @property
    def count(self) -> int:
        """How many messages the prompt has, the system message included."""
        return 1 + (self.before is not None) + len(self.messages)

    @property
    def summary(self) -> str | None:
        """What the summary that stands there now says."""
        return unpacked_summary(self.before.text)[0] if self.before else None

    def chat(self) -> list[dict[str, Any]]:
        """The whole prompt as it is."""
        prompt = Prompt()
        for message in [self.before, *self.messages] if self.before else self.messages:
            prompt.add(self.agent, message)
        return prompt.chat(self.known, self.handle)


async def read_room(
    connection: AsyncConnection,
    actor: Actor,
    thread: Thread,
    *,
    run: Run | None = None,
    fallback: int = 0,
) -> Room:
    """Read what a compaction goes by.

    Args:
        connection: Any.
        actor: Whose conversation it must be.
        thread: Which.
        run: The run under way.
        fallback: How many of the agent's models it has given up.

    Raises:
        NotFound: There is no such conversation any more.
        Unreadable: Some of it is stored, and cannot be read.
    """
    conversation = await get_thread(connection, actor, thread)
    agent = conversation.agent_here(await get_agent(connection, actor, conversation.agent_id))
    options = run.options if run else RunOptions()
    models = models_in_turn(options.override_model or agent.model, agent.model_settings)
    place = min(fallback, len(models) - 1)
    settings = settings_for(agent.model_settings, place)
    agent = agent.model_copy(update={"model_settings": settings})
    window = await read_window(connection, conversation)
    blocks = await list_seen_blocks(connection, agent)
    directories, files = await read_directories(connection, agent)
    now = datetime.now(UTC)
    prompt = compile_prompt(
        agent,
        conversation,
        blocks,
        recall_count=conversation.next_position - 1,
        archival=await sum_up_archives(connection, agent.id),
        directories=directories,
        now=now,
    )
    stored = await find_tools(connection, agent.organization_id, names=agent.tool_names, lock=False)
    return Room(
        agent,
        conversation,
        models[place],
        run,
        prompt_of_request(system_message(agent, conversation, prompt, now), options),
        prompt_of_request(window.system, options),
        prompt,
        prompt_key(agent, blocks, files),
        window.summary,
        await _shown(connection, agent, run, window.messages),
        tools_shown(agent, models[place], agent.tool_names, options.client_tools or (), stored),
    )


async def _shown(
    connection: AsyncConnection, agent: Agent, run: Run | None, messages: list[Message]
) -> list[Message]:
    """What of the window is in the prompt: an agent may be shown the request under way only."""
    if run is None or not agent.message_buffer_autoclear:
        return messages
    shown = {run.id, *await list_request_runs(connection, run)}
    return [message for message in messages if message.run_id in shown]
