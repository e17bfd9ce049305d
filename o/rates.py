"""How often somebody may do something, counted in this process alone.

Each name has one figure, the moment at which all that it took is used up (the generic cell rate
algorithm, as in ATM networks). So a name costs the same whatever its rate, one at rest costs
nothing, and how long to wait is known exactly. The clock is one that nobody sets: by the time of
day, a clock that is set back would keep everybody out until it is where it was.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

PERIODS_S = {"second": 1.0, "minute": 60.0, "hour": 3_600.0}
_MOST_NAMES = 10_000
_ROUNDING_S = 1e-6


class Rate(NamedTuple):
    """So many at once, and then so many in each period of so many seconds."""

    amount: int
    period_s: float

    def __str__(self) -> str:
        """As a setting says it."""
        names = {seconds: name for name, seconds in PERIODS_S.items()}
        return f"{self.amount}/{names[self.period_s]}"


class Meter:
    """Counts what names take against a rate. Not for several threads."""

    def __init__(self, rate: Rate, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval_s = rate.period_s / rate.amount
        self._slack_s = rate.period_s - self._interval_s
        self._clock = clock
        self._used_up: dict[str, float] = {}

    @property
    def names(self) -> int:
        """How many names take room now."""
        return len(self._used_up)

    def wait_s(self, name: str) -> float:
        """Seconds until this name may take one; 0 where it may now. Takes none."""
        now = self._clock()
        wait_s = self._used_up.get(name, now) - now - self._slack_s
        return wait_s if wait_s > _ROUNDING_S else 0.0

    def take(self, name: str) -> float:
        """Take one for a name, if it may; returns `wait_s`, and has taken none unless that is 0."""
        wait_s = self.wait_s(name)
        if wait_s == 0.0:
            now = self._clock()
            if name not in self._used_up and len(self._used_up) >= _MOST_NAMES:
                self._make_room(now)
            self._used_up[name] = max(self._used_up.get(name, now), now) + self._interval_s
        return wait_s

    def _make_room(self, now: float) -> None:
        """Forget who is at rest; if that is not enough, the half that took the least."""
        known = {name: at for name, at in self._used_up.items() if at > now}
        if len(known) > _MOST_NAMES // 2:
            by_use = sorted(known, key=known.__getitem__, reverse=True)
            known = {name: known[name] for name in by_use[: _MOST_NAMES // 2]}
        self._used_up = known
