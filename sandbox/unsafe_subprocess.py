"""Tools as plain processes of the server's own user, where an operator asks for that by name.

It keeps the server's environment from them and holds each process to some limits; nothing else.
A tool reads and changes all that the server's user may, and what it starts may outlive it.
"""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Literal

from sandbox.conversation import Guest, Streams
from sandbox.frames import Inside
from sandbox.guest_code import bundle, command_from_stdin
from sandbox.pool import Spec
from sandbox.pooled import PooledJobs
from sandbox.protocol import Job, JobResult, SandboxState, SandboxUnavailable

_log = logging.getLogger(__name__)
NAME: Literal["unsafe-subprocess"] = "unsafe-subprocess"
MARK = "[NOTE: this ran without a sandbox (O_SANDBOX_BACKEND=unsafe-subprocess)]"
_ADDRESS_SPACE = 4 * 1024**3


class UnsafeSubprocess:
    """A `Sandbox` that is none."""

    def __init__(self) -> None:
        self._jobs = PooledJobs(_Launcher(), size=0)

    @property
    def state(self) -> SandboxState:
        """Level `none`."""
        return SandboxState(NAME, "none", python=".".join(map(str, sys.version_info[:2])))

    async def start(self) -> None:
        """Nothing is there to be made ready."""
        _log.warning("tools run without a sandbox, as O_SANDBOX_BACKEND=unsafe-subprocess says")

    async def run(self, job: Job, *, before_sending: Callable[[], Awaitable[None]]) -> JobResult:
        """See `Sandbox.run`. The result's stderr begins with a line that says what this was."""
        _log.warning("a tool runs without a sandbox", extra={"job": job.id})
        done = await self._jobs.run(job, before_sending)
        return replace(done, stderr=f"{MARK}\n{done.stderr}".rstrip("\n"))

    async def close(self) -> None:
        """End what runs."""
        await self._jobs.close()


class _Box:
    """A process whose guest waits for a job."""

    def __init__(self, process: asyncio.subprocess.Process, line: Streams, inside: Inside) -> None:
        self.line = line
        self.inside = inside
        self._process = process

    @property
    def is_alive(self) -> bool:
        return self._process.returncode is None

    async def verdict(self) -> Literal["memory", "cpu", "lost", ""]:
        return ""

    async def end(self) -> None:
        """Kill the guest; it has killed the tool's process group, if it could."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()


class _Launcher:
    async def launch(self, spec: Spec, exit_folder: Path | None) -> _Box:
        """Start a process. There is no way out to lead it: it has the network of this machine."""
        del exit_folder
        python = getattr(sys, "_base_executable", sys.executable)
        process = await asyncio.create_subprocess_exec(
            *command_from_stdin(python=python),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
            cwd=tempfile.gettempdir(),
            start_new_session=True,
        )
        assert process.stdout is not None  # noqa: S101 - they are pipes
        assert process.stdin is not None  # noqa: S101
        line = Streams(process.stdout, process.stdin)
        limits = {"AS": max(_ADDRESS_SPACE, spec.memory), "CORE": 0, "FSIZE": spec.disk}
        inside = Inside(
            packages=None if spec.packages is None else PurePosixPath(spec.packages),
            rlimits=limits,
        )
        box = _Box(process, line, inside)
        try:
            await line.send(bundle())
            await Guest(line).ready()
        except BaseException as error:
            await asyncio.shield(box.end())
            if isinstance(error, OSError):
                raise SandboxUnavailable("a process was started and ended") from error
            raise
        return box
