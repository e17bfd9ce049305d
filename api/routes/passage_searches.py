"""Searching passages by their words and by their meaning."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from api.bodies import answer
from api.deps import ActorDep, AgentId, PartsDep
from api.search_headers import with_search_headers
from api.times import moment
from api.wire.searches import (
    ArchivalResultBody,
    ArchivalResultsBody,
    PassageSearchResultBody,
    SearchPassagesBody,
    TagMatch,
    mode_of,
)
from o.domain.text import storable
from o.storage.archives.archives import get_archive
from o.storage.search.archival import PassageQuery
from o.storage.search.passages import PassageFilter
from o.tools.search import archival_result

router = APIRouter()

_FEW = 5
"""What V1 gives to whoever does not say how many."""


@router.post(
    "/passages/search",
    operation_id="search_passages",
    summary="Search passages",
    tags=["passages"],
    response_model=list[PassageSearchResultBody],
)
async def search(body: SearchPassagesBody, parts: PartsDep, actor: ActorDep) -> Response:
    """Those of an agent, else of an archive, else of the organization, the best first."""
    searches, owner = parts.passage_search, actor.organization_id
    asked = PassageQuery(
        body.query or "", body.limit, mode=mode_of(body.search_mode), wanted=body.wanted()
    )
    if body.agent_id is not None:
        _, results = await searches.search_agent(owner, body.agent_id, asked)
    else:
        archive_ids: list[str] | None = None
        if body.archive_id is not None:
            async with parts.database.connect() as connection:
                archive_ids = [(await get_archive(connection, actor, body.archive_id)).id]
        results = await searches.search(owner, archive_ids, asked)
    found = answer([PassageSearchResultBody.of(one, results) for one in results.found])
    return with_search_headers(found, results)


@router.get(
    "/agents/{agent_id}/archival-memory/search",
    operation_id="search_archival_memory",
    summary="Search an agent's archival memory",
    tags=["agents"],
    response_model=ArchivalResultsBody,
)
async def search_of_agent(
    agent_id: AgentId,
    parts: PartsDep,
    actor: ActorDep,
    query: str,
    tags: Annotated[list[str] | None, Query()] = None,
    tag_match_mode: TagMatch = "any",
    top_k: Annotated[int | None, Query(ge=1, le=100)] = None,
    start_datetime: str | None = None,
    end_datetime: str | None = None,
) -> Response:
    """What the agent's own tool finds, as it tells the agent."""
    wanted = PassageFilter(
        [storable(tag) for tag in tags or ()],
        tag_match_mode == "all",
        moment(start_datetime),
        moment(end_datetime),
    )
    timezone, results = await parts.passage_search.search_agent(
        actor.organization_id,
        agent_id,
        PassageQuery(storable(query), top_k or _FEW, wanted=wanted),
    )
    shown = [ArchivalResultBody(**archival_result(one.passage, timezone)) for one in results.found]
    return with_search_headers(
        answer(ArchivalResultsBody(results=shown, count=len(shown))), results
    )
