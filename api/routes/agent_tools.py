"""The tools of an agent: list, attach, detach, set approval, run."""

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from api.agents.agent_answers import agent_answer
from api.agents.new_agents import tool_attached
from api.archival import embed_soon
from api.bodies import answer
from api.deps import ActorDep, AgentId, Parts, PartsDep, ReadsDep, ToolId, TransactionDep
from api.pagination import page_of, page_query
from api.tools.named_tools import tools_named
from api.tools.tool_runs import run_by_worker
from api.wire.agents import AgentBody
from api.wire.tools import (
    ModifyApprovalBody,
    RunToolBody,
    ToolBody,
    ToolExecutionBody,
    tool_bodies,
)
from o.domain.agents import Agent
from o.domain.rules.approval import with_approval, without_approval
from o.domain.text import storable
from o.errors import InvalidInput, NotFound, ToolFailed
from o.storage.agents.agent_memory import AgentMemory
from o.storage.agents.agents import change_agent, get_agent, get_agent_state
from o.storage.database import after_commit
from o.storage.pages import Page
from o.storage.tools.tools import find_tool, find_tools
from o.tools.registry import BUILT_IN_TOOLS, runs_elsewhere
from o.tools.tool import Caller

router = APIRouter(prefix="/agents/{agent_id}/tools", tags=["agents"])


@router.get(
    "",
    operation_id="list_tools_for_agent",
    summary="List the tools of an agent",
    response_model=list[ToolBody],
)
async def index(
    agent_id: AgentId,
    connection: ReadsDep,
    actor: ActorDep,
    page: Annotated[Page, Depends(page_query(limit=10, most=1_000))],
) -> Response:
    """The agent's tools, the last attached first unless asked otherwise."""
    agent = await get_agent(connection, actor, agent_id)
    rows = await find_tools(
        connection,
        actor.organization_id,
        names=[name for name in agent.tool_names if name not in BUILT_IN_TOOLS],
        lock=False,
    )
    return answer(page_of(tool_bodies(actor.organization_id, agent.tool_names, rows), page))


@router.patch(
    "/attach/{tool_id}",
    operation_id="attach_tool_to_agent",
    summary="Attach a tool to an agent",
    response_model=AgentBody,
)
async def attach(
    agent_id: AgentId, tool_id: ToolId, connection: TransactionDep, actor: ActorDep
) -> Response:
    """Give the agent a tool, which it has from its next step on; a repeat changes nothing."""
    (tool,) = (await tools_named(connection, actor, ids=[tool_id])).specs
    agent = await get_agent(connection, actor, agent_id, lock=True)
    if tool.name not in agent.tool_names:
        await change_agent(connection, actor, agent_id, tool_attached(agent, tool))
    return await agent_answer(connection, await get_agent_state(connection, actor, agent_id))


@router.patch(
    "/detach/{tool_id}",
    operation_id="detach_tool_from_agent",
    summary="Detach a tool from an agent",
    response_model=AgentBody,
)
async def detach(
    agent_id: AgentId, tool_id: ToolId, connection: TransactionDep, actor: ActorDep
) -> Response:
    """Take a tool from the agent; one that it does not have changes nothing."""
    (name,) = (await tools_named(connection, actor, ids=[tool_id])).names
    agent = await get_agent(connection, actor, agent_id, lock=True)
    if name in agent.tool_names:
        changes = {"tool_names": [one for one in agent.tool_names if one != name]}
        await change_agent(connection, actor, agent_id, changes)
    return await agent_answer(connection, await get_agent_state(connection, actor, agent_id))


@router.patch(
    "/approval/{tool_name}",
    operation_id="modify_approval_for_tool",
    summary="Say whether a tool of an agent waits for approval",
    response_model=AgentBody,
)
async def set_approval(
    agent_id: AgentId,
    tool_name: str,
    connection: TransactionDep,
    actor: ActorDep,
    body: ModifyApprovalBody | None = None,
    requires_approval: Annotated[bool | None, Query(deprecated=True)] = None,
) -> Response:
    """Say whether this tool of the agent waits for approval, from the agent's next step on."""
    required = requires_approval if body is None else body.requires_approval
    if required is None:
        raise InvalidInput("requires_approval is missing: give it in the body")
    agent = await get_agent(connection, actor, agent_id, lock=True)
    _check_has(agent, tool_name)
    changed = with_approval if required else without_approval
    rules = changed(agent.tool_rules, tool_name)
    if rules != agent.tool_rules:
        await change_agent(connection, actor, agent_id, {"tool_rules": rules})
    return await agent_answer(connection, await get_agent_state(connection, actor, agent_id))


@router.post(
    "/{tool_name}/run",
    operation_id="run_tool_for_agent",
    summary="Run a tool of an agent",
    response_model=ToolExecutionBody,
)
async def run(
    agent_id: AgentId,
    tool_name: str,
    parts: PartsDep,
    actor: ActorDep,
    body: RunToolBody | None = None,
) -> Response:
    """Run a tool of the agent outside a turn, as the agent: history does not show it.

    Approval is not asked for, as in V1: the caller is the one who would give it.
    """
    arguments = body.args if body else {}
    async with parts.database.begin() as connection:
        agent = await get_agent(connection, actor, agent_id)
        _check_has(agent, tool_name)
        is_elsewhere = runs_elsewhere(tool_name)
        if tool_name in BUILT_IN_TOOLS and not is_elsewhere:
            return answer(await _run_inside(connection, parts, agent, tool_name, arguments))
        tool = await find_tool(connection, actor.organization_id, tool_name)
    if tool is None and not is_elsewhere:
        raise NotFound(f"Tool with name {tool_name[:100]} not found")
    # What waits for another agent has its own limit; what reads the web is done sooner.
    within_s = parts.settings.agent_reply_timeout_s if is_elsewhere else None
    returned = await run_by_worker(
        parts, actor, tool_name, arguments, tool=tool, agent=agent, within_s=within_s
    )
    return answer(
        ToolExecutionBody(
            status=returned["status"],
            func_return=returned["content"],
            stdout=returned["stdout"] or None,
            stderr=returned["stderr"] or None,
        )
    )


async def _run_inside(
    connection: AsyncConnection,
    parts: Parts,
    agent: Agent,
    tool_name: str,
    arguments: dict[str, Any],
) -> ToolExecutionBody:
    """Run a tool that comes with the server, in the caller's transaction."""
    memory = AgentMemory(
        connection, agent, tool=tool_name, enforce_limit=parts.settings.enforces_block_limit
    )
    try:
        returned = await BUILT_IN_TOOLS[tool_name](Caller(agent, memory), arguments)
    except ToolFailed as failure:
        return ToolExecutionBody(status="error", stderr=[failure.message])
    if memory.filled is not None:
        after_commit(connection, partial(embed_soon, parts, memory.filled))
    return ToolExecutionBody(status="success", func_return=storable(returned))


def _check_has(agent: Agent, tool_name: str) -> None:
    if tool_name not in agent.tool_names:
        raise NotFound(f"Agent {agent.id} has no tool named {tool_name[:100]}")
