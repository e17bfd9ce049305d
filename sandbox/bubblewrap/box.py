"""A sandbox of bubblewrap whose guest waits for a job."""

import asyncio
from pathlib import Path
from typing import Literal

from sandbox.bubblewrap.command import Wanted
from sandbox.bubblewrap.host import Host
from sandbox.bubblewrap.process import Caps, ConfinedProcess, NotStarted, start, words_of
from sandbox.conversation import Guest, Streams
from sandbox.frames import Inside
from sandbox.guest_code import bundle, command_from_stdin
from sandbox.pool import EXIT, PACKAGES, Spec
from sandbox.protocol import Limits, SandboxUnavailable

_PYTHONS_OWN = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}


class _Line(Streams):
    """The pipes of a guest. The first bytes are the guest's own code, and after it comes a job."""

    def __init__(self, confined: ConfinedProcess, limits: Limits) -> None:
        reader, writer = confined.process.stdout, confined.process.stdin
        assert reader is not None  # noqa: S101 - they are pipes
        assert writer is not None  # noqa: S101
        super().__init__(reader, writer)
        self._confined = confined
        self._limits = limits

    async def send_code(self, code: bytes) -> None:
        """Send what runs before any job comes."""
        await super().send(code)

    async def send(self, data: bytes) -> None:
        """Send a job; from now on its use of the machine is looked at."""
        self._confined.watch(self._limits)
        await super().send(data)


class BubblewrapBox:
    """A started sandbox; see `sandbox.pool.Box`."""

    def __init__(self, confined: ConfinedProcess, line: _Line, inside: Inside) -> None:
        self.line = line
        self.inside = inside
        self._confined = confined

    @property
    def is_alive(self) -> bool:
        """Whether its processes have not ended."""
        return self._confined.process.returncode is None

    async def verdict(self) -> Literal["memory", "cpu", "lost", ""]:
        """What it was ended for."""
        return self._confined.verdict() or ""

    async def end(self) -> None:
        """Kill all of it, and wait for that."""
        await self._confined.end()


class BubblewrapLauncher:
    """Starts sandboxes of bubblewrap."""

    def __init__(self, host: Host, caps: Caps) -> None:
        self._host = host
        self._caps = caps

    async def launch(self, spec: Spec, exit_folder: Path | None) -> BubblewrapBox:
        """Start one and wait for its hello.

        Raises:
            SandboxUnavailable: It cannot be started; bubblewrap's own words are its cause.
        """
        folders = {str(PACKAGES): spec.packages, EXIT: exit_folder}
        limits = Limits(
            memory=spec.memory, processes=spec.processes, cpus=spec.cpus, disk=spec.disk
        )
        wanted = Wanted(
            command_from_stdin(python=str(self._host.python)),
            environment=_PYTHONS_OWN,
            folders={inside: path for inside, path in folders.items() if path is not None},
            limits=limits,
        )
        try:
            confined = await start(self._host, self._caps, wanted)
        except NotStarted as error:
            raise SandboxUnavailable("bubblewrap makes no sandbox") from error
        try:
            line = _Line(confined, limits)
            await _greet(confined, line)
        except BaseException:
            await asyncio.shield(confined.end())
            raise
        inside = Inside(packages=PACKAGES if spec.packages is not None else None)
        return BubblewrapBox(confined, line, inside)


async def _greet(confined: ConfinedProcess, line: _Line) -> None:
    try:
        await line.send_code(bundle())
        await Guest(line).ready()
    except (OSError, SandboxUnavailable) as error:
        cause = NotStarted(await words_of(confined.process))
        raise SandboxUnavailable("a sandbox was made and its guest does not answer") from (
            cause if str(cause) else error
        )
