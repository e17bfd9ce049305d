"""Which backend runs tools here: the one that is set, or the best that proves itself; else none."""

import asyncio
import contextlib
import logging
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from o.errors import Unavailable
from o.settings.all import LOOPBACK_HOSTS, Settings
from sandbox.bubblewrap.backend import BubblewrapSandbox
from sandbox.pooled import Egress
from sandbox.protocol import (
    Job,
    JobResult,
    Limits,
    NoSandbox,
    Sandbox,
    SandboxLost,
    SandboxState,
    SandboxUnavailable,
)
from sandbox.self_test import problem_of
from sandbox.unsafe_subprocess import NAME as UNSAFE
from sandbox.unsafe_subprocess import UnsafeSubprocess

_log = logging.getLogger(__name__)
_PATIENCE_S = 60.0
_FIRST_S = 2.0
"""What else a worker does when it starts goes first; a job waits for nothing."""

_AGAIN_S = 30.0
_SOON_S = 5.0


class _Egress(Egress, Protocol):
    """What a worker has of it, once for all its sandboxes."""

    async def start(self) -> None: ...
    async def close(self) -> None: ...


@dataclass(frozen=True)
class Candidate:
    """A backend that may be used.

    Attributes:
        name: As in `O_SANDBOX_BACKEND`.
        make: Makes it, of which nothing runs yet.
        probe: Whether it is still to be proven by a job that looks out of its sandbox.
        has_seccomp: Whether its kernel tells of filters.
    """

    name: str
    make: Callable[[], Sandbox]
    probe: bool = False
    has_seccomp: bool = True


def limits_of(settings: Settings) -> Limits:
    """What one call of a tool may use on this server."""
    return Limits(
        timeout_s=settings.sandbox_timeout_s,
        memory=settings.sandbox_memory_mb * 1024 * 1024,
        cpus=settings.sandbox_cpus,
    )


def build_sandbox(settings: Settings, egress: _Egress | None = None) -> "ChosenSandbox":
    """The sandbox of a worker with these settings, of which nothing runs yet.

    Args:
        settings: `O_SANDBOX_…`.
        egress: The way out; started and closed with the sandbox.
    """
    chosen = settings.sandbox_backend
    if chosen == UNSAFE and (problem := _why_not_unsafe(settings)):
        return ChosenSandbox([], limits_of(settings), egress, refusal=problem)
    leases = settings.data_dir.resolve() / "sandbox"
    candidates = _candidates(settings, egress, leases, settings.sandbox_pool)
    return ChosenSandbox(candidates, limits_of(settings), egress)


async def survey(settings: Settings) -> list[SandboxState]:
    """What each backend that may be used says, the best first, up to the one that can be.

    They are tried as a worker does it, and nothing is left of that.
    """
    if settings.sandbox_backend == UNSAFE and (problem := _why_not_unsafe(settings)):
        return [SandboxState(UNSAFE, "none", problem=problem)]
    found = []
    with tempfile.TemporaryDirectory(prefix="o-leases-") as folder:
        for candidate in _candidates(settings, None, Path(folder), 0):
            backend = candidate.make()
            try:
                problem = await _problem_of(candidate, backend, limits_of(settings))
            finally:
                await backend.close()
            found.append(replace(backend.state, problem=problem))
            if not problem:
                break
    return found


def _candidates(
    settings: Settings, egress: Egress | None, leases: Path, pool: int
) -> list[Candidate]:
    limits, chosen = limits_of(settings), settings.sandbox_backend

    def docker() -> Sandbox:
        from sandbox.docker import DockerOptions, DockerSandbox  # noqa: PLC0415 - it is heavy

        options = DockerOptions(
            settings.sandbox_image,
            leases=leases,
            host=settings.docker_host,
            runtime=settings.sandbox_runtime,
            pool=pool,
            limits=limits,
        )
        return DockerSandbox(options, egress)

    every = [
        Candidate("docker", docker, probe=True, has_seccomp=not settings.sandbox_runtime),
        Candidate("bubblewrap", lambda: BubblewrapSandbox(limits, pool=pool, egress=egress)),
        Candidate(UNSAFE, UnsafeSubprocess),
    ]
    names = ("docker", "bubblewrap") if chosen == "auto" else (chosen,)
    return [candidate for candidate in every if candidate.name in names]


def _why_not_unsafe(settings: Settings) -> str:
    """Whoever may make a tool would be whoever runs O: so it is for one person's machine alone."""
    if settings.host not in LOOPBACK_HOSTS:
        return f"{UNSAFE} is refused while O listens on {settings.host}: use 127.0.0.1"
    if settings.api_token is not None:
        return f"{UNSAFE} is refused while O has a token (O_API_TOKEN), as servers for others have"
    return ""


