"""Sandboxes that are started before they are needed, and used once."""

import asyncio
import logging
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Generic, Literal, Protocol, Self, TypeVar

from sandbox.conversation import Line
from sandbox.frames import Inside
from sandbox.protocol import Job, SandboxUnavailable

_log = logging.getLogger(__name__)
_STARTS_AT_ONCE = 4
PACKAGES, EXIT = PurePosixPath("/deps"), "/run/o"
"""Where a sandbox finds the folders of a spec's packages and of its way out, both read-only."""

_SPECS = 8
"""So many kinds of sandboxes are kept ready; of more, those that were used last."""


@dataclass(frozen=True)
class Spec:
    """What a sandbox is made for. Jobs that are alike in it can have each other's place."""

    packages: Path | None
    memory: int
    processes: int
    cpus: float
    disk: int

    @classmethod
    def of(cls, job: Job) -> Self:
        """What a job needs."""
        limits = job.limits
        return cls(job.packages, limits.memory, limits.processes, limits.cpus, limits.disk)


class Box(Protocol):
    """A started sandbox whose guest has said hello."""

    @property
    def line(self) -> Line:
        """To its guest."""

    @property
    def inside(self) -> Inside:
        """How a job finds things in it."""

    @property
    def is_alive(self) -> bool:
        """Whether nothing is known against it."""

    async def verdict(self) -> Literal["memory", "cpu", "lost", ""]:
        """Why a guest ended without a reply, or a tool was killed.

        `memory` or `cpu`: it used too much; `lost`: it cannot be known, as when the engine is gone.
        """

    async def end(self) -> None:
        """Kill it and remove all of it; it may be asked again."""


class Launcher(Protocol):
    """Starts sandboxes of one backend."""

    async def launch(self, spec: Spec, exit_folder: Path | None) -> Box:
        """Start one and wait for its hello.

        Args:
            spec: What it is for.
            exit_folder: What is to be at `EXIT` in it, read-only.

        Raises:
            SandboxUnavailable: It cannot be started.
        """


class Single(Protocol):
    """Something that is used once."""

    @property
    def is_alive(self) -> bool:
        """Whether it can be used yet."""

    async def end(self) -> None:
        """End it; it does not raise."""


T = TypeVar("T", bound=Single)


@dataclass
class _Shelf(Generic[T]):
    """The sandboxes of one kind.

    Attributes:
        ready: With the time when each was made.
        waiting: Who needs one now.
        starting: How many are being started.
    """

    used_at: float
    ready: deque[tuple[float, T]] = field(default_factory=deque)
    waiting: deque[asyncio.Future[T]] = field(default_factory=deque)
    starting: int = 0


