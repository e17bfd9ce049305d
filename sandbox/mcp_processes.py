"""MCP servers that are processes: each in a sandbox of bubblewrap of its own, or not at all."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from o.errors import McpFailed
from o.mcp.stdio import Process
from sandbox.bubblewrap.cgroups import find
from sandbox.bubblewrap.command import Wanted
from sandbox.bubblewrap.host import Host, look
from sandbox.bubblewrap.process import Caps, ConfinedProcess, NotStarted, start
from sandbox.protocol import Limits, SandboxState

_CHUNK = 64 * 1024
_SYSTEM = (Path("/usr/bin"), Path("/bin"))


class ConfinedServer:
    """A running server; see `o.mcp.stdio.Process`."""

    def __init__(self, confined: ConfinedProcess) -> None:
        process = confined.process
        assert process.stdin is not None  # noqa: S101 - they are pipes
        assert process.stdout is not None  # noqa: S101
        assert process.stderr is not None  # noqa: S101
        self.stdin, self.stdout, self.stderr = process.stdin, process.stdout, process.stderr
        self._confined = confined

    async def end(self) -> None:
        """Kill all of it, and wait for that."""
        # asyncio sees the end of a process when its pipes are read to theirs.
        await asyncio.gather(self._confined.end(), _drain(self.stdout), _drain(self.stderr))


async def _drain(pipe: asyncio.StreamReader) -> None:
    while await pipe.read(_CHUNK):
        pass


class ConfinedServers:
    """Starts servers over stdio; a `Spawn`.

    Inside there is no network but a loopback of its own, nothing of the server's files and
    environment, and no folder that can be written to but `/job` and `/tmp`.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        limits: Limits,
        look_at: Callable[[], Awaitable[SandboxState]],
    ) -> None:
        """Start nothing yet.

        Args:
            folders: What servers see besides the system, read-only, at the same places.
            limits: What each of them may use.
            look_at: Tries whether sandboxes hold here; done once, before the first server.
        """
        self._folders = [folder.resolve() for folder in folders]
        self._limits = limits
        self._look_at = look_at
        self._looking = asyncio.Lock()
        self._found: tuple[Host, Caps] | None = None

    async def __call__(
        self, command: str, args: Sequence[str], environment: Mapping[str, str]
    ) -> Process:
        """Start a server.

        Raises:
            McpFailed: There is no sandbox that holds, or the command is not in it.
        """
        host, caps = await self._ready()
        path = [*(place for one in self._folders for place in (one, one / "bin")), *_SYSTEM]
        own = {"PATH": os.pathsep.join(map(str, path)), "HOME": "/tmp", "LANG": "C.UTF-8"}  # noqa: S108
        wanted = Wanted(
            [self._program(command, path, host), *args],
            environment={**own, **environment},
            folders={str(folder): folder for folder in self._folders},
            limits=self._limits,
        )
        try:
            confined = await start(host, caps, wanted)
        except NotStarted as error:
            raise McpFailed("no sandbox could be made for its process", answered=True) from error
        confined.watch(self._limits)
        return ConfinedServer(confined)

    async def _ready(self) -> tuple[Host, Caps]:
        async with self._looking:
            if self._found is None:
                state = await self._look_at()
                if state.problem:
                    raise McpFailed(
                        f"servers over stdio need a sandbox of bubblewrap: {state.problem}",
                        answered=True,
                    )
                self._found = (look(), Caps(find(self._limits)))
            return self._found

    def _program(self, command: str, path: Sequence[Path], host: Host) -> str:
        """Where a command is, inside and outside alike."""
        given = Path(command)
        if given.is_absolute():
            inside = [*self._folders, *_SYSTEM]
            if given == host.python or any(given.is_relative_to(folder) for folder in inside):
                return command
        elif "/" not in command:
            for folder in path:
                if os.access(folder / command, os.X_OK) and (folder / command).is_file():
                    return str(folder / command)
            if command in ("python", "python3"):
                return str(host.python)
        raise McpFailed(
            f"the command {command} is not in the sandbox, which has /usr/bin and the folders of "
            "O_MCP_STDIO_FOLDERS",
            answered=True,
        )
