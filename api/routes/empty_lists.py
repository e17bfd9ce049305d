"""Lists and counts of what nobody can make yet: clients that only look find nothing.

Whatever else V1 does with these things answers 501 (`not_built`).
"""

from typing import Any

from fastapi import APIRouter

from api.deps import ActorDep, AgentId, ReadsDep
from o.storage.agents import get_agent

router = APIRouter()

LISTS = (
    "/archives/",
    "/folders/",
    "/groups/",
    "/identities/",
    "/jobs/",
    "/jobs/active",
    "/mcp-servers/",
    "/messages/batches",
    "/providers/",
    "/sandbox-config/",
    "/sources/",
)
COUNTS = ("/folders/count", "/groups/count", "/identities/count", "/sources/count")
LISTS_OF_AGENT = ("archival-memory", "folders", "groups", "sources")


async def _nothing() -> list[Any]:
    """None: they cannot be made yet."""
    return []


async def _zero() -> int:
    """None: they cannot be made yet."""
    return 0


async def _nothing_of_agent(agent_id: AgentId, connection: ReadsDep, actor: ActorDep) -> list[Any]:
    """The agent has none: they cannot be made yet."""
    await get_agent(connection, actor, agent_id)
    return []


@router.get(
    "/agents/{agent_id}/files",
    operation_id="list_files_for_agent",
    tags=["agents"],
    summary="List the files of an agent (none yet)",
)
async def files_of_agent(
    agent_id: AgentId, connection: ReadsDep, actor: ActorDep
) -> dict[str, list[Any] | str | bool | None]:
    """V1's `PaginatedAgentFiles`. The agent has none: they cannot be made yet."""
    await get_agent(connection, actor, agent_id)
    return {"files": [], "next_cursor": None, "has_more": False}


@router.get("/tools/mcp/servers", summary="List MCP servers by name (none yet)", tags=["tools"])
async def mcp_servers() -> dict[str, Any]:
    """V1's older list of MCP servers, by their names. None: they cannot be made yet."""
    return {}


@router.get("/folders/metadata", summary="Sum up folders (none yet)", tags=["folders"])
@router.get("/sources/metadata", summary="Sum up sources (none yet)", tags=["sources"])
async def sums() -> dict[str, int | list[Any]]:
    """V1's `OrganizationSourcesStats`: no folder holds anything."""
    return {"total_sources": 0, "total_files": 0, "total_size": 0, "sources": []}


def _subject(path: str) -> str:
    return path.strip("/").split("/")[0]


for _path in LISTS:
    _named = _path.strip("/").replace("/", " ").replace("-", " ")
    router.add_api_route(
        _path, _nothing, tags=[_subject(_path)], summary=f"List {_named} (none yet)"
    )
for _path in COUNTS:
    router.add_api_route(
        _path, _zero, tags=[_subject(_path)], summary=f"Count {_subject(_path)} (none yet)"
    )
for _name in LISTS_OF_AGENT:
    router.add_api_route(
        f"/agents/{{agent_id}}/{_name}",
        _nothing_of_agent,
        tags=["agents"],
        summary=f"List the {_name.replace('-', ' ')} of an agent (none yet)",
    )
