"""Which of its files an agent has open."""

from typing import Annotated

from fastapi import APIRouter, Path
from sqlalchemy.ext.asyncio import AsyncConnection

from api.deps import ActorDep, AgentId, TransactionDep
from o.domain.actors import Actor
from o.domain.agents import Agent
from o.domain.files.budget import FileBudget
from o.domain.files.directories import FileView
from o.domain.files.folders import ProcessingStatus
from o.errors import InvalidArgument, NotFound
from o.ids import pattern
from o.storage.agents.agents import get_agent
from o.storage.files.agent_file_names import NamedFile, find_agent_file
from o.storage.files.open_files import close_files, lock_open_files, open_files

router = APIRouter(prefix="/agents/{agent_id}/files", tags=["agents"])

FileId = Annotated[str, Path(pattern=pattern("file"), description="The id of the file")]


@router.patch(
    "/close-all",
    operation_id="close_all_files_for_agent",
    summary="Close all files of an agent",
)
async def close_all(agent_id: AgentId, connection: TransactionDep, actor: ActorDep) -> list[str]:
    """Close them, and say the names of those that were open."""
    await get_agent(connection, actor, agent_id)
    await lock_open_files(connection, agent_id)
    return await close_files(connection, agent_id, None)


@router.patch(
    "/{file_id}/open",
    operation_id="open_file_for_agent",
    summary="Open a file for an agent",
)
async def open_one(
    agent_id: AgentId, file_id: FileId, connection: TransactionDep, actor: ActorDep
) -> list[str]:
    """Open it from its first line on; its prompt shows it from the next step on.

    Says the names of files that were closed for it, because they were used longest ago.
    """
    agent, file = await _file(connection, actor, agent_id, file_id)
    if file.status == ProcessingStatus.ERROR:
        raise InvalidArgument(
            f"INVALID_ARGUMENT: {file.name} could not be read, so it cannot be opened: "
            f"{file.problem or 'its text was not found'}"
        )
    if not FileBudget.of(agent).max_open:
        raise InvalidArgument("INVALID_ARGUMENT: max_files_open of the agent is 0")
    await lock_open_files(connection, agent_id)
    return await open_files(connection, agent, [FileView(file_id)])


@router.patch(
    "/{file_id}/close",
    operation_id="close_file_for_agent",
    summary="Close a file for an agent",
)
async def close_one(
    agent_id: AgentId, file_id: FileId, connection: TransactionDep, actor: ActorDep
) -> dict[str, str]:
    """Close it; one that is closed stays so."""
    _, file = await _file(connection, actor, agent_id, file_id)
    await lock_open_files(connection, agent_id)
    await close_files(connection, agent_id, [file_id])
    return {"message": f"File {file.name} is closed"}


async def _file(
    connection: AsyncConnection, actor: Actor, agent_id: str, file_id: str
) -> tuple[Agent, NamedFile]:
    """The agent, and a file of one of its folders.

    Raises:
        NotFound: There is no such agent for this actor, or it has no such file.
    """
    agent = await get_agent(connection, actor, agent_id)
    file = await find_agent_file(connection, agent_id, file_id)
    if file is None:
        raise NotFound(f"File with id={file_id} not found among the folders of the agent")
    return agent, file
