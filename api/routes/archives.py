"""Archives: create, list, retrieve, change, delete, who has them, and their passages."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response

from api.agents.agent_answers import agents_answer
from api.archival import ArrivalDep, check_embedding, embed_soon
from api.bodies import answer
from api.deps import (
    ActorDep,
    ArchiveId,
    PageDep,
    PartsDep,
    PassageId,
    ReadsDep,
    RelationsDep,
    TransactionDep,
)
from api.documentation import RELATIONS, documented
from api.wire.agents import AgentBody
from api.wire.archives import ArchiveBody, CreateArchiveBody, UpdateArchiveBody
from api.wire.passages import CreatePassageBody, CreatePassagesBody, PassageBody, passage_bodies
from o.storage.agents.agents import AgentFilter
from o.storage.archives import archives as stored
from o.storage.archives.embedding import embed_anew
from o.storage.archives.passages import add_passages, delete_passage
from o.storage.pages import Page

router = APIRouter(prefix="/archives", tags=["archives"])


@router.post(
    "/", operation_id="create_archive", summary="Create an archive", response_model=ArchiveBody
)
async def create(body: CreateArchiveBody, connection: TransactionDep, actor: ActorDep) -> Response:
    """Create an archive that no agent has yet."""
    archive = body.to_archive(actor, datetime.now(UTC))
    await stored.add_archive(connection, archive)
    return answer(ArchiveBody.of(archive))


@router.get(
    "/", operation_id="list_archives", summary="List archives", response_model=list[ArchiveBody]
)
async def index(
    connection: ReadsDep,
    actor: ActorDep,
    before: str | None = None,
    after: str | None = None,
    limit: Annotated[int | None, Query(ge=1, le=1_000)] = None,
    order: Literal["asc", "desc"] = "desc",
    order_by: Literal["created_at"] = "created_at",
    name: str | None = None,
    agent_id: str | None = None,
) -> Response:
    """Archives by the time they were made, the newest first unless asked otherwise."""
    page = Page(before, after, limit or 50, ascending=order == "asc")
    wanted = stored.ArchiveFilter(name=name, agent_id=agent_id)
    found = await stored.list_archives(connection, actor, wanted, page)
    return answer([ArchiveBody.of(archive) for archive in found])


@router.get(
    "/{archive_id}",
    operation_id="retrieve_archive",
    summary="Retrieve an archive",
    response_model=ArchiveBody,
)
async def retrieve(archive_id: ArchiveId, connection: ReadsDep, actor: ActorDep) -> Response:
    """One archive."""
    return answer(ArchiveBody.of(await stored.get_archive(connection, actor, archive_id)))


@router.patch(
    "/{archive_id}",
    operation_id="modify_archive",
    summary="Change an archive",
    response_model=ArchiveBody,
)
async def update(
    archive_id: ArchiveId, body: UpdateArchiveBody, parts: PartsDep, actor: ActorDep
) -> Response:
    """Change what the request names. With another `embedding`, passages are embedded anew.

    Searches go by the vectors that are there until all have new ones.
    """
    changes = body.changes()
    async with parts.database.connect() as connection:
        before = await stored.get_archive(connection, actor, archive_id)
    if changes.get("embedding") != before.embedding:
        await check_embedding(parts, actor, changes.get("embedding"))
    async with parts.database.begin() as connection:
        before = await stored.get_archive(connection, actor, archive_id, lock=True)
        changed = await stored.change_archive(connection, actor, archive_id, changes)
        is_anew = changed.embedding != before.embedding
        if is_anew:
            await embed_anew(connection, actor.organization_id, archive_id, None)
    if is_anew:
        parts.embeddings.soon(archive_id, is_changed=True)
    return answer(ArchiveBody.of(changed))


@router.delete(
    "/{archive_id}",
    operation_id="delete_archive",
    summary="Delete an archive",
    status_code=204,
    response_model=None,
)
async def delete(archive_id: ArchiveId, connection: TransactionDep, actor: ActorDep) -> Response:
    """Delete an archive with its passages; agents that have it have it no longer."""
    await stored.mark_archive_deleted(connection, actor, archive_id)
    return Response(status_code=204)


@router.get(
    "/{archive_id}/agents",
    operation_id="list_agents_for_archive",
    summary="List the agents that have an archive",
    response_model=list[AgentBody],
    openapi_extra=documented(*RELATIONS),
)
async def agents(
    archive_id: ArchiveId,
    connection: ReadsDep,
    actor: ActorDep,
    shown: RelationsDep,
    page: PageDep,
    parts: PartsDep,
) -> Response:
    """The agents that have an archive, the newest first unless asked otherwise."""
    await stored.get_archive(connection, actor, archive_id)
    wanted = AgentFilter(archive_id=archive_id, with_hidden=True)
    return await agents_answer(connection, parts, actor, wanted, page, shown)


@router.post(
    "/{archive_id}/passages",
    operation_id="create_passage_in_archive",
    summary="Add a passage to an archive",
    response_model=PassageBody,
)
async def add(
    archive_id: ArchiveId,
    body: CreatePassageBody,
    parts: PartsDep,
    actor: ActorDep,
    arrival: ArrivalDep,
) -> Response:
    """Store a text. It is found by its words at once, and by its meaning a moment later."""
    async with parts.database.begin() as connection:
        archive = await stored.get_archive(connection, actor, archive_id)
        new = body.to_passage(archive, actor, arrival)
        (passage,) = await add_passages(connection, actor, [new], arrival)
    embed_soon(parts, archive)
    return answer(PassageBody.of(passage))


@router.post(
    "/{archive_id}/passages/batch",
    operation_id="create_passages_in_archive",
    summary="Add passages to an archive",
    response_model=list[PassageBody],
)
async def add_batch(
    archive_id: ArchiveId,
    body: CreatePassagesBody,
    parts: PartsDep,
    actor: ActorDep,
    arrival: ArrivalDep,
) -> Response:
    """Store texts, all of them or none."""
    async with parts.database.begin() as connection:
        archive = await stored.get_archive(connection, actor, archive_id)
        new = body.to_passages(archive, actor, arrival)
        added = await add_passages(connection, actor, new, arrival)
    embed_soon(parts, archive)
    return answer(passage_bodies(added))


@router.delete(
    "/{archive_id}/passages/{passage_id}",
    operation_id="delete_passage_from_archive",
    summary="Delete a passage of an archive",
    status_code=204,
    response_model=None,
)
async def remove(
    archive_id: ArchiveId, passage_id: PassageId, connection: TransactionDep, actor: ActorDep
) -> Response:
    """Delete a passage with its vectors."""
    await stored.get_archive(connection, actor, archive_id)
    await delete_passage(connection, [archive_id], passage_id)
    return Response(status_code=204)
