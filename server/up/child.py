"""One process that is kept alive: started, watched, started again when it dies, stopped."""

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import Callable

from o.errors import OError, Unavailable
from server.up.launch import Launcher, Program, Running

_log = logging.getLogger(__name__)

_READY_STEADY_S = 3.0
_STEADY_S = 10.0
_LONGEST_PAUSE_S = 5.0


def pause_s(quick_deaths: int) -> float:
    """How long to wait after that many deaths in a row, the first of which costs nothing."""
    return 0.0 if quick_deaths <= 1 else min(_LONGEST_PAUSE_S, 0.25 * 2.0 ** (quick_deaths - 2))


class Child:
    """A process and all its lives.

    Attributes:
        pid: The process that does the work (not its guard), None while there is none.
        ready: Set while the process that lives now has reported that it is ready.
        quick_deaths: How many lives in a row ended before they were any use.
    """

    def __init__(
        self,
        program: Program,
        launcher: Launcher,
        *,
        on_change: Callable[[], None] = lambda: None,
        on_death: Callable[[str], None] = lambda identity: None,
    ) -> None:
        self.program = program
        self.pid: int | None = None
        self.ready = asyncio.Event()
        self.quick_deaths = 0
        self._launcher = launcher
        self._on_change = on_change
        self._on_death = on_death
        self._running: Running | None = None
        self._stopping = False
        self._why_not_started = ""
        self._keeper: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """The name of its program."""
        return self.program.name

    def start(self) -> None:
        """Begin to keep it alive."""
        self._keeper = asyncio.create_task(self._keep(), name=f"keep {self.name}")

    async def wait_ready(self, timeout_s: float = 60.0, deaths: int = 3) -> None:
        """Wait for its first report.

        Raises:
            Unavailable: it keeps dying or says nothing; the message has the end of its log.
        """
        limit = time.monotonic() + timeout_s
        while not self.ready.is_set():
            self.check(limit, deaths)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.ready.wait(), 0.1)

    def check(self, limit: float, deaths: int = 3) -> None:
        """Say so when a start fails, instead of trying for ever.

        Raises:
            Unavailable: `limit` on the monotonic clock passed, or it died `deaths` times.
        """
        if time.monotonic() > limit or self.quick_deaths >= deaths:
            what = f"{self.name} does not start"
            if self._why_not_started:
                raise Unavailable(f"{what}: {self._why_not_started}")
            raise Unavailable(self._launcher.explain(what, self.name))

    async def stop(self, grace_s: float) -> None:
        """Ask it to end, kill it after `grace_s`, and wait until it has gone."""
        self._stopping = True
        if self._keeper is None:
            return
        if self._running is None:
            self._keeper.cancel()
        else:
            self._signal(signal.SIGTERM)
        done, _ = await asyncio.wait([self._keeper], timeout=grace_s)
        if not done:
            self.kill()
            await asyncio.wait([self._keeper])

    def hurry(self) -> None:
        """Make a stop that is under way harsher."""
        if self._stopping:
            self._signal(signal.SIGTERM if self.program.guarded else signal.SIGKILL)

    def kill(self) -> None:
        """End it at once: the program first, then its guard."""
        if self.program.guarded and self.pid is not None and self._running is not None:
            with contextlib.suppress(OSError):
                os.kill(self.pid, signal.SIGKILL)
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self._running is not None:
            with contextlib.suppress(ProcessLookupError):
                self._running.process.send_signal(number)

    async def _keep(self) -> None:
        while not self._stopping:
            started = time.monotonic()
            try:
                status, identity = await self._live()
                self._why_not_started = ""
            except (OSError, OError) as error:
                self._why_not_started = str(error)
                _log.warning("cannot start", extra={"child": self.name, "reason": str(error)})
                status, identity = -1, None
            enough = _READY_STEADY_S if self.ready.is_set() else _STEADY_S
            steady = time.monotonic() - started > enough
            self.quick_deaths = 1 if steady else self.quick_deaths + 1
            self.ready.clear()
            if self._stopping:
                break
            if identity is not None:
                self._on_death(identity)
            pause = pause_s(self.quick_deaths)
            _log.warning(
                "a child died and is started again",
                extra={"child": self.name, "status": status, "pause_s": pause},
            )
            self._on_change()
            await asyncio.sleep(pause)

    async def _live(self) -> tuple[int, str]:
        """One life, from start to end."""
        running = await self._launcher.spawn(self.program)
        self._running = running
        if self._stopping:  # asked to stop while it started
            self._signal(signal.SIGTERM)
        loop = asyncio.get_running_loop()
        if not self.program.guarded:
            self.pid = running.process.pid
            self._on_change()
        loop.add_reader(running.report, self._hear, running.report)
        try:
            return await running.end(), running.identity
        finally:
            loop.remove_reader(running.report)
            os.close(running.report)
            self._running = None
            self.pid = None

    def _hear(self, report: int) -> None:
        """Take what the process reported: an empty line, or the pid of a guarded program."""
        text = os.read(report, 64).decode(errors="replace")
        if not text:
            asyncio.get_running_loop().remove_reader(report)
            return
        if self.program.guarded:
            self.pid = int(text)
        self.ready.set()
        self._on_change()
