"""Agents: create, list, count, retrieve, change, delete."""

from dataclasses import replace
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from api.access.auth import current_actor
from api.agents.agent_answers import agent_answer, agents_answer, stored_agent_answer
from api.agents.block_limits import check_limits
from api.agents.new_agents import (
    agent_changes,
    check_embedding,
    model_asked_for,
    model_of_new,
    new_agent,
)
from api.bodies import answer
from api.deps import (
    ActorDep,
    AgentId,
    PageDep,
    Parts,
    PartsDep,
    ReadsDep,
    RelationsDep,
    TransactionDep,
    id_in_path,
    parts_of,
    relations_of,
)
from api.documentation import RELATIONS, documented, in_path
from api.edge.calls import refuse_to_tools
from api.tools.named_tools import tools_named
from api.wire.agent_requests import CreateAgentBody, UpdateAgentBody
from api.wire.agents import EVERYTHING, AgentBody
from o.domain.actors import Actor
from o.domain.agents import AgentState, Conversation
from o.domain.tool_variables import ToolVariable
from o.ids import new_id
from o.memory.initial_messages import first_messages
from o.memory.prompt import prompt_key
from o.storage.agents import agents as stored
from o.storage.agents.agent_blocks import attach_blocks, detach_all_blocks
from o.storage.agents.blocks import add_blocks, get_blocks
from o.storage.agents.identities import get_identities
from o.storage.agents.identity_links import set_identities_of_agent
from o.storage.archives.agent_archives import mark_own_archives_deleted
from o.storage.files.agent_folders import set_folders
from o.storage.files.folders import get_folders
from o.storage.files.open_files import lock_open_files
from o.storage.history.messages import add_first_messages
from o.tools.files import with_file_tools

router = APIRouter(prefix="/agents", tags=["agents"])


async def _filter(
    name: str | None = None,
    tags: Annotated[list[str] | None, Query()] = None,
    match_all_tags: bool = False,
    query_text: str | None = None,
    project_id: str | None = None,
    template_id: str | None = None,
    base_template_id: str | None = None,
    identity_id: str | None = None,
    identifier_keys: Annotated[list[str] | None, Query()] = None,
    last_stop_reason: str | None = None,
    created_by_id: str | None = None,
    show_hidden_agents: Annotated[bool, Query(include_in_schema=False)] = False,
) -> stored.AgentFilter:
    """What `list_agents` and `count_agents` of V1 filter by."""
    return stored.AgentFilter(
        name=name,
        tags=tags,
        match_all_tags=match_all_tags,
        query_text=query_text,
        project_id=project_id,
        template_id=template_id,
        base_template_id=base_template_id,
        last_stop_reason=last_stop_reason,
        created_by_id=created_by_id,
        identity_id=identity_id,
        identifier_keys=identifier_keys,
        with_hidden=show_hidden_agents,
    )


FilterDep = Annotated[stored.AgentFilter, Depends(_filter)]
SortKey = Literal["created_at", "updated_at", "last_run_completion"]


@router.post("/", operation_id="create_agent", summary="Create an agent", response_model=AgentBody)
async def create(
    body: CreateAgentBody,
    request: Request,
    actor: ActorDep,
    parts: PartsDep,
    x_project_id: Annotated[str | None, Header()] = None,
) -> Response:
    """Create an agent with its blocks and its own thread."""
    refuse_to_tools(request.scope, tools=body.tools, **body.powers())
    entry = await model_of_new(body, actor, parts.catalogue)
    await check_embedding(body, actor, parts.catalogue)
    async with parts.database.begin() as connection:
        attached = await get_blocks(connection, actor, body.block_ids or ())
        tools = await tools_named(
            connection, actor, names=body.tool_names(), ids=body.tool_ids or ()
        )
        folders = await get_folders(connection, actor, body.folders() or ())
        new = new_agent(body, actor, entry, tools, x_project_id)
        check_limits(new.blocks, parts.settings)
        agent, blocks = new.agent, [*new.blocks, *attached]
        if folders:
            names = with_file_tools(agent.tool_names)
            agent = agent.model_copy(update={"tool_names": names})
        thread = Conversation(
            id=new_id("conv"),
            organization_id=agent.organization_id,
            agent_id=agent.id,
            prompt_key=prompt_key(agent, blocks),
            created_by_id=actor.user_id,
            last_updated_by_id=actor.user_id,
            created_at=agent.created_at,
            updated_at=agent.created_at,
        )
        initial = body.initial_message_sequence
        given = None if initial is None else [message.to_input() for message in initial]
        first = first_messages(agent, thread, blocks, given, agent.created_at)
        await stored.add_agent(connection, agent)
        await add_blocks(connection, new.blocks)
        await attach_blocks(connection, agent.id, blocks)
        await stored.add_conversation(
            connection, thread.model_copy(update={"next_position": len(first)})
        )
        await add_first_messages(connection, first)
        if folders:
            await set_folders(connection, agent, folders)
        await _set_identities(connection, actor, agent.id, body)
        variables = await _set_variables(parts, connection, actor, agent.id, body)
        ids = [message.id for message in first]
        state = AgentState(agent=agent, blocks=blocks, message_ids=ids, tools=tools.stored)
        shown = replace(
            EVERYTHING, identities=bool(body.identity_ids), groups=False, sources=bool(folders)
        )
        return await agent_answer(connection, state, shown, variables)


