"""A server that is a process here: its lines in and out, within bounds."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from o.errors import McpFailed

_CHUNK = 64 * 1024
_MOST_NOISE = 64 * 1024
_LAST_WORDS = 2_000


class Process(Protocol):
    """A server's process with its pipes, in a sandbox."""

    @property
    def stdin(self) -> asyncio.StreamWriter:
        """Where it reads."""

    @property
    def stdout(self) -> asyncio.StreamReader:
        """Where it writes."""

    @property
    def stderr(self) -> asyncio.StreamReader:
        """What it says besides."""

    async def end(self) -> None:
        """Kill it with all that it started, and wait for that. May be called again."""


class Spawn(Protocol):
    """Starts processes in sandboxes."""

    async def __call__(
        self, command: str, args: Sequence[str], environment: Mapping[str, str]
    ) -> Process:
        """Start one.

        Raises:
            McpFailed: There is no sandbox, the command is not in it, or stdio is off.
        """


@dataclass
class Lines:
    """The lines of a process. What it says on stderr is thrown away but for the last words."""

    process: Process
    left: int
    last_words: str = ""

    async def read(self) -> AsyncIterator[bytes]:
        """Each line that it writes and that may be a message, until it ends.

        Many servers print something else as well, which is passed over while it is little.

        Raises:
            McpFailed: It wrote more than it may.
        """
        buffer, noise = b"", 0
        while chunk := await self.process.stdout.read(_CHUNK):
            self.left -= len(chunk)
            if self.left < 0:
                raise McpFailed("it wrote more than it may")
            *lines, buffer = (buffer + chunk).split(b"\n")
            for line in lines:
                if line.lstrip().startswith(b"{"):
                    yield line
                    continue
                noise += len(line) + 1
                if noise > _MOST_NOISE:
                    raise McpFailed("it prints to stdout what is no message")

    async def write(self, line: bytes) -> None:
        """Send it a line; one that is gone gets none."""
        with contextlib.suppress(ConnectionError):
            self.process.stdin.write(line + b"\n")
            await self.process.stdin.drain()

    async def drain_stderr(self) -> None:
        """Read stderr to its end, so that the process never waits for it."""
        while chunk := await self.process.stderr.read(_CHUNK):
            text = self.last_words + chunk[-_LAST_WORDS:].decode(errors="replace")
            self.last_words = text[-_LAST_WORDS:]


async def refuse(command: str, args: Sequence[str], environment: Mapping[str, str]) -> Process:
    """What starts processes where stdio is off."""
    del command, args, environment
    raise McpFailed(
        "MCP servers over stdio are processes of this machine, and off: an operator turns them on "
        "with O_MCP_STDIO=1",
        answered=True,
    )
