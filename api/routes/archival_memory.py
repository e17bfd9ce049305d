"""What an agent keeps beyond its context: its passages, and the archives that it has."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from api.archival import ArrivalDep, embed_soon
from api.bodies import answer
from api.deps import ActorDep, AgentId, ArchiveId, PartsDep, ReadsDep, TransactionDep
from api.wire.passages import CreateArchivalMemoryBody, PassageBody, passage_bodies
from o.storage.agents.agents import get_agent
from o.storage.archives.agent_archives import (
    attach_archive,
    detach_archive,
    list_archive_ids,
    own_archive,
)
from o.storage.archives.archives import get_archive
from o.storage.archives.passages import add_passages, delete_passage, list_passages
from o.storage.pages import Page

router = APIRouter(prefix="/agents/{agent_id}", tags=["agents"])


@router.get(
    "/archival-memory",
    operation_id="list_passages",
    summary="List the passages of an agent",
    response_model=list[PassageBody],
)
async def index(
    agent_id: AgentId,
    connection: ReadsDep,
    actor: ActorDep,
    after: str | None = None,
    before: str | None = None,
    limit: Annotated[int | None, Query(ge=1, le=1_000)] = None,
    search: str | None = None,
    ascending: bool | None = None,
) -> Response:
    """The passages of all its archives by their time, the oldest first unless asked otherwise."""
    await get_agent(connection, actor, agent_id)
    ids = await list_archive_ids(connection, agent_id)
    page = Page(before, after, limit or 100, ascending=ascending is not False)
    return answer(passage_bodies(await list_passages(connection, actor, ids, page, holding=search)))


@router.post(
    "/archival-memory",
    operation_id="create_passage",
    summary="Add a passage to an agent's archive",
    response_model=list[PassageBody],
)
async def create(
    agent_id: AgentId,
    body: CreateArchivalMemoryBody,
    parts: PartsDep,
    actor: ActorDep,
    arrival: ArrivalDep,
) -> Response:
    """Store a text in the agent's own archive, which is made when it has none."""
    async with parts.database.begin() as connection:
        agent = await get_agent(connection, actor, agent_id)
        archive = await own_archive(connection, actor, agent)
        new = body.to_passage(archive, actor, arrival)
        added = await add_passages(connection, actor, [new], arrival)
    embed_soon(parts, archive)
    return answer(passage_bodies(added))


@router.delete(
    "/archival-memory/{memory_id}",
    operation_id="delete_passage",
    summary="Delete a passage of an agent",
)
async def delete(
    agent_id: AgentId, memory_id: str, connection: TransactionDep, actor: ActorDep
) -> dict[str, str]:
    """Delete a passage of one of its archives, with its vectors."""
    await get_agent(connection, actor, agent_id)
    await delete_passage(connection, await list_archive_ids(connection, agent_id), memory_id)
    return {"message": f"Memory id={memory_id} successfully deleted."}


@router.patch(
    "/archives/attach/{archive_id}",
    operation_id="attach_archive_to_agent",
    summary="Attach an archive to an agent",
)
async def attach(
    agent_id: AgentId, archive_id: ArchiveId, connection: TransactionDep, actor: ActorDep
) -> None:
    """Give the agent an archive; giving it again changes nothing."""
    await get_agent(connection, actor, agent_id)
    await get_archive(connection, actor, archive_id, lock=True)
    await attach_archive(connection, agent_id, archive_id)


@router.patch(
    "/archives/detach/{archive_id}",
    operation_id="detach_archive_from_agent",
    summary="Detach an archive from an agent",
)
async def detach(
    agent_id: AgentId, archive_id: ArchiveId, connection: TransactionDep, actor: ActorDep
) -> None:
    """Take an archive from the agent; the archive stays, with its passages."""
    await get_agent(connection, actor, agent_id)
    await get_archive(connection, actor, archive_id)
    await detach_archive(connection, agent_id, archive_id)
