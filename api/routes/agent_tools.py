"""The tools of an agent: list, attach, detach. So far they are those that come with the server."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response

from api.bodies import answer
from api.deps import ActorDep, AgentId, ReadsDep, ToolId, TransactionDep
from api.pagination import page_of
from api.wire.agents import AgentBody
from api.wire.tools import ToolBody, tool_bodies, tool_names_by_id
from o.domain.actors import Actor
from o.errors import NotFound
from o.storage.agents import change_agent, get_agent, get_agent_state

router = APIRouter(prefix="/agents/{agent_id}/tools", tags=["agents"])


@router.get("", operation_id="list_tools_for_agent", response_model=list[ToolBody])
async def index(
    agent_id: AgentId,
    connection: ReadsDep,
    actor: ActorDep,
    before: str | None = None,
    after: str | None = None,
    limit: Annotated[int | None, Query(ge=1, le=1_000)] = 10,
    order: Literal["asc", "desc"] = "desc",
) -> Response:
    """The agent's tools, the last attached first unless asked otherwise."""
    agent = await get_agent(connection, actor, agent_id)
    tools = tool_bodies(actor.organization_id, agent.tool_names)
    ordered = tools if order == "asc" else tools[::-1]
    page = page_of(ordered, before=before, after=after, limit=limit or 10)
    return answer(page)


@router.patch("/attach/{tool_id}", operation_id="attach_tool_to_agent", response_model=AgentBody)
async def attach(
    agent_id: AgentId, tool_id: ToolId, connection: TransactionDep, actor: ActorDep
) -> Response:
    """Give the agent a tool, which it has from its next step on; a repeat changes nothing."""
    name = _name_of(actor, tool_id)
    agent = await get_agent(connection, actor, agent_id, lock=True)
    if name not in agent.tool_names:
        changes = {"tool_names": [*agent.tool_names, name]}
        await change_agent(connection, actor, agent_id, changes)
    return answer(AgentBody.of(await get_agent_state(connection, actor, agent_id)))


@router.patch("/detach/{tool_id}", operation_id="detach_tool_from_agent", response_model=AgentBody)
async def detach(
    agent_id: AgentId, tool_id: ToolId, connection: TransactionDep, actor: ActorDep
) -> Response:
    """Take a tool from the agent; one that it does not have changes nothing."""
    name = _name_of(actor, tool_id)
    agent = await get_agent(connection, actor, agent_id, lock=True)
    if name in agent.tool_names:
        changes = {"tool_names": [one for one in agent.tool_names if one != name]}
        await change_agent(connection, actor, agent_id, changes)
    return answer(AgentBody.of(await get_agent_state(connection, actor, agent_id)))


def _name_of(actor: Actor, tool_id: str) -> str:
    name = tool_names_by_id(actor.organization_id).get(tool_id)
    if name is None:
        raise NotFound(f"Tool with id {tool_id} not found")
    return name
