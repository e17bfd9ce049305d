"""What stands in an agent's context window."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from api.bodies import answer
from api.deps import ActorDep, AgentId, PartsDep
from api.wire.context import ContextBody
from o.domain.actors import Actor
from o.domain.agents import Agent, Conversation, Thread
from o.domain.archives import ArchivalSummary
from o.domain.messages import TextPart
from o.ids import pattern
from o.memory.overview import Window, overview
from o.memory.prompt import compile_prompt, prompt_key
from o.storage.agents.agents import get_agent, thread_not_found
from o.storage.agents.conversations import get_thread
from o.storage.agents.thread_blocks import list_seen_blocks
from o.storage.archives.agent_archives import sum_up_archives
from o.storage.files.directories import read_directories
from o.storage.history.context_windows import count_messages, newest_report
from o.storage.history.window import read_window
from o.storage.tools.tools import find_tools
from o.tools.model_request import tools_shown

router = APIRouter(prefix="/agents/{agent_id}/context", tags=["agents"])


@dataclass(frozen=True)
class _Seen:
    """A window, and how much the agent remembers besides."""

    window: Window
    archival: int
    recall: int


@router.get(
    "",
    operation_id="retrieve_agent_context_window",
    summary="Retrieve what stands in an agent's context window",
    response_model=ContextBody,
    deprecated=True,
)
async def retrieve(
    agent_id: AgentId,
    actor: ActorDep,
    parts: PartsDep,
    conversation_id: Annotated[
        str | None,
        Query(
            pattern=f"^default$|{pattern('conv')}",
            description="A conversation of the agent; its own thread where none is named",
        ),
    ] = None,
) -> Response:
    """The window as the next turn finds it, part by part, with the tokens of each.

    All of it together is what the provider reported last, with what has come since as it is
    estimated; the parts are estimates in the same proportion.
    """
    named = None if conversation_id == "default" else conversation_id
    async with parts.database.begin() as connection:  # all of it is of one moment
        seen = await _look(connection, actor, agent_id, named)
    counted = await asyncio.to_thread(overview, seen.window)
    body = ContextBody.of(seen.window, counted, archival=seen.archival, recall=seen.recall)
    return answer(body)


async def _look(
    connection: AsyncConnection, actor: Actor, agent_id: str, conversation_id: str | None
) -> _Seen:
    own = await get_agent(connection, actor, agent_id)
    named = Thread(conversation_id) if conversation_id else Thread(agent_id=agent_id)
    conversation = await get_thread(connection, actor, named)
    if conversation.agent_id != agent_id:
        raise thread_not_found(named)
    agent = conversation.agent_here(own)
    found = await read_window(connection, conversation)
    stored = await find_tools(connection, actor.organization_id, names=agent.tool_names, lock=False)
    recall = await count_messages(connection, agent_id)
    archives = await sum_up_archives(connection, agent_id)
    system = found.system
    if system is not None:
        text = await _prompt(connection, agent, conversation, system.text, archives)
        system = system.model_copy(update={"parts": [TextPart(text=text)]})
    forgets = agent.message_buffer_autoclear
    window = Window(
        agent,
        system,
        None if forgets else found.summary,
        [] if forgets else found.messages,
        tools_shown(agent, agent.model, agent.tool_names, stored=stored),
        await newest_report(connection, conversation),
    )
    return _Seen(window, archives.passage_count, recall)


async def _prompt(
    connection: AsyncConnection,
    agent: Agent,
    conversation: Conversation,
    stored: str,
    archives: ArchivalSummary,
) -> str:
    """The system prompt as the next turn has it: what was changed since stands in it."""
    blocks = await list_seen_blocks(connection, agent)
    directories, files = await read_directories(connection, agent)
    if prompt_key(agent, blocks, files) == conversation.prompt_key:
        return stored
    return compile_prompt(
        agent,
        conversation,
        blocks,
        recall_count=conversation.next_position - 1,
        archival=archives,
        directories=directories,
        now=datetime.now(UTC),
    )
