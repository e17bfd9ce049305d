"""An agent's folders: list, attach, detach; and the files in them."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Response

from api.agents.agent_answers import agent_answer
from api.bodies import answer
from api.deps import ActorDep, AgentId, FolderId, PartsDep, ReadsDep, TransactionDep
from api.pagination import page_query
from api.wire.agents import AgentBody
from api.wire.files import AgentFilesBody
from api.wire.folders import FolderBody
from o.storage.agents.agents import get_agent, get_agent_state
from o.storage.files.agent_folders import attach_folder, detach_folder, list_agent_files
from o.storage.files.directories import visible_contents
from o.storage.files.folders import get_folder, get_folders, list_folders
from o.storage.files.open_files import lock_open_files
from o.storage.pages import Page

router = APIRouter(prefix="/agents", tags=["agents"])

HeldPage = Annotated[Page, Depends(page_query(limit=100))]


@router.get(
    "/{agent_id}/folders",
    operation_id="list_folders_for_agent",
    summary="List the folders of an agent",
    response_model=list[FolderBody],
)
async def index(
    agent_id: AgentId,
    connection: ReadsDep,
    actor: ActorDep,
    parts: PartsDep,
    page: HeldPage,
    order_by: Literal["created_at"] = "created_at",
) -> Response:
    """An agent's folders by the time they were made, the newest first unless asked otherwise."""
    await get_agent(connection, actor, agent_id)
    found = await list_folders(connection, actor, page, agent_id=agent_id)
    return answer([FolderBody.of(folder, parts.default_embedding) for folder in found])


@router.patch(
    "/{agent_id}/folders/attach/{folder_id}",
    operation_id="attach_folder_to_agent",
    summary="Give an agent a folder",
    response_model=AgentBody,
)
async def attach(
    agent_id: AgentId, folder_id: FolderId, connection: TransactionDep, actor: ActorDep
) -> Response:
    """Give an agent a folder; as many of its files are opened as the agent has room for."""
    (folder,) = await get_folders(connection, actor, [folder_id])
    await lock_open_files(connection, agent_id)
    agent = await get_agent(connection, actor, agent_id, lock=True)
    await attach_folder(connection, agent, folder)
    return await agent_answer(connection, await get_agent_state(connection, actor, agent_id))


@router.patch(
    "/{agent_id}/folders/detach/{folder_id}",
    operation_id="detach_folder_from_agent",
    summary="Take a folder from an agent",
    response_model=AgentBody,
)
async def detach(
    agent_id: AgentId, folder_id: FolderId, connection: TransactionDep, actor: ActorDep
) -> Response:
    """Take a folder from an agent, which need not have it; the folder stays."""
    await get_folder(connection, actor, folder_id)
    await lock_open_files(connection, agent_id)
    agent = await get_agent(connection, actor, agent_id, lock=True)
    await detach_folder(connection, agent.id, folder_id)
    return await agent_answer(connection, await get_agent_state(connection, actor, agent_id))


@router.get(
    "/{agent_id}/files",
    operation_id="list_files_for_agent",
    summary="List the files of an agent",
    response_model=AgentFilesBody,
)
async def files(
    agent_id: AgentId,
    connection: ReadsDep,
    actor: ActorDep,
    page: HeldPage,
    order_by: Literal["created_at"] = "created_at",
    cursor: Annotated[str | None, Query(deprecated=True)] = None,
    is_open: bool | None = None,
) -> Response:
    """The files of an agent's folders, the newest first unless asked otherwise.

    `cursor`, from `next_cursor`, is V1's older word for `after`.
    """
    agent = await get_agent(connection, actor, agent_id)
    more = Page(page.before, page.after or cursor, page.limit + 1, ascending=page.ascending)
    found = await list_agent_files(connection, actor, agent_id, more, is_open=is_open)
    shown = found[: page.limit]
    seen = await visible_contents(connection, agent, [held.file for held in shown])
    return answer(AgentFilesBody.of(shown, seen, has_more=len(found) > page.limit))
