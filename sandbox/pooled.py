"""A job from its start to its end, in a sandbox of any backend that can be launched."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from sandbox.conversation import Guest, GuestEnded
from sandbox.frames import died, out_of_cpu, out_of_memory, was_killed
from sandbox.pool import Box, Launcher, Pool, Spec
from sandbox.protocol import Job, JobResult, Limits, SandboxLost

_TIDY_AFTER_S = 0.2
"""What a call leaves to be done (to take its sandbox away, to start another) is done so long after
it: both take more of the machine than most calls, and the turn that called goes on meanwhile."""


class Exit(Protocol):
    """The way out of one sandbox, shut until a job is admitted.

    Attributes:
        folder: With the socket that leads to it; it is at `/run/o` in the sandbox, read-only.
        hosts: Which hosts the job has asked for, with `-` before those refused.
    """

    @property
    def folder(self) -> Path:
        """Where it is on this machine."""

    @property
    def hosts(self) -> Sequence[str]:
        """In the order in which they were asked for."""

    def admit(self, job: Job) -> Mapping[str, Any] | None:
        """Open it as far as the job may go; what the guest needs to know for it."""

    async def close(self) -> None:
        """Shut it for ever; it may be asked again."""


class Egress(Protocol):
    """Gives each sandbox a way out."""

    async def open(self) -> Exit:
        """A new one."""


class PooledJobs:
    """Runs jobs in sandboxes of a launcher, each in one that was started before where there is."""

    def __init__(
        self,
        launcher: Launcher,
        *,
        egress: Egress | None = None,
        size: int = 2,
        idle_s: float = 600.0,
    ) -> None:
        """Start nothing yet.

        Args:
            launcher: Of the backend.
            egress: The way out of each sandbox.
            size: How many of a kind are kept ready.
            idle_s: For how long, when none is used.
        """
        self.pool = Pool(
            lambda spec: _launched(launcher, egress, spec),
            size=size,
            idle_s=idle_s,
            refill_after_s=_TIDY_AFTER_S,
        )
        self._is_closing = asyncio.Event()
        self._ending: set[asyncio.Task[None]] = set()

    def warm(self, limits: Limits = Limits()) -> None:
        """Have sandboxes ready for jobs with these limits and no packages."""
        self.pool.warm(Spec.of(Job("", "", "", {}, limits=limits)))

    async def run(self, job: Job, before_sending: Callable[[], Awaitable[None]]) -> JobResult:
        """Run a job; see `Sandbox.run`."""
        taken = await self.pool.take(Spec.of(job))
        try:
            done = await _talk(taken, job, before_sending)
        except asyncio.CancelledError:
            await _whatever_comes(self._end(taken))
            raise
        except BaseException:
            self._end(taken)
            raise
        self._end(taken, is_over=done.failure is None)
        return done

    async def close(self) -> None:
        """End what is ready, and wait until all that were used have ended."""
        self._is_closing.set()
        await self.pool.close()
        while self._ending:
            await asyncio.wait(self._ending)

    def _end(self, taken: "_Taken", *, is_over: bool = False) -> asyncio.Task[None]:
        """In the background: the answer need not wait for it.

        Args:
            taken: What to end.
            is_over: Whether the guest has replied, and so ends by itself with all that is in its
                sandbox: the way out is shut at once, and the rest has time.
        """
        task = asyncio.create_task(self._ended(taken, _TIDY_AFTER_S if is_over else 0.0))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        return task

    async def _ended(self, taken: "_Taken", after_s: float) -> None:
        if after_s:
            await taken.shut()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._is_closing.wait(), after_s)
        await taken.end()


@dataclass
class _Taken:
    """A sandbox and its way out."""

    box: Box
    exit: Exit | None

    @property
    def is_alive(self) -> bool:
        return self.box.is_alive

    async def shut(self) -> None:
        if self.exit is not None:
            await self.exit.close()

    async def end(self) -> None:
        try:
            await self.box.end()
        finally:
            await self.shut()


async def _launched(launcher: Launcher, egress: Egress | None, spec: Spec) -> _Taken:
    way_out = None if egress is None else await egress.open()
    try:
        box = await launcher.launch(spec, None if way_out is None else way_out.folder)
    except BaseException:
        if way_out is not None:
            await way_out.close()
        raise
    return _Taken(box, way_out)


async def _talk(
    taken: _Taken, job: Job, before_sending: Callable[[], Awaitable[None]]
) -> JobResult:
    box, way_out = taken.box, taken.exit
    inside = box.inside
    if way_out is not None:
        inside = replace(inside, egress=way_out.admit(job))
    try:
        done = await Guest(box.line).call(job, inside, before_sending)
    except GuestEnded as error:
        verdict = await box.verdict()
        if verdict == "lost":
            raise SandboxLost("the sandbox is gone, and with it what it did") from error
        failures = {"memory": out_of_memory, "cpu": out_of_cpu}
        done = JobResult(failure=failures.get(verdict, died)(job))
    else:
        if was_killed(done.failure) and await box.verdict() == "memory":
            done = replace(done, failure=out_of_memory(job))
    return done if way_out is None else replace(done, hosts=tuple(way_out.hosts))


async def _whatever_comes(task: asyncio.Task[None]) -> None:
    """Wait for a task, also when the wait is cancelled again."""
    while not task.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait({task})
