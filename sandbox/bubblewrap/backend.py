"""Tools in bubblewrap: where there is no Docker engine, and the kernel allows namespaces."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from sandbox.bubblewrap import cgroups
from sandbox.bubblewrap.box import BubblewrapLauncher
from sandbox.bubblewrap.host import Absent, Host, look
from sandbox.bubblewrap.process import Caps, NotStarted
from sandbox.bubblewrap.reasons import explain
from sandbox.pooled import Egress, PooledJobs
from sandbox.protocol import Job, JobResult, Limits, NoSandbox, SandboxState, SandboxUnavailable
from sandbox.self_test import problem_of

_log = logging.getLogger(__name__)
_TEND_S = 20.0
_LOOK_AGAIN_S = 10.0


class BubblewrapSandbox:
    """A `Sandbox` whose jobs have namespaces of their own.

    It is to be used in the main thread's loop: a sandbox ends with the thread that started it.
    """

    def __init__(
        self, limits: Limits, *, pool: int = 2, idle_s: float = 600.0, egress: Egress | None = None
    ) -> None:
        """Look at nothing yet.

        Args:
            limits: What most jobs have; sandboxes for such are ready from the start.
            pool: How many sandboxes of a kind are kept ready.
            idle_s: For how long, when none is used.
            egress: The way out, for jobs that may have one.
        """
        self._limits = limits
        self._pool, self._idle_s = pool, idle_s
        self._egress = egress
        self._state = SandboxState("bubblewrap", "namespaces", problem="it was not looked at yet")
        self._looked_at_s = -_LOOK_AGAIN_S
        self._looking = asyncio.Lock()
        self._caps: Caps | None = None
        self._jobs: PooledJobs | None = None
        self._tending: asyncio.Task[None] | None = None

    @property
    def state(self) -> SandboxState:
        """What it is, when it was looked at last."""
        return self._state

    async def look(self) -> SandboxState:
        """Make a sandbox and try what can be seen from inside; nothing is kept."""
        self._looked_at_s = time.monotonic()
        try:
            host = look()
        except Absent as error:
            self._state = SandboxState("bubblewrap", "namespaces", problem=str(error))
            return self._state
        if self._caps is None:
            self._caps = Caps(cgroups.find(self._limits))
        problem = await self._problem(host, self._caps)
        words = self._caps.words
        self._state = SandboxState("bubblewrap", "namespaces", words, problem, host.version)
        return self._state

    async def start(self) -> None:
        """Look, clear what dead workers left and have sandboxes ready."""
        await self.look()
        self._serve()
        self._tending = asyncio.create_task(self._tend())

    async def run(self, job: Job, *, before_sending: Callable[[], Awaitable[None]]) -> JobResult:
        """See `Sandbox.run`."""
        async with self._looking:
            if self._state.problem and time.monotonic() - self._looked_at_s >= _LOOK_AGAIN_S:
                await self.look()
                self._serve()
        if self._jobs is None:
            raise NoSandbox(self._state.problem)
        return await self._jobs.run(job, before_sending)

    async def close(self) -> None:
        """End every sandbox of this worker."""
        if self._tending is not None:
            self._tending.cancel()
            with suppress(asyncio.CancelledError):
                await self._tending
        if self._jobs is not None:
            await self._jobs.close()

    def _serve(self) -> None:
        if self._state.problem or self._jobs is not None or self._caps is None:
            return
        launcher = BubblewrapLauncher(look(), self._caps)
        self._jobs = PooledJobs(launcher, egress=self._egress, size=self._pool, idle_s=self._idle_s)
        self._jobs.warm(self._limits)

    async def _problem(self, host: Host, caps: Caps) -> str:
        jobs = PooledJobs(BubblewrapLauncher(host, caps), size=0)
        try:
            return await problem_of(jobs.run, self._limits)
        except SandboxUnavailable as error:
            words = str(error.__cause__ if isinstance(error.__cause__, NotStarted) else error)
            return f"no sandbox can be made; {explain(words, privileged=host.privileged)}"
        finally:
            await jobs.close()

    async def _tend(self) -> None:
        while True:
            try:
                if self._caps is not None and self._caps.cgroups is not None:
                    self._caps.cgroups.clear()
                if self._jobs is not None:
                    self._jobs.pool.tend()
            except Exception:  # or what dead workers left would stay from then on
                _log.exception("sandboxes could not be tended")
            await asyncio.sleep(_TEND_S)
