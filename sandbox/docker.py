"""Tools in containers of a Docker engine: started before they are needed, used once."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from sandbox.docker_box import DockerLauncher
from sandbox.engine import DEFAULT_HOST, Engine, EngineAway, EngineFailed, EngineForbidden, NotThere
from sandbox.leases import Lease
from sandbox.pooled import Egress, PooledJobs
from sandbox.protocol import Job, JobResult, Limits, SandboxState, SandboxUnavailable

_log = logging.getLogger(__name__)
_TEND_S = 30.0


@dataclass(frozen=True)
class DockerOptions:
    """How containers are made.

    Attributes:
        image: Any with a `python3` from 3.9 on.
        leases: A folder that all workers of this data directory share.
        host: Where the engine listens.
        runtime: Of the engine, such as `runsc`; empty for its default.
        pool: How many containers of a kind are kept ready.
        idle_s: For how long, when none is used.
        limits: What most jobs have; sandboxes for such are ready from the start.
        longest_s: The longest job; a container that is older than it can be is no longer used.
    """

    image: str
    leases: Path
    host: str = DEFAULT_HOST
    runtime: str = ""
    pool: int = 2
    idle_s: float = 600.0
    limits: Limits = field(default_factory=Limits)
    longest_s: float = 3_600.0


class DockerSandbox:
    """A `Sandbox` whose jobs have a container each."""

    def __init__(self, options: DockerOptions, egress: Egress | None = None) -> None:
        self._options = options
        self._engine = Engine(options.host)
        self._egress = egress
        self._state = SandboxState("docker", "container", problem="it was not looked at yet")
        self._lease: Lease | None = None
        self._launcher: DockerLauncher | None = None
        self._jobs: PooledJobs | None = None
        self._tending: asyncio.Task[None] | None = None
        self._looking = asyncio.Lock()

    @property
    def state(self) -> SandboxState:
        """What it is, when it was looked at last."""
        python = "" if self._launcher is None else self._launcher.python
        return replace(self._state, python=python)

    @property
    def ready(self) -> int:
        """How many containers wait for a job."""
        return 0 if self._jobs is None else self._jobs.pool.ready

    async def look(self) -> SandboxState:
        """Ask the engine whether tools can run in it; nothing is started."""
        problem, caps = "", ""
        try:
            info = await self._engine.info()
            held = all(info.get(name) for name in ("MemoryLimit", "PidsLimit", "CpuCfsQuota"))
            caps = "cgroup" if held else ""
            if self._options.runtime and self._options.runtime not in info.get("Runtimes", {}):
                problem = f"the Docker engine has no runtime {self._options.runtime}"
            await self._engine.image_id(self._options.image)
        except NotThere:
            problem = (
                f"the image {self._options.image} is not there: make it with `make sandbox-image`"
            )
        except EngineForbidden:
            problem = (
                f"the Docker engine at {self._options.host} does not let this user in: add it to "
                "the group that owns the socket"
            )
        except EngineAway:
            problem = (
                f"no Docker engine answers at {self._options.host}: start it, or name another "
                "with O_DOCKER_HOST"
            )
        except EngineFailed as error:
            problem = f"the Docker engine refuses: {error}"
        self._state = SandboxState("docker", "container", caps, problem)
        return self._state

    async def start(self) -> None:
        """Clear what dead workers left and have containers ready, where the engine can."""
        self._lease = Lease(self._options.leases)
        launcher = self._launcher = DockerLauncher(
            self._engine,
            self._options.image,
            runtime=self._options.runtime,
            instance=self._lease.instance,
            worker=self._lease.worker,
            lifetime_s=self._options.idle_s + self._options.longest_s + 60.0,
        )
        self._jobs = PooledJobs(
            launcher,
            egress=self._egress,
            size=self._options.pool,
            idle_s=self._options.idle_s,
        )
        if not (await self.look()).problem:
            await self._reap_or_say()
            self._jobs.warm(self._options.limits)
        self._tending = asyncio.create_task(self._tend())

    async def run(self, job: Job, *, before_sending: Callable[[], Awaitable[None]]) -> JobResult:
        """See `Sandbox.run`."""
        if self._jobs is None:
            raise SandboxUnavailable("the sandbox was not started")
        if self._state.problem:
            async with self._looking:
                if self._state.problem and (await self.look()).problem:
                    raise SandboxUnavailable(self._state.problem)
        return await self._jobs.run(job, before_sending)

    async def reap(self) -> int:
        """Remove the containers of workers that died, and those past their time; how many."""
        lease = self._lease
        if lease is None:
            return 0
        dead, removed = set(lease.dead()), 0
        for container, labels in await self._engine.containers(["o.sandbox=1"]):
            is_ours = labels.get("o.instance") == lease.instance
            if (is_ours and lease.is_dead(labels.get("o.worker", ""))) or _is_past(labels):
                with suppress(EngineFailed):
                    await self._engine.remove(container)
                    removed += 1
        for worker in dead:
            lease.forget(worker)
        if removed:
            _log.info("containers of dead workers removed", extra={"count": removed})
        return removed

    async def close(self) -> None:
        """Remove every container of this worker."""
        if self._tending is not None:
            self._tending.cancel()
            with suppress(asyncio.CancelledError):
                await self._tending
        if self._jobs is not None:
            await self._jobs.close()
        if self._lease is not None:
            self._lease.give_back()
            self._lease = None
        self._engine.close()

    async def _tend(self) -> None:
        while True:
            await asyncio.sleep(_TEND_S)
            try:
                if not (await self.look()).problem and self._jobs is not None:
                    await self._reap_or_say()
                    self._jobs.pool.tend()
            except Exception:  # or dead workers' containers would stay from then on
                _log.exception("containers could not be tended")

    async def _reap_or_say(self) -> None:
        try:
            await self.reap()
        except EngineFailed as error:
            _log.warning("containers could not be looked through", extra={"why": str(error)})


def _is_past(labels: dict[str, str]) -> bool:
    try:
        return float(labels.get("o.deadline", "")) < time.time()
    except ValueError:
        return False
