"""Identities: create, list, count, retrieve, change, delete, and who has them."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Header, Query, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from api.agents.agent_answers import agents_answer
from api.bodies import answer
from api.deps import (
    ActorDep,
    IdentityId,
    PageDep,
    PartsDep,
    ReadsDep,
    RelationsDep,
    TransactionDep,
)
from api.documentation import RELATIONS, documented
from api.wire.agents import AgentBody
from api.wire.blocks import BlockBody, block_bodies
from api.wire.fields import MAX_ITEMS
from api.wire.identities import (
    CreateIdentityBody,
    IdentityBody,
    PropertiesBody,
    UpdateIdentityBody,
    identity_bodies,
    kept_properties,
    stored_properties,
)
from o.domain.actors import Actor
from o.domain.identities import IdentityType
from o.errors import InvalidInput
from o.storage.agents import identities as stored
from o.storage.agents.agents import AgentFilter, lock_agents
from o.storage.agents.blocks import BlockFilter, get_blocks, list_blocks
from o.storage.agents.identity_links import AGENTS, BLOCKS, give_identity, keep_holders

router = APIRouter(prefix="/identities", tags=["identities"])

ProjectHeader = Annotated[str | None, Header(alias="X-Project-Id", max_length=200)]
_MAX_PROPERTIES = MAX_ITEMS


@router.post(
    "/",
    operation_id="create_identity",
    summary="Create an identity",
    response_model=IdentityBody,
)
async def create(
    body: CreateIdentityBody,
    connection: TransactionDep,
    actor: ActorDep,
    x_project_id: ProjectHeader = None,
) -> Response:
    """Create an identity; there is one by a key in a project."""
    agent_ids, block_ids = await _held(connection, actor, *body.holders())
    identity = body.to_identity(actor, body.project_id or x_project_id, datetime.now(UTC))
    await stored.add_identity(connection, identity)
    await _give(connection, identity.id, agent_ids, block_ids)
    return await _answer(connection, actor, identity.id)


@router.put(
    "/",
    operation_id="upsert_identity",
    summary="Create an identity, or change the one by its key",
    response_model=IdentityBody,
)
async def upsert(
    body: CreateIdentityBody,
    connection: TransactionDep,
    actor: ActorDep,
    x_project_id: ProjectHeader = None,
) -> Response:
    """Have an identity be what the request says.

    What it names (properties, agents, blocks) takes the place of what was there.
    """
    agent_ids, block_ids = await _held(connection, actor, *body.holders())
    project_id = body.project_id or x_project_id
    new = body.to_identity(actor, project_id, datetime.now(UTC))
    identity_id = await stored.add_or_find_identity(connection, actor, new)
    if identity_id != new.id:
        await stored.change_identity(connection, actor, identity_id, body.changes())
        if agent_ids is not None:
            await keep_holders(connection, AGENTS, identity_id, agent_ids)
        if block_ids is not None:
            await keep_holders(connection, BLOCKS, identity_id, block_ids)
    await _give(connection, identity_id, agent_ids, block_ids)
    return await _answer(connection, actor, identity_id)


@router.get(
    "/",
    operation_id="list_identities",
    summary="List identities",
    response_model=list[IdentityBody],
)
async def index(
    connection: ReadsDep,
    actor: ActorDep,
    page: PageDep,
    name: str | None = None,
    project_id: Annotated[str | None, Query(deprecated=True)] = None,
    identifier_key: str | None = None,
    identity_type: IdentityType | None = None,
    order_by: Literal["created_at"] = "created_at",
) -> Response:
    """Identities by the time they were made, the newest first unless asked otherwise."""
    wanted = stored.IdentityFilter(name, project_id, identifier_key, identity_type)
    return answer(identity_bodies(await stored.list_identities(connection, actor, wanted, page)))


@router.get(
    "/count", operation_id="count_identities", summary="Count identities", response_model=int
)
async def count(connection: ReadsDep, actor: ActorDep) -> Response:
    """How many identities there are."""
    return answer(await stored.count_identities(connection, actor))


@router.get(
    "/{identity_id}",
    operation_id="retrieve_identity",
    summary="Retrieve an identity",
    response_model=IdentityBody,
)
async def retrieve(identity_id: IdentityId, connection: ReadsDep, actor: ActorDep) -> Response:
    """One identity, with who has it."""
    return await _answer(connection, actor, identity_id)


@router.patch(
    "/{identity_id}",
    operation_id="update_identity",
    summary="Change an identity",
    response_model=IdentityBody,
)
async def update(
    identity_id: IdentityId, body: UpdateIdentityBody, connection: TransactionDep, actor: ActorDep
) -> Response:
    """Change what the request names; properties, agents and blocks are added to those there."""
    await stored.get_identity(connection, actor, identity_id)  # that it is missing is said first
    agent_ids, block_ids = await _held(connection, actor, *body.holders())
    before = await stored.get_identity(connection, actor, identity_id, lock=True)
    await stored.change_identity(connection, actor, identity_id, body.changes(before))
    await _give(connection, identity_id, agent_ids, block_ids)
    return await _answer(connection, actor, identity_id)


@router.put(
    "/{identity_id}/properties",
    operation_id="upsert_properties_for_identity",
    summary="Give an identity properties",
    response_model=IdentityBody,
)
async def upsert_properties(
    identity_id: IdentityId, body: PropertiesBody, connection: TransactionDep, actor: ActorDep
) -> Response:
    """Add properties; of a key that is there, the value is replaced, and the rest stays."""
    before = await stored.get_identity(connection, actor, identity_id, lock=True)
    merged = kept_properties(before.properties, body.root)
    if len(merged) > _MAX_PROPERTIES:
        raise InvalidInput(f"An identity has at most {_MAX_PROPERTIES} properties")
    changes = {"properties": stored_properties(merged)}
    await stored.change_identity(connection, actor, identity_id, changes)
    return await _answer(connection, actor, identity_id)


@router.delete(
    "/{identity_id}",
    operation_id="delete_identity",
    summary="Delete an identity",
    response_model=None,
)
async def delete(identity_id: IdentityId, connection: TransactionDep, actor: ActorDep) -> Response:
    """Delete an identity; agents and blocks that have it stay, and have it no longer."""
    await stored.delete_identity(connection, actor, identity_id)
    return answer(None)


@router.get(
    "/{identity_id}/agents",
    operation_id="list_agents_for_identity",
    summary="List the agents that have an identity",
    response_model=list[AgentBody],
    openapi_extra=documented(*RELATIONS),
)
async def agents(
    identity_id: IdentityId,
    connection: ReadsDep,
    actor: ActorDep,
    shown: RelationsDep,
    page: PageDep,
    parts: PartsDep,
    order_by: Literal["created_at"] = "created_at",
) -> Response:
    """The agents that have an identity, the newest first unless asked otherwise."""
    await stored.get_identity(connection, actor, identity_id)
    wanted = AgentFilter(identity_id=identity_id, with_hidden=True)
    return await agents_answer(connection, parts, actor, wanted, page, shown)


@router.get(
    "/{identity_id}/blocks",
    operation_id="list_blocks_for_identity",
    summary="List the memory blocks that have an identity",
    response_model=list[BlockBody],
)
async def blocks(
    identity_id: IdentityId,
    connection: ReadsDep,
    actor: ActorDep,
    page: PageDep,
    order_by: Literal["created_at"] = "created_at",
) -> Response:
    """The blocks that have an identity, the newest first unless asked otherwise."""
    await stored.get_identity(connection, actor, identity_id)
    wanted = BlockFilter(identity_id=identity_id, with_hidden=True)
    return answer(block_bodies(await list_blocks(connection, actor, wanted, page)))


async def _held(
    connection: AsyncConnection,
    actor: Actor,
    agent_ids: list[str] | None,
    block_ids: list[str] | None,
) -> tuple[list[str] | None, list[str] | None]:
    """Who is to have an identity, once all are found; locked in the order of `o.storage.locks`."""
    await get_blocks(connection, actor, block_ids or ())
    await lock_agents(connection, actor, agent_ids or ())
    return agent_ids, block_ids


async def _give(
    connection: AsyncConnection,
    identity_id: str,
    agent_ids: list[str] | None,
    block_ids: list[str] | None,
) -> None:
    await give_identity(connection, AGENTS, identity_id, agent_ids or ())
    await give_identity(connection, BLOCKS, identity_id, block_ids or ())


async def _answer(connection: AsyncConnection, actor: Actor, identity_id: str) -> Response:
    return answer(IdentityBody.of(await stored.get_identity(connection, actor, identity_id)))
