"""The tags that agents and blocks have."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from api.bodies import answer
from api.deps import ActorDep, ReadsDep
from api.pagination import page_query
from o.storage.agents.tags import list_tags
from o.storage.pages import Page

router = APIRouter(prefix="/tags", tags=["tag"])


@router.get("/", operation_id="list_tags", summary="List tags", response_model=list[str])
async def index(
    connection: ReadsDep,
    actor: ActorDep,
    page: Annotated[Page, Depends(page_query(limit=50, order="asc"))],
    name: str | None = None,
    query_text: Annotated[str | None, Query(deprecated=True)] = None,
) -> Response:
    """The tags of agents and blocks in alphabetical order, each once; cursors are tags."""
    return answer(await list_tags(connection, actor, page, held=name or query_text))
