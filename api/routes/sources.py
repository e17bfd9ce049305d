"""Folders by the name that V1 gave them before, and in its older shapes: the same, deprecated."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from api.bodies import answer
from api.deps import ActorDep, FolderId, PartsDep, ReadsDep
from api.documentation import UPLOAD_REFUSED
from api.routes import agent_folders, folder_files, folders
from api.wire.agents import AgentBody
from api.wire.files import FileBody, FilePassageBody
from api.wire.folders import FolderBody, FoldersStatsBody
from o.storage.files.agent_folders import list_agent_ids
from o.storage.files.folders import get_folder, list_folders
from o.storage.pages import Page

router = APIRouter()

_EVERYTHING = Page(limit=10_000, ascending=True)


async def _index(
    connection: ReadsDep, actor: ActorDep, parts: PartsDep, name: str | None = None
) -> Response:
    """All folders, the oldest first."""
    found = await list_folders(connection, actor, _EVERYTHING, name=name)
    return answer([FolderBody.of(folder, parts.default_embedding) for folder in found])


async def _agents(folder_id: FolderId, connection: ReadsDep, actor: ActorDep) -> Response:
    """The ids of all agents that have the folder."""
    await get_folder(connection, actor, folder_id)
    return answer(await list_agent_ids(connection, actor, folder_id, _EVERYTHING))


async def _files(
    folder_id: FolderId,
    connection: ReadsDep,
    actor: ActorDep,
    page: folder_files.FilesPage,
    include_content: bool = False,
    check_status_updates: Annotated[bool, Query(description="Means nothing here")] = True,
) -> Response:
    """The files of a folder; how far they are is always as it is now."""
    return await folder_files.index(
        folder_id, connection, actor, page, include_content=include_content
    )


# By V1's name of the operation: method, path, what does it, and what it answers.
_ALIASES: dict[str, tuple[str, str, Callable[..., Any], Any]] = {
    "list_sources": ("GET", "/sources/", _index, list[FolderBody]),
    "create_source": ("POST", "/sources/", folders.create, FolderBody),
    "count_sources": ("GET", "/sources/count", folders.count, int),
    "get_sources_metadata": ("GET", "/sources/metadata", folders.sums, FoldersStatsBody),
    "get_source_id_by_name": ("GET", "/sources/name/{folder_name:path}", folders.find, str),
    "retrieve_source": ("GET", "/sources/{folder_id}", folders.retrieve, FolderBody),
    "modify_source": ("PATCH", "/sources/{folder_id}", folders.update, FolderBody),
    "delete_source": ("DELETE", "/sources/{folder_id}", folders.delete, None),
    "get_agents_for_source": ("GET", "/sources/{folder_id}/agents", _agents, list[str]),
    "list_source_passages": (
        "GET",
        "/sources/{folder_id}/passages",
        folders.passages,
        list[FilePassageBody],
    ),
    "list_source_files": ("GET", "/sources/{folder_id}/files", _files, list[FileBody]),
    "get_file_metadata": (
        "GET",
        "/sources/{folder_id}/files/{file_id}",
        folder_files.retrieve,
        FileBody,
    ),
    "upload_file_to_source": ("POST", "/sources/{folder_id}/upload", folder_files.upload, FileBody),
    "delete_file_from_source": (
        "DELETE",
        "/sources/{folder_id}/{file_id}",
        folder_files.delete,
        None,
    ),
    "list_agent_sources": (
        "GET",
        "/agents/{agent_id}/sources",
        agent_folders.index,
        list[FolderBody],
    ),
    "attach_source_to_agent": (
        "PATCH",
        "/agents/{agent_id}/sources/attach/{folder_id}",
        agent_folders.attach,
        AgentBody,
    ),
    "detach_source_from_agent": (
        "PATCH",
        "/agents/{agent_id}/sources/detach/{folder_id}",
        agent_folders.detach,
        AgentBody,
    ),
}

for _id, (_method, _path, _endpoint, _model) in _ALIASES.items():
    router.add_api_route(
        _path,
        _endpoint,
        methods=[_method],
        operation_id=_id,
        summary=_id.replace("_", " ").capitalize(),
        tags=[_path.split("/")[1]],
        deprecated=True,
        status_code=204 if _endpoint is folder_files.delete else 200,
        response_model=_model,
        responses=UPLOAD_REFUSED if _path.endswith("/upload") else None,
        openapi_extra=folder_files.FORM if _path.endswith("/upload") else None,
    )
