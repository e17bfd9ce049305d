"""Tools as resources: those that come with the server, and those of the organization."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import JSONResponse

from api.bodies import answer
from api.deps import ActorDep, Parts, PartsDep, ReadsDep, ToolId, TransactionDep
from api.pagination import page_query
from api.tools.new_tools import derived_schema, new_tool, tool_changes
from api.tools.tool_lists import WantedTools, count_of_tools, page_of_tools
from api.tools.tool_runs import run_by_worker, tool_of_source
from api.tools.tool_search import find_by_words
from api.wire.shown import ToolReturnMessage
from api.wire.tool_requests import (
    CodeBody,
    CreateToolBody,
    FoundToolBody,
    SearchToolsBody,
    UpdateToolBody,
)
from api.wire.tool_runs import RunSourceBody, run_body
from api.wire.tools import ToolBody, tool_bodies, tool_body, tool_names_by_id
from o.domain.actors import Actor
from o.domain.tools import StoredTool
from o.errors import InvalidArgument
from o.storage.pages import Page
from o.storage.tools import tools as stored
from o.storage.tools.agent_tools import rename_in_agents, take_away
from o.storage.worker_requests import INSTALL
from o.tools.registry import BUILT_IN_TOOLS

INSTALL_TIMEOUT_S = 330.0
"""A little more than an installation may take (`sandbox.packages`)."""

router = APIRouter(prefix="/tools", tags=["tools"])

Names = Annotated[list[str] | None, Query()]


async def _wanted(
    name: str | None = None,
    names: Names = None,
    tool_ids: Names = None,
    search: str | None = None,
    tool_types: Names = None,
    exclude_tool_types: Names = None,
    return_only_letta_tools: bool | None = None,
) -> WantedTools:
    """What V1's `list_tools` and `count_tools` filter by; lists may be joined by commas."""
    among = None if names is None else set(names)
    if name is not None:
        among = {name} if among is None or name in among else set()
    by = stored.ToolFilter(
        names=among,
        ids=_flat(tool_ids),
        search=search,
        types=_flat(tool_types),
        not_types=_flat(exclude_tool_types),
    )
    return WantedTools(by, stored=not return_only_letta_tools)


WantedDep = Annotated[WantedTools, Depends(_wanted)]


@router.get("/", operation_id="list_tools", summary="List tools", response_model=list[ToolBody])
async def index(
    wanted: WantedDep,
    connection: ReadsDep,
    actor: ActorDep,
    page: Annotated[Page, Depends(page_query(limit=50, most=1_000))],
) -> Response:
    """Tools, the newest first unless asked otherwise; those of the server are the oldest."""
    return answer(await page_of_tools(connection, actor, wanted, page))


@router.post("/", operation_id="create_tool", summary="Create a tool", response_model=ToolBody)
async def create(body: CreateToolBody, parts: PartsDep, actor: ActorDep) -> Response:
    """Create a tool; where there is one by its name, that one is changed, as by `PUT`."""
    return await _store(body, parts, actor)


@router.put(
    "/", operation_id="upsert_tool", summary="Create or change a tool", response_model=ToolBody
)
async def upsert(body: CreateToolBody, parts: PartsDep, actor: ActorDep) -> Response:
    """Create a tool, or change the one by its name, which keeps its id and what is not named."""
    return await _store(body, parts, actor)


@router.get("/count", operation_id="count_tools", summary="Count tools", response_model=int)
async def count(
    wanted: WantedDep,
    connection: ReadsDep,
    actor: ActorDep,
    exclude_letta_tools: bool | None = None,
) -> Response:
    """Count tools; takes the filters of the list."""
    wanted = replace(wanted, built_in=not exclude_letta_tools)
    return answer(await count_of_tools(connection, actor, wanted))


@router.post(
    "/add-base-tools",
    operation_id="add_base_tools",
    summary="List the tools that come with the server",
    response_model=list[ToolBody],
)
async def add_base_tools(actor: ActorDep) -> Response:
    """The tools that come with the server. They are always there, so nothing is added."""
    return answer(tool_bodies(actor.organization_id, list(BUILT_IN_TOOLS)))