class ChosenSandbox:
    """A `Sandbox` that finds its backend in the background, and from then on is that one.

    Nothing else is taken when that fails later: it is an error until it is back.
    """

    def __init__(
        self,
        candidates: Sequence[Candidate],
        limits: Limits,
        egress: _Egress | None = None,
        *,
        refusal: str = "",
    ) -> None:
        """Look at nothing yet.

        Args:
            candidates: The best first.
            limits: For the job that proves a backend.
            egress: What is started before them.
            refusal: Why none is taken at all.
        """
        self._candidates = candidates
        self._limits = limits
        self._egress = egress
        self._is_egress_started = False
        self._problem = refusal
        self._backend: Sandbox | None = None
        self._is_known = asyncio.Event()
        self._look_now = asyncio.Event()
        self._looked_at_s = 0.0
        self._finding: asyncio.Task[None] | None = None

    @property
    def state(self) -> SandboxState:
        """What was found; a problem while nothing is."""
        if self._backend is not None:
            return self._backend.state
        return SandboxState("", "none", problem=self._problem or "it is being looked for")

    @property
    def is_known(self) -> bool:
        """Whether it was looked for to the end."""
        return self._is_known.is_set()

    async def start(self) -> None:
        """Begin to look for a backend, again and again until there is one."""
        if not self._candidates:
            _log.warning("no sandbox for tools", extra={"reason": self._problem})
            self._is_known.set()
            return
        self._finding = asyncio.create_task(self._find())

    async def run(self, job: Job, *, before_sending: Callable[[], Awaitable[None]]) -> JobResult:
        """See `Sandbox.run`; waits until the backend is known.

        Raises:
            NoSandbox: There is none.
            SandboxUnavailable: It is not known yet, or fails now.
        """
        if self._backend is None:
            await self._ask_again()
        if self._backend is None:
            raise NoSandbox(self._problem)
        return await self._backend.run(job, before_sending=before_sending)

    async def close(self) -> None:
        """End what was started."""
        if self._finding is not None:
            self._finding.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._finding
        if self._backend is not None:
            await self._backend.close()
        if self._egress is not None and self._is_egress_started:
            await self._egress.close()

    async def _ask_again(self) -> None:
        is_old = time.monotonic() - self._looked_at_s > _SOON_S
        if self._candidates and (is_old or not self.is_known):
            self._is_known.clear()
            self._look_now.set()
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await self._is_known.wait()
        except TimeoutError as error:
            raise SandboxUnavailable("it is not known yet what tools run in") from error

    async def _find(self) -> None:
        await self._wait_s(_FIRST_S)
        while self._backend is None:
            self._look_now.clear()
            before = self._problem
            try:
                await self._look()
            except Exception:
                _log.exception("sandboxes could not be looked for")
                self._problem = "sandboxes could not be looked for: see the log of the worker"
            self._looked_at_s = time.monotonic()
            self._is_known.set()
            self._tell(before)
            if self._backend is None:
                await self._wait_s(_AGAIN_S)

    async def _wait_s(self, seconds: float) -> None:
        """Until a job asks, but no longer than that."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._look_now.wait()

    def _tell(self, before: str) -> None:
        state = self.state
        if self._backend is None and self._problem != before:
            _log.warning("no sandbox for tools", extra={"reason": self._problem})
        elif self._backend is not None:
            what = {"backend": state.backend, "level": state.level, "caps": state.caps}
            _log.info("tools run in a sandbox", extra=what)

    async def _look(self) -> None:
        if self._egress is not None and not self._is_egress_started:
            try:
                await self._egress.start()
            except Unavailable as error:
                self._problem = error.message
                return
            self._is_egress_started = True
        problems = []
        for candidate in self._candidates:
            backend = candidate.make()
            problem = await _problem_of(candidate, backend, self._limits)
            if not problem:
                self._backend, self._problem = backend, ""
                return
            await backend.close()
            problems.append(f"{candidate.name}: {problem}")
        self._problem = "; ".join(problems)


async def _problem_of(candidate: Candidate, backend: Sandbox, limits: Limits) -> str:
    """Why a backend cannot be used; it is started, and remains so where there is no reason."""
    try:
        await backend.start()
        if backend.state.problem or not candidate.probe:
            return backend.state.problem
        return await problem_of(backend.run, limits, has_seccomp=candidate.has_seccomp)
    except (SandboxUnavailable, SandboxLost, OSError) as error:
        return str(error)