class Pool(Generic[T]):
    """Keeps a few sandboxes of each kind that is used, and starts them in the background."""

    def __init__(
        self,
        start: Callable[[Spec], Awaitable[T]],
        *,
        size: int,
        idle_s: float,
        refill_after_s: float = 0.0,
    ) -> None:
        """Make nothing yet.

        Args:
            start: Makes one.
            size: So many of a kind are kept.
            idle_s: Until it has not been used for so long.
            refill_after_s: So long after one was taken another is started, while some are left:
                what is run in it need not share the machine with that.
        """
        self._start_one = start
        self._refill_after_s = refill_after_s
        self._size = size
        self._idle_s = idle_s
        self._shelves: OrderedDict[Spec, _Shelf[T]] = OrderedDict()
        self._starts = asyncio.Semaphore(_STARTS_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closed = False

    @property
    def ready(self) -> int:
        """How many wait for a job, of all kinds."""
        return sum(len(shelf.ready) for shelf in self._shelves.values())

    async def take(self, spec: Spec) -> T:
        """A sandbox that nobody had before, and will have after. The caller ends it.

        Raises:
            SandboxUnavailable: None could be started.
        """
        shelf = self._shelf(spec)
        while shelf.ready:
            _, box = shelf.ready.popleft()
            if box.is_alive:
                self._refill(spec, shelf)
                return box
            self._end(box)
        place: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        shelf.waiting.append(place)
        self._fill(spec, shelf)
        try:
            return await place
        except asyncio.CancelledError:
            with suppress(ValueError):
                shelf.waiting.remove(place)
            if place.done() and not place.cancelled() and place.exception() is None:
                self._end(place.result())
            raise

    def warm(self, spec: Spec) -> None:
        """Have sandboxes of this kind started."""
        self._fill(spec, self._shelf(spec))

    def tend(self) -> None:
        """End those that are old, forget kinds that nobody uses, and start what lacks."""
        now = time.monotonic()
        for spec, shelf in list(self._shelves.items()):
            while shelf.ready and (
                now - shelf.ready[0][0] > self._idle_s or not shelf.ready[0][1].is_alive
            ):
                self._end(shelf.ready.popleft()[1])
            if now - shelf.used_at <= self._idle_s:
                self._fill(spec, shelf)
            elif not (shelf.ready or shelf.starting or shelf.waiting):
                del self._shelves[spec]

    async def close(self) -> None:
        """End all that are ready or being started."""
        self._is_closed = True
        for shelf in self._shelves.values():
            for place in shelf.waiting:
                if not place.done():
                    place.set_exception(SandboxUnavailable("this worker is stopping"))
            while shelf.ready:
                self._end(shelf.ready.popleft()[1])
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _shelf(self, spec: Spec) -> _Shelf[T]:
        if self._is_closed:
            raise SandboxUnavailable("this worker is stopping")
        shelf = self._shelves.setdefault(spec, _Shelf[T](0.0))
        shelf.used_at = time.monotonic()
        self._shelves.move_to_end(spec)
        while len(self._shelves) > _SPECS:
            oldest = next(iter(self._shelves.values()))
            if oldest.waiting or oldest.starting:
                break
            self._shelves.popitem(last=False)
            for _, box in oldest.ready:
                self._end(box)
        return shelf

    def _refill(self, spec: Spec, shelf: _Shelf[T]) -> None:
        if not shelf.ready or not self._refill_after_s:
            self._fill(spec, shelf)
            return

        def fill() -> None:
            if self._shelves.get(spec) is shelf:  # it may have been forgotten since
                self._fill(spec, shelf)

        asyncio.get_running_loop().call_later(self._refill_after_s, fill)

    def _fill(self, spec: Spec, shelf: _Shelf[T]) -> None:
        waiting = sum(not place.done() for place in shelf.waiting)
        while not self._is_closed and shelf.starting + len(shelf.ready) < self._size + waiting:
            shelf.starting += 1
            self._spawn(self._start(spec, shelf))

    async def _start(self, spec: Spec, shelf: _Shelf[T]) -> None:
        try:
            async with self._starts:
                box = await self._start_one(spec)
        except SandboxUnavailable as error:
            self._refuse(shelf, error)
            return
        except Exception as error:
            # A bug in a launcher must not leave those waiting for ever who are to have this one.
            _log.exception("a sandbox could not be started")
            refused = SandboxUnavailable("a sandbox could not be started")
            refused.__cause__ = error
            self._refuse(shelf, refused)
            return
        finally:
            shelf.starting -= 1
        if self._is_closed:
            await box.end()
        elif (place := _next(shelf)) is not None:
            place.set_result(box)
        else:
            shelf.ready.append((time.monotonic(), box))

    def _refuse(self, shelf: _Shelf[T], error: SandboxUnavailable) -> None:
        """Tell one of those who wait, unless every one of them has another start under way.

        A start may be older than whoever waits: what it met, an engine that was away say, may be
        over by now.
        """
        _log.warning("no sandbox could be started", extra={"reason": str(error)})
        waiting = sum(not place.done() for place in shelf.waiting)
        if waiting >= shelf.starting and (place := _next(shelf)) is not None:
            place.set_exception(error)

    def _end(self, box: T) -> None:
        self._spawn(box.end())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _next(shelf: _Shelf[T]) -> asyncio.Future[T] | None:
    while shelf.waiting:
        place = shelf.waiting.popleft()
        if not place.done():
            return place
    return None
