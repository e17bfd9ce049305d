"""Files that an agent opens, by the names that it gives."""

from collections.abc import Mapping, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.agents import Agent
from o.domain.files.budget import FileBudget
from o.domain.files.directories import FileRequest, FileView, OpenedFile, OpenedFiles
from o.domain.files.folders import ProcessingStatus
from o.errors import ToolFailed
from o.storage.files.agent_file_names import (
    NamedFile,
    count_lines,
    find_named_files,
    list_some_names,
)
from o.storage.files.open_files import lock_open_files, open_files

_SHOWN_NAMES = 20
_NOTHING_OPENED = "Nothing was opened"


async def open_requested(
    connection: AsyncConnection,
    agent: Agent,
    wanted: Sequence[FileRequest],
    *,
    close_others: bool,
) -> OpenedFiles:
    """Open the files that an agent asks for, all of them or none.

    Args:
        connection: In a transaction; the caller holds no lock that stands behind that of open
            files (`o.storage.locks`).
        agent: Whose folders and whose budget.
        wanted: Of one that is named twice, the last request counts.
        close_others: Close all other files.

    Raises:
        ToolFailed: One of them cannot be opened, in words for the model.
    """
    await lock_open_files(connection, agent.id)
    found = await find_named_files(connection, agent.id, [one.name for one in wanted])
    missing = [one.name for one in wanted if one.name not in found]
    if missing:
        raise ToolFailed(await _missing(connection, agent.id, missing))
    by_file = {found[one.name].id: (found[one.name], one) for one in wanted}
    _check_budget(agent, len(by_file))
    lines = await count_lines(connection, list(by_file))
    for file, request in by_file.values():
        _check_file(file, request, lines)
    views = [FileView(id_, one.start, one.end) for id_, (_, one) in by_file.items()]
    closed = await open_files(connection, agent, views, close_others=close_others)
    opened = [
        OpenedFile(file.name, one.start, one.end, lines.get(file.id))
        for file, one in by_file.values()
    ]
    return OpenedFiles(opened, closed)


def _check_budget(agent: Agent, wanted: int) -> None:
    most = FileBudget.of(agent).max_open
    if wanted > most:
        raise ToolFailed(
            f"{_NOTHING_OPENED}: {wanted} files were asked for, and {most} can be open at the "
            "same time."
        )


def _check_file(file: NamedFile, request: FileRequest, lines: Mapping[str, int]) -> None:
    if file.status == ProcessingStatus.ERROR:
        why = file.problem or "its text was not found"
        raise ToolFailed(f"{_NOTHING_OPENED}: {file.name} could not be read: {why}")
    total = lines.get(file.id)
    if total is not None and request.start is not None and request.start > max(1, total):
        raise ToolFailed(
            f"{_NOTHING_OPENED}: {file.name} has {total} lines, and offset {request.start - 1} is "
            "behind the last of them."
        )


async def _missing(connection: AsyncConnection, agent_id: str, missing: Sequence[str]) -> str:
    names = await list_some_names(connection, agent_id, limit=_SHOWN_NAMES + 1)
    asked = ", ".join(repr(name[:200]) for name in missing[:_SHOWN_NAMES])
    if not names:
        return f"{_NOTHING_OPENED}: there are no files, so none that is called {asked}."
    shown = ", ".join(names[:_SHOWN_NAMES])
    more = ", and others" if len(names) > _SHOWN_NAMES else ""
    return f"{_NOTHING_OPENED}: no file, or several, are meant by {asked}. There are: {shown}{more}"
