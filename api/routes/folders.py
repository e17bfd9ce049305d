"""Folders: create, list, count, sum up, retrieve, change, delete; who has them, what they say."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Response

from api.bodies import answer
from api.deps import ActorDep, FolderId, PageDep, PartsDep, ReadsDep, TransactionDep
from api.pagination import page_query
from api.wire.files import FilePassageBody
from api.wire.folders import CreateFolderBody, FolderBody, FoldersStatsBody, UpdateFolderBody
from o.domain.text import storable
from o.storage.archives.embedding import embed_anew
from o.storage.archives.passages import list_passages
from o.storage.files import folders as stored
from o.storage.files.agent_folders import list_agent_ids, take_from_agents
from o.storage.files.files import names_of
from o.storage.pages import Page

router = APIRouter(prefix="/folders", tags=["folders"])

FoldersPage = Annotated[Page, Depends(page_query(limit=50, order="asc"))]
PassagesPage = Annotated[Page, Depends(page_query(limit=100))]
OrderBy = Literal["created_at"]


@router.post(
    "/", operation_id="create_folder", summary="Create a folder", response_model=FolderBody
)
async def create(body: CreateFolderBody, parts: PartsDep, actor: ActorDep) -> Response:
    """Create a folder that no agent has yet. Its name is the only one of its kind."""
    folder = body.to_folder(actor, datetime.now(UTC))
    async with parts.database.begin() as connection:
        await stored.add_folder(connection, folder)
    return answer(FolderBody.of(folder, parts.default_embedding))


@router.get(
    "/", operation_id="list_folders", summary="List folders", response_model=list[FolderBody]
)
async def index(
    connection: ReadsDep,
    actor: ActorDep,
    parts: PartsDep,
    page: FoldersPage,
    order_by: OrderBy = "created_at",
    name: str | None = None,
) -> Response:
    """Folders by the time they were made, the oldest first unless asked otherwise."""
    wanted = None if name is None else storable(name)
    found = await stored.list_folders(connection, actor, page, name=wanted)
    return answer([FolderBody.of(folder, parts.default_embedding) for folder in found])


@router.get("/count", operation_id="count_folders", summary="Count folders", response_model=int)
async def count(connection: ReadsDep, actor: ActorDep) -> Response:
    """How many folders there are."""
    return answer(await stored.count_folders(connection, actor))


@router.get(
    "/metadata",
    operation_id="retrieve_metadata",
    summary="Sum up folders",
    response_model=FoldersStatsBody,
)
async def sums(
    connection: ReadsDep, actor: ActorDep, include_detailed_per_source_metadata: bool = False
) -> Response:
    """How many folders and files there are, and of how many bytes; of each one where asked for.

    Of files the newest 10,000 are named.
    """
    found = await stored.sum_up_folders(connection, actor)
    sizes = None
    if include_detailed_per_source_metadata:
        sizes = await stored.list_file_sizes(connection, actor)
    return answer(FoldersStatsBody.of(found, sizes))


@router.get(
    "/name/{folder_name:path}",
    operation_id="get_folder_by_name",
    summary="Find a folder by its name",
    deprecated=True,
    response_model=str,
)
async def find(folder_name: str, connection: ReadsDep, actor: ActorDep) -> Response:
    """The id of the folder of that name."""
    return answer(await stored.find_folder_id(connection, actor, storable(folder_name)))


@router.get(
    "/{folder_id}",
    operation_id="retrieve_folder",
    summary="Retrieve a folder",
    response_model=FolderBody,
)
async def retrieve(
    folder_id: FolderId, connection: ReadsDep, actor: ActorDep, parts: PartsDep
) -> Response:
    """One folder."""
    folder = await stored.get_folder(connection, actor, folder_id)
    return answer(FolderBody.of(folder, parts.default_embedding))


@router.patch(
    "/{folder_id}",
    operation_id="modify_folder",
    summary="Change a folder",
    response_model=FolderBody,
)
async def update(
    folder_id: FolderId, body: UpdateFolderBody, parts: PartsDep, actor: ActorDep
) -> Response:
    """Change what the request names. With another name, its files are called after it.

    With another `embedding`, they are embedded anew; searches go by the vectors that are there
    until all have new ones.
    """
    async with parts.database.begin() as connection:
        before = await stored.lock_folder(connection, actor, folder_id)
        changed = await stored.change_folder(connection, actor, before, body.changes())
        is_anew = changed.embedding != before.embedding
        if is_anew:
            await embed_anew(connection, actor.organization_id, changed.archive_id, None)
    if is_anew:
        parts.embeddings.soon(changed.archive_id, is_changed=True)
    return answer(FolderBody.of(changed, parts.default_embedding))


@router.delete(
    "/{folder_id}", operation_id="delete_folder", summary="Delete a folder", response_model=None
)
async def delete(folder_id: FolderId, connection: TransactionDep, actor: ActorDep) -> Response:
    """Delete a folder with its files; agents that have it have it no longer."""
    await stored.mark_folder_deleted(connection, actor, folder_id)
    await take_from_agents(connection, folder_id)
    return answer(None)


@router.get(
    "/{folder_id}/agents",
    operation_id="list_agents_for_folder",
    summary="List the agents that have a folder",
    response_model=list[str],
)
async def agents(
    folder_id: FolderId,
    connection: ReadsDep,
    actor: ActorDep,
    page: PageDep,
    order_by: OrderBy = "created_at",
) -> Response:
    """The ids of the agents that have a folder, the newest first unless asked otherwise."""
    await stored.get_folder(connection, actor, folder_id)
    return answer(await list_agent_ids(connection, actor, folder_id, page))


@router.get(
    "/{folder_id}/passages",
    operation_id="list_folder_passages",
    summary="List the passages of a folder",
    response_model=list[FilePassageBody],
)
async def passages(
    folder_id: FolderId,
    connection: ReadsDep,
    actor: ActorDep,
    page: PassagesPage,
    order_by: OrderBy = "created_at",
) -> Response:
    """What its files say, in the pieces that are searched, the newest first unless asked else."""
    folder = await stored.get_folder(connection, actor, folder_id)
    found = await list_passages(connection, actor, [folder.archive_id], page, of_files=True)
    ids = {passage.file_id for passage in found if passage.file_id is not None}
    names = await names_of(connection, sorted(ids))
    return answer([FilePassageBody.of(passage, folder_id, names) for passage in found])
