"""Tools as resources: those that come with the server, which each organisation has."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from api.bodies import answer
from api.deps import ActorDep, ToolId
from api.pagination import page_of, page_query
from api.wire.tools import ToolBody, tool_bodies, tool_names_by_id
from o.errors import NotFound
from o.storage.pages import Page

router = APIRouter(prefix="/tools", tags=["tools"])

Names = Annotated[list[str] | None, Query()]


async def _found(
    actor: ActorDep,
    name: str | None = None,
    names: Names = None,
    tool_ids: Names = None,
    search: str | None = None,
    tool_types: Names = None,
    exclude_tool_types: Names = None,
) -> list[ToolBody]:
    """What V1's `list_tools` and `count_tools` filter by; lists may be joined by commas."""
    organization_id = actor.organization_id
    tools = tool_bodies(organization_id, list(tool_names_by_id(organization_id).values()))
    ids, types, left_out = _flat(tool_ids), _flat(tool_types), _flat(exclude_tool_types)
    return [
        tool
        for tool in tools
        if name in (None, tool.name)
        and (names is None or tool.name in names)
        and (ids is None or tool.id in ids)
        and (search or "").lower() in tool.name.lower()
        and (types is None or tool.tool_type in types)
        and tool.tool_type not in (left_out or ())
    ]


FoundDep = Annotated[list[ToolBody], Depends(_found)]


@router.get("/", operation_id="list_tools", summary="List tools", response_model=list[ToolBody])
async def index(
    found: FoundDep,
    page: Annotated[Page, Depends(page_query(limit=50, most=1_000))],
) -> Response:
    """List the tools that come with the server; tools of one's own cannot be made yet."""
    return answer(page_of(found, page))


@router.get("/count", operation_id="count_tools", summary="Count tools", response_model=int)
async def count(found: FoundDep, exclude_letta_tools: bool | None = None) -> Response:
    """Count tools; takes the filters of the list."""
    return answer(0 if exclude_letta_tools else len(found))


@router.get(
    "/{tool_id}", operation_id="retrieve_tool", summary="Retrieve a tool", response_model=ToolBody
)
async def retrieve(tool_id: ToolId, actor: ActorDep) -> Response:
    """Retrieve a tool."""
    name = tool_names_by_id(actor.organization_id).get(tool_id)
    if name is None:
        raise NotFound(f"Tool with id {tool_id} not found")
    return answer(tool_bodies(actor.organization_id, [name])[0])


def _flat(values: Sequence[str] | None) -> list[str] | None:
    if values is None:
        return None
    return [one for value in values for one in value.split(",")]
