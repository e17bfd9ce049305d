"""Agents: create, list, retrieve, delete."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from sqlalchemy.ext.asyncio import AsyncConnection

from api.deps import (
    ActorDep,
    AgentId,
    CurrentClientDep,
    IncludeDep,
    PartsDep,
    ReadsDep,
    TransactionDep,
)
from api.wire.agents import AgentBody, CreateAgentBody
from o.domain.actors import Actor
from o.domain.agent_types import SERVED_TYPES
from o.domain.agents import Agent, Conversation
from o.domain.blocks import Block
from o.domain.instructions import default_system
from o.domain.tools import BASE_TOOLS
from o.errors import Conflict, InvalidArgument, NotFound
from o.ids import new_id
from o.llm.catalogue import Catalogue
from o.memory.beginning import first_messages
from o.memory.prompt import prompt_key
from o.storage import agents as stored
from o.storage.blocks import add_block, attach_block, blocks_by_agent
from o.storage.messages import add_messages

router = APIRouter(prefix="/agents", tags=["agents"])


@router.post("/", operation_id="create_agent")
async def create(
    body: CreateAgentBody, connection: TransactionDep, actor: ActorDep, parts: PartsDep
) -> AgentBody:
    """Create an agent with its blocks and its own thread."""
    agent = await _new_agent(body, actor, parts.catalogue)
    blocks = _new_blocks(body, agent)
    conversation = Conversation(
        id=new_id("conv"),
        organization_id=agent.organization_id,
        agent_id=agent.id,
        prompt_key=prompt_key(agent, blocks),
        created_at=agent.created_at,
    )
    first = first_messages(agent, conversation, blocks, None, agent.created_at)
    conversation = conversation.model_copy(update={"next_position": len(first)})
    await stored.add_agent(connection, agent)
    for position, block in enumerate(blocks):
        await add_block(connection, block)
        await attach_block(connection, agent.id, block, position)
    await stored.add_conversation(connection, conversation)
    await add_messages(connection, first)
    return AgentBody.of(agent, message_ids=[message.id for message in first], blocks=blocks)


@router.get("/", operation_id="list_agents")
async def index(
    connection: ReadsDep,
    actor: ActorDep,
    current_client: CurrentClientDep,
    include: IncludeDep,
    name: str | None = None,
    tags: Annotated[list[str] | None, Query()] = None,
    match_all_tags: bool = False,
    query_text: str | None = None,
    before: str | None = None,
    after: str | None = None,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 50,
    order: Literal["asc", "desc"] = "desc",
) -> list[AgentBody]:
    """Agents by the time they were created, the newest first unless asked otherwise."""
    found = await stored.list_agents(
        connection,
        actor,
        name=name,
        tags=tags,
        match_all_tags=match_all_tags,
        query_text=query_text,
        before=before,
        after=after,
        limit=limit,
        ascending=order == "asc",
    )
    return await _bodies(connection, found, include if current_client else None)


@router.get("/{agent_id}", operation_id="retrieve_agent")
async def retrieve(
    agent_id: AgentId,
    connection: ReadsDep,
    actor: ActorDep,
    current_client: CurrentClientDep,
    include: IncludeDep,
) -> AgentBody:
    """One agent; 1.x clients see its blocks, tools and tags when `include` names them."""
    agent = await stored.get_agent(connection, actor, agent_id)
    return (await _bodies(connection, [agent], include if current_client else None))[0]


@router.delete("/{agent_id}", operation_id="delete_agent")
async def delete(agent_id: AgentId, connection: TransactionDep, actor: ActorDep) -> dict[str, str]:
    """Delete an agent with its history. Its workflow is closed a moment later."""
    await stored.mark_agent_deleted(connection, actor, agent_id)
    return {"message": f"Agent id={agent_id} successfully deleted"}


async def _bodies(
    connection: AsyncConnection, agents: list[Agent], include: list[str] | None
) -> list[AgentBody]:
    """Agents as V1 shows them. `include` None shows everything, as clients before 1.0 expect."""
    ids = [agent.id for agent in agents]
    messages = await stored.context_message_ids(connection, ids)
    everything = include is None
    wanted = set(include or ())
    with_blocks = everything or "agent.blocks" in wanted
    blocks = await blocks_by_agent(connection, ids) if with_blocks else {}
    return [
        AgentBody.of(
            agent,
            message_ids=messages.get(agent.id, []),
            blocks=blocks.get(agent.id, []),
            with_tools=everything or "agent.tools" in wanted,
            with_tags=everything or "agent.tags" in wanted,
        )
        for agent in agents
    ]


async def _new_agent(body: CreateAgentBody, actor: Actor, catalogue: Catalogue) -> Agent:
    if body.agent_type not in SERVED_TYPES:
        raise InvalidArgument(f"INVALID_ARGUMENT: agent_type {body.agent_type!r} is not served")
    if body.model is None or "/" not in body.model:
        raise InvalidArgument("INVALID_ARGUMENT: model must be a handle 'provider/model'")
    entry = await catalogue.get(body.model)
    for name in body.tool_names():
        if name not in BASE_TOOLS:
            raise NotFound(f"Tool with name {name} not found")
    now = datetime.now(UTC)
    return Agent(
        id=new_id("agent"),
        organization_id=actor.organization_id,
        name=body.name,
        agent_type=body.agent_type,
        system=body.system or default_system(body.agent_type),
        model=entry.handle,
        embedding=body.embedding,
        model_settings=body.model_settings,
        context_window=body.context_window_limit or entry.context_window,
        description=body.description,
        metadata=body.metadata,
        tags=body.tags,
        tool_names=body.tool_names(),
        timezone=body.timezone,
        created_by_id=actor.user_id,
        last_updated_by_id=actor.user_id,
        created_at=now,
        updated_at=now,
    )


def _new_blocks(body: CreateAgentBody, agent: Agent) -> list[Block]:
    labels = [block.label for block in body.memory_blocks]
    if len(set(labels)) < len(labels):
        raise Conflict("Two memory_blocks have the same label")
    return [
        Block(
            id=new_id("block"),
            organization_id=agent.organization_id,
            label=block.label,
            value=block.value,
            limit_chars=block.limit,
            description=block.description,
            read_only=block.read_only,
            metadata=block.metadata or {},
            tags=block.tags or [],
            created_by_id=agent.created_by_id,
            last_updated_by_id=agent.created_by_id,
            created_at=agent.created_at,
            updated_at=agent.created_at,
        )
        for block in body.memory_blocks
    ]
