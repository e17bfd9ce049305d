"""Blocks by themselves: create, list, count, retrieve, change, delete, and who has them."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request, Response

from api.access.auth import current_actor
from api.agents.agent_answers import agents_answer
from api.agents.block_limits import check_limits
from api.bodies import answer, block_answer
from api.deps import (
    ActorDep,
    BlockId,
    ExpectedVersionDep,
    PageDep,
    PartsDep,
    ReadsDep,
    RelationsDep,
    TransactionDep,
    id_in_path,
    parts_of,
)
from api.documentation import OUTDATED, RELATIONS, documented, in_path
from api.wire.agents import AgentBody
from api.wire.blocks import BlockBody, CreateBlockBody, UpdateBlockBody, block_bodies
from o.storage.agents import blocks as stored
from o.storage.agents.agents import AgentFilter
from o.storage.pages import Page

router = APIRouter(prefix="/blocks", tags=["blocks"])


async def _filter(
    label: str | None = None,
    templates_only: bool = False,
    name: str | None = None,
    project_id: str | None = None,
    tags: Annotated[list[str] | None, Query()] = None,
    match_all_tags: bool = False,
    identity_id: str | None = None,
    identifier_keys: Annotated[list[str] | None, Query()] = None,
    show_hidden_blocks: Annotated[bool, Query(include_in_schema=False)] = False,
) -> stored.BlockFilter:
    """What `list_blocks` and `count_blocks` of V1 filter by."""
    return stored.BlockFilter(
        label=label,
        templates_only=templates_only,
        name=name,
        project_id=project_id,
        tags=tags,
        match_all_tags=match_all_tags,
        identity_id=identity_id,
        identifier_keys=identifier_keys,
        with_hidden=show_hidden_blocks,
    )


FilterDep = Annotated[stored.BlockFilter, Depends(_filter)]


async def _search(
    wanted: FilterDep,
    label_search: str | None = None,
    description_search: str | None = None,
    value_search: str | None = None,
    connected_to_agents_count_gt: int | None = None,
    connected_to_agents_count_lt: int | None = None,
    connected_to_agents_count_eq: Annotated[list[int] | None, Query()] = None,
) -> stored.BlockFilter:
    """What the list filters by beyond the count."""
    return replace(
        wanted,
        label_search=label_search,
        description_search=description_search,
        value_search=value_search,
        more_agents_than=connected_to_agents_count_gt,
        fewer_agents_than=connected_to_agents_count_lt,
        agent_counts=connected_to_agents_count_eq,
    )


SearchDep = Annotated[stored.BlockFilter, Depends(_search)]


@router.post(
    "/", operation_id="create_block", summary="Create a memory block", response_model=BlockBody
)
async def create(
    body: CreateBlockBody, connection: TransactionDep, actor: ActorDep, parts: PartsDep
) -> Response:
    """Create a block that no agent has yet."""
    block = body.to_block(actor, datetime.now(UTC))
    check_limits([block], parts.settings)
    await stored.add_blocks(connection, [block])
    return block_answer(block)


@router.get(
    "/", operation_id="list_blocks", summary="List memory blocks", response_model=list[BlockBody]
)
async def index(
    connection: ReadsDep,
    actor: ActorDep,
    wanted: SearchDep,
    before: str | None = None,
    after: str | None = None,
    limit: Annotated[int | None, Query(ge=1, le=1_000)] = None,
    order: Literal["asc", "desc"] = "asc",
) -> Response:
    """Blocks by the time they were made, the oldest first unless asked otherwise."""
    page = Page(before, after, limit or 50, ascending=order == "asc")
    return answer(block_bodies(await stored.list_blocks(connection, actor, wanted, page)))


@router.get(
    "/count", operation_id="count_blocks", summary="Count memory blocks", response_model=int
)
async def count(connection: ReadsDep, actor: ActorDep, wanted: FilterDep) -> Response:
    """How many blocks there are."""
    return answer(await stored.count_blocks(connection, actor, wanted))


@router.get(
    "/{block_id}",
    operation_id="retrieve_block",
    summary="Retrieve a memory block",
    response_model=BlockBody,
    openapi_extra=documented(in_path("block")),
)
async def retrieve(request: Request) -> Response:
    """One block."""
    block_id = id_in_path(request, "block")
    reads, actor = parts_of(request).database.shared_reads, await current_actor(request)
    return block_answer(await stored.read_block(reads, actor, block_id))


@router.patch(
    "/{block_id}",
    operation_id="modify_block",
    summary="Change a memory block",
    response_model=BlockBody,
    responses=OUTDATED,
)
async def update(
    block_id: BlockId,
    body: UpdateBlockBody,
    connection: TransactionDep,
    actor: ActorDep,
    parts: PartsDep,
    expected_version: ExpectedVersionDep,
) -> Response:
    """Change a block, also a read-only one. Every agent that has it sees it at its next turn."""
    changed = await stored.change_block(
        connection,
        actor,
        block_id,
        body.changes(),
        expected_version=expected_version,
        enforce_limit=parts.settings.enforces_block_limit,
    )
    return block_answer(changed)


@router.delete(
    "/{block_id}", operation_id="delete_block", summary="Delete a memory block", response_model=None
)
async def delete(block_id: BlockId, connection: TransactionDep, actor: ActorDep) -> Response:
    """Delete a block with its history; agents that have it have it no longer."""
    await stored.delete_block(connection, actor, block_id)
    return answer(None)


@router.get(
    "/{block_id}/agents",
    operation_id="list_agents_for_block",
    summary="List the agents that have a memory block",
    response_model=list[AgentBody],
    openapi_extra=documented(*RELATIONS),
)
async def agents(
    block_id: BlockId,
    connection: ReadsDep,
    actor: ActorDep,
    shown: RelationsDep,
    page: PageDep,
    parts: PartsDep,
) -> Response:
    """The agents that have a block, the newest first unless asked otherwise."""
    await stored.get_block(connection, actor, block_id)
    wanted = AgentFilter(block_id=block_id, with_hidden=True)
    return await agents_answer(connection, parts, actor, wanted, page, shown)
