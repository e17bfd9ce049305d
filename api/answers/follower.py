"""One who follows a run: what has come of its events and was not yet taken."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence

from o.domain.runs import RunEvent

_MOST_WAITING = 1_000


class Follower:
    """Takes in a run's events without a gap, and gives them out in order.

    Whoever takes them slowly does not have them pile up here: what is too much is left in the
    database, to be read when there is room.

    Attributes:
        run_id: Which run.
        key_id: The key by which it is followed, None for none.
        known: The number of the last event that has come, 0 for none.
        is_behind: Whether there is more in the database than has come.
    """

    def __init__(
        self, run_id: str, *, key_id: str | None, is_behind: bool, ask: Callable[[], None]
    ) -> None:
        """Nothing has come yet.

        Args:
            run_id: Which run.
            key_id: The key by which it is followed, None for none.
            is_behind: Whether its log may hold something already.
            ask: Called when the log is to be read for this follower.
        """
        self.run_id = run_id
        self.key_id = key_id
        self.known = 0
        self.is_behind = is_behind
        self._ask = ask
        self._events: list[RunEvent] = []
        self._failure: Exception | None = None
        self._is_shut = False
        self._woken = asyncio.Event()
        if is_behind:
            ask()

    @property
    def wants_more(self) -> bool:
        """Whether the log is to be read from `known` on, now."""
        return self.is_behind and not self._events and self._failure is None

    def add(self, events: Sequence[RunEvent]) -> None:
        """Take events in that were committed, but for those that do not follow what is known."""
        has_room = len(self._events) < _MOST_WAITING
        for event in events:
            if event.seq <= self.known:
                continue
            if event.seq != self.known + 1 or not has_room:
                self.fall_behind()
                return
            self._events.append(event)
            self.known = event.seq
            self._woken.set()

    def fall_behind(self) -> None:
        """Note that there is more in the database."""
        self.is_behind = True
        if self.wants_more:
            self._ask()

    def fail(self, failure: Exception) -> None:
        """Have `next` raise this, behind the events that have come."""
        self._failure = failure
        self._woken.set()

    def shut(self, failure: Exception) -> None:
        """Have `next` raise this at once: nothing more is given out, whatever has come."""
        self._is_shut = True
        self.fail(failure)

    async def next(self, idle_s: float) -> list[RunEvent]:
        """The events that have come since, waited for; none when none comes for `idle_s` seconds.

        Raises:
            NotFound: The run was deleted.
            Gone: The rest of its log was purged.
            KeyShut: The key by which it is followed opens nothing any more.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(idle_s):
                await self._woken.wait()
        self._woken.clear()
        events, self._events = self._events, []
        if self._failure is not None and (self._is_shut or not events):
            raise self._failure
        if self._failure is not None:
            self._woken.set()
        elif self.is_behind:
            self._ask()
        return events
