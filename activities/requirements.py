"""Installs what a tool requires before anybody calls it, as an activity of its own."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from activities.worker_requests import Asked
from o.errors import ToolFailed
from o.storage.database import Database
from o.storage.tools.tools import note_problem_of

Prepared = Callable[[Sequence[Mapping[str, Any]]], Awaitable[Path | None]]
"""Installs requirements, or finds them installed. Raises `ToolFailed` in words for the model."""


class RequirementsInstaller:
    """Serves requests of the kind `INSTALL`: `{"tool_id", "pip_requirements"}`; the answer is `{}`.

    What a worker has installed is there for all workers of its data directory. A worker of
    another machine, or whose folder was cleared, installs at the first call.
    """

    def __init__(self, database: Database, prepared: Prepared) -> None:
        self._database = database
        self._prepared = prepared

    async def run(self, asked: Asked) -> dict[str, Any]:
        """Install them, and keep with the tool whether that went well; a repeat is cheap."""
        tool_id, wanted = asked.request["tool_id"], asked.request["pip_requirements"]
        problem = ""
        try:
            await self._prepared(wanted)
        except ToolFailed as failed:
            problem = failed.message
        async with self._database.connect() as connection:
            await note_problem_of(connection, tool_id, wanted, problem)
        return {}