@router.get(
    "/",
    operation_id="list_agents",
    summary="List agents",
    response_model=list[AgentBody],
    openapi_extra=documented(*RELATIONS),
)
async def index(
    connection: ReadsDep,
    actor: ActorDep,
    shown: RelationsDep,
    wanted: FilterDep,
    page: PageDep,
    parts: PartsDep,
    order_by: SortKey = "created_at",
    sort_by: Annotated[SortKey | None, Query(deprecated=True)] = None,
) -> Response:
    """Agents, the newest first unless asked otherwise."""
    return await agents_answer(
        connection, parts, actor, wanted, page, shown, sort_by=sort_by or order_by
    )


@router.get("/count", operation_id="count_agents", summary="Count agents", response_model=int)
async def count(connection: ReadsDep, actor: ActorDep, wanted: FilterDep) -> Response:
    """How many agents there are; takes the filters of the list."""
    return answer(await stored.count_agents(connection, actor, wanted))


@router.get(
    "/{agent_id}",
    operation_id="retrieve_agent",
    summary="Retrieve an agent",
    response_model=AgentBody,
    openapi_extra=documented(in_path("agent"), *RELATIONS),
)
async def retrieve(request: Request) -> Response:
    """One agent; 1.x clients see its blocks, tools, tags and secrets when `include` names them."""
    agent_id = id_in_path(request, "agent")
    parts, actor, shown = parts_of(request), await current_actor(request), relations_of(request)
    text = await stored.read_agent_state(
        parts.database.shared_reads,
        actor,
        agent_id,
        with_blocks=shown.blocks,
        with_tools=shown.tools,
    )
    if not shown.are_beside:
        return stored_agent_answer(text, agent_id, shown)
    state = stored.state_of(text, agent_id)
    async with parts.database.connect() as connection:
        variables = await parts.variables.of_agents(connection, [agent_id]) if shown.secrets else {}
        return await agent_answer(connection, state, shown, variables.get(agent_id, ()))


@router.patch(
    "/{agent_id}", operation_id="modify_agent", summary="Change an agent", response_model=AgentBody
)
async def update(
    agent_id: AgentId,
    body: UpdateAgentBody,
    request: Request,
    actor: ActorDep,
    parts: PartsDep,
) -> Response:
    """Change an agent. Its next turn goes by what it is then."""
    refuse_to_tools(request.scope, **body.powers())
    entry = await model_asked_for(body, actor, parts.catalogue)
    await _check_embedding_of(agent_id, body, actor, parts)
    async with parts.database.begin() as connection:
        await stored.get_agent(connection, actor, agent_id)  # that it is missing is said first
        blocks = await get_blocks(connection, actor, body.block_ids or ())
        tools = None
        if body.tool_ids is not None:
            tools = await tools_named(connection, actor, ids=body.tool_ids)
        folders = await get_folders(connection, actor, body.folders() or ())
        if body.folders() is not None:
            await lock_open_files(connection, agent_id)
        agent = await stored.get_agent(connection, actor, agent_id, lock=True)
        changes = agent_changes(body, agent, entry, tools)
        await stored.change_agent(connection, actor, agent_id, changes)
        if body.block_ids is not None:
            await detach_all_blocks(connection, agent_id)
            await attach_blocks(connection, agent_id, blocks)
        if body.folders() is not None:
            await set_folders(connection, agent, folders)
        await _set_identities(connection, actor, agent_id, body)
        variables = await _set_variables(parts, connection, actor, agent_id, body)
        state = await stored.get_agent_state(connection, actor, agent_id)
        return await agent_answer(connection, state, variables=variables)


async def _check_embedding_of(
    agent_id: str, body: UpdateAgentBody, actor: Actor, parts: Parts
) -> None:
    """See that another embedding model is there; one that came with an import may be kept."""
    if body.embedding is None:
        return
    async with parts.database.connect() as connection:
        agent = await stored.get_agent(connection, actor, agent_id)
    if body.embedding != agent.embedding:
        await check_embedding(body, actor, parts.catalogue)


@router.delete("/{agent_id}", operation_id="delete_agent", summary="Delete an agent")
async def delete(agent_id: AgentId, connection: TransactionDep, actor: ActorDep) -> dict[str, str]:
    """Delete an agent with its history. Its workflow is closed a moment later.

    The archive that was made for it goes too, unless another agent has it.
    """
    await mark_own_archives_deleted(connection, agent_id)
    await stored.mark_agent_deleted(connection, actor, agent_id)
    return {"message": f"Agent id={agent_id} successfully deleted"}


async def _set_identities(
    connection: AsyncConnection,
    actor: Actor,
    agent_id: str,
    body: CreateAgentBody | UpdateAgentBody,
) -> None:
    """Give an agent the identities that a request names, and no others; it may name none."""
    if body.identity_ids is None:
        return
    found = await get_identities(connection, actor, body.identity_ids)
    await set_identities_of_agent(connection, agent_id, [identity.id for identity in found])


async def _set_variables(
    parts: Parts,
    connection: AsyncConnection,
    actor: Actor,
    agent_id: str,
    body: CreateAgentBody | UpdateAgentBody,
) -> list[ToolVariable]:
    """Give an agent the variables that a request names; the agent's, where it names any."""
    given = body.variables()
    if given is None:
        return []
    await parts.variables.set_of_agent(connection, actor, agent_id, given)
    return (await parts.variables.of_agents(connection, [agent_id])).get(agent_id, [])