@router.post(
    "/generate-schema", operation_id="generate_json_schema", summary="Derive a tool's schema"
)
async def generate_schema(body: CodeBody) -> dict[str, Any]:
    """The schema that a tool of this source would have. Nothing is run, and nothing stored."""
    return await derived_schema(body.code, body.source_type)


@router.post(
    "/search",
    operation_id="search_tools",
    summary="Search tools",
    response_model=list[FoundToolBody],
)
async def search(body: SearchToolsBody, connection: ReadsDep, actor: ActorDep) -> Response:
    """The tools whose name, tags or description hold words of the query, the best first."""
    return answer(await find_by_words(connection, actor, body))


@router.post(
    "/run",
    operation_id="run_tool_from_source",
    summary="Run a tool from its source",
    response_model=ToolReturnMessage,
)
async def run(body: RunSourceBody, parts: PartsDep, actor: ActorDep) -> Response:
    """Run a function in a sandbox, without storing it; no agent calls it, and none has to be."""
    tool = await tool_of_source(body, actor)
    returned = await run_by_worker(
        parts, actor, tool.name, body.args, tool=tool, environment=body.env_vars
    )
    return JSONResponse(run_body(tool.name, returned))


@router.get(
    "/{tool_id}", operation_id="retrieve_tool", summary="Retrieve a tool", response_model=ToolBody
)
async def retrieve(tool_id: ToolId, connection: ReadsDep, actor: ActorDep) -> Response:
    """Retrieve a tool."""
    name = tool_names_by_id(actor.organization_id).get(tool_id)
    if name is not None:
        return answer(tool_body(actor.organization_id, name))
    return answer(ToolBody.of(await stored.get_tool(connection, actor, tool_id)))


@router.patch(
    "/{tool_id}", operation_id="modify_tool", summary="Change a tool", response_model=ToolBody
)
async def update(
    tool_id: ToolId, body: UpdateToolBody, parts: PartsDep, actor: ActorDep
) -> Response:
    """Change a tool. Agents that have it know it by its new name, if it gets one."""
    _refuse_built_in(actor, tool_id, "changed")
    async with parts.database.begin() as connection:
        tool = await stored.get_tool(connection, actor, tool_id, lock=True)
        changes = await tool_changes(body, tool)
        changed = await stored.change_tool(connection, actor, tool_id, changes)
        if changed.name != tool.name:
            await rename_in_agents(connection, actor.organization_id, tool.name, changed.name)
    if changed.pip_requirements != tool.pip_requirements:
        await _install_ahead(parts, changed)
    return answer(ToolBody.of(changed))


@router.delete(
    "/{tool_id}", operation_id="delete_tool", summary="Delete a tool", response_model=None
)
async def delete(tool_id: ToolId, connection: TransactionDep, actor: ActorDep) -> Response:
    """Delete a tool; agents that have it have it no longer."""
    _refuse_built_in(actor, tool_id, "deleted")
    name = await stored.delete_tool(connection, actor, tool_id)
    await take_away(connection, actor.organization_id, [name])
    return answer(None)


async def _store(body: CreateToolBody, parts: PartsDep, actor: ActorDep) -> Response:
    tool, named = await new_tool(body, actor, datetime.now(UTC))
    async with parts.database.begin() as connection:
        kept = await stored.upsert_tool(connection, tool, named)
    if "pip_requirements" in named or kept.id == tool.id:
        await _install_ahead(parts, kept)
    return answer(ToolBody.of(kept))


async def _install_ahead(parts: Parts, tool: StoredTool) -> None:
    """Have what a tool requires installed now, so that its first call need not wait for it."""
    if tool.pip_requirements and tool.source_type == "python":
        wanted = {"tool_id": tool.id, "pip_requirements": tool.pip_requirements}
        await parts.workers.hand_over(
            tool.organization_id, INSTALL, wanted, timeout_s=INSTALL_TIMEOUT_S
        )


def _refuse_built_in(actor: Actor, tool_id: str, done: str) -> None:
    name = tool_names_by_id(actor.organization_id).get(tool_id)
    if name is not None:
        raise InvalidArgument(
            f"INVALID_ARGUMENT: {name} comes with the server, and cannot be {done}"
        )


def _flat(values: Sequence[str] | None) -> list[str] | None:
    if values is None:
        return None
    return [one for value in values for one in value.split(",")]
