"""Timings of one operation, collected over many rounds."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from bench.client import Operation
from bench.cpu import CpuMeter

_SETTLE_S = 0.05  # so that what an earlier operation leaves behind its answer is not counted here


@dataclass(frozen=True)
class Round:
    """What one round found.

    Attributes:
        seconds: How long the operation took, each time.
        rate: Operations in a second.
    """

    seconds: list[float]
    rate: float


class Series:
    """How long an operation took each time, and what CPU it used in all."""

    def __init__(self, name: str, meter: CpuMeter) -> None:
        self.name = name
        self.rounds: list[Round] = []
        self._meter = meter
        self._cpu_s: defaultdict[str, float] = defaultdict(float)

    async def record(self, times: int, operation: Operation, *, pause_s: float = 0) -> None:
        """Do it `times` times, one after the other, each after a pause."""
        await self.record_crowd(times, [operation], pause_s=pause_s)

    async def record_crowd(
        self, times: int, operations: Sequence[Operation], *, pause_s: float = 0
    ) -> None:
        """Do all of them at once, each `times` times, one after the other."""
        await asyncio.sleep(_SETTLE_S)
        seconds: list[float] = []
        before, began = self._meter.read(), time.perf_counter()
        if len(operations) == 1:
            await _repeat(times, operations[0], pause_s, seconds)
        else:
            await asyncio.gather(*(_repeat(times, one, pause_s, seconds) for one in operations))
        took = time.perf_counter() - began
        for part, used in self._meter.read().items():
            self._cpu_s[part] += used - before[part]
        self.rounds.append(Round(seconds, len(seconds) / took))

    def add(self, seconds: list[float]) -> None:
        """Take timings that came from elsewhere as a round."""
        self.rounds.append(Round(seconds, 0.0))

    @property
    def seconds(self) -> list[float]:
        """Every time, of all rounds."""
        return [one for found in self.rounds for one in found.seconds]

    @property
    def p50_ms(self) -> float:
        """The median."""
        return 1e3 * median(self.seconds)

    @property
    def p99_ms(self) -> float:
        """What one time in a hundred exceeds; of fewer times, the longest."""
        ordered = sorted(self.seconds)
        return 1e3 * ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]

    @property
    def max_ms(self) -> float:
        """The longest."""
        return 1e3 * max(self.seconds)

    @property
    def tail(self) -> float:
        """How many medians the 99th percentile takes."""
        return self.p99_ms / self.p50_ms

    @property
    def rate(self) -> float:
        """Operations in a second, at the median of the rounds."""
        return median(found.rate for found in self.rounds)

    def cpu_ms(self, part: str) -> float:
        """CPU milliseconds of one part for one time."""
        return 1e3 * self._cpu_s[part] / len(self.seconds)


def time_ratio(one: Series, other: Series) -> float:
    """How much longer the one takes: what other work does to a round, it does to both."""
    return median(
        median(a.seconds) / median(b.seconds) for a, b in zip(one.rounds, other.rounds, strict=True)
    )


def rate_ratio(one: Series, other: Series) -> float:
    """How much more often the one is done in a second, by the same reasoning."""
    return median(a.rate / b.rate for a, b in zip(one.rounds, other.rounds, strict=True))


async def _repeat(times: int, operation: Operation, pause_s: float, seconds: list[float]) -> None:
    for _ in range(times):
        await asyncio.sleep(pause_s)
        began = time.perf_counter()
        await operation()
        seconds.append(time.perf_counter() - began)
