"""Lists and counts of what nobody can make yet: clients that only look find nothing.

Whatever else V1 does with these things answers 501 (`not_implemented`).
"""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter

from api.deps import ActorDep, AgentId, ReadsDep
from o.storage.agents import get_agent

router = APIRouter()

# By path, what V1 calls the operation, and what there is none of.
LISTS = {
    "/archives/": ("list_archives", "archives"),
    "/folders/": ("list_folders", "folders"),
    "/groups/": ("list_groups", "groups"),
    "/identities/": ("list_identities", "identities"),
    "/jobs/": ("list_jobs", "jobs"),
    "/jobs/active": ("list_active_jobs", "open jobs"),
    "/messages/batches": ("list_batches", "batches of messages"),
    "/sources/": ("list_sources", "sources"),
}
COUNTS = {
    "/folders/count": ("count_folders", "folders"),
    "/groups/count": ("count_groups", "groups"),
    "/identities/count": ("count_identities", "identities"),
    "/sources/count": ("count_sources", "sources"),
}
LISTS_OF_AGENT = {
    "archival-memory": ("list_passages", "passages"),
    "folders": ("list_folders_for_agent", "folders"),
    "groups": ("list_groups_for_agent", "groups"),
    "sources": ("list_agent_sources", "sources"),
}


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


@router.get(
    "/folders/metadata",
    operation_id="retrieve_metadata",
    summary="Sum up folders (none yet)",
    tags=["folders"],
)
@router.get(
    "/sources/metadata",
    operation_id="get_sources_metadata",
    summary="Sum up sources (none yet)",
    tags=["sources"],
)
async def sums() -> dict[str, int | list[Any]]:
    """V1's `OrganizationSourcesStats`: no folder holds anything."""
    return {"total_sources": 0, "total_files": 0, "total_size": 0, "sources": []}


def _add(path: str, operation_id: str, summary: str, endpoint: Callable[..., Any]) -> None:
    router.add_api_route(
        path,
        endpoint,
        operation_id=operation_id,
        tags=[path.strip("/").split("/")[0]],
        summary=f"{summary} (none yet)",
    )


for _path, (_id, _what) in LISTS.items():
    _add(_path, _id, f"List {_what}", _nothing)
for _path, (_id, _what) in COUNTS.items():
    _add(_path, _id, f"Count {_what}", _zero)
for _name, (_id, _what) in LISTS_OF_AGENT.items():
    _add(f"/agents/{{agent_id}}/{_name}", _id, f"List the {_what} of an agent", _nothing_of_agent)
