"""Timings of one operation, collected over many rounds."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from statistics import median

from bench.cpu import CpuMeter

_SETTLE_S = 0.05  # so that what an earlier operation leaves behind its answer is not counted here


class Series:
    """How long an operation took each time, in seconds, and what CPU it used in all."""

    def __init__(self, name: str, meter: CpuMeter) -> None:
        self.name = name
        self.seconds: list[float] = []
        self._meter = meter
        self._cpu_s: defaultdict[str, float] = defaultdict(float)

    async def record(
        self, times: int, operation: Callable[[], Awaitable[None]], *, pause_s: float = 0
    ) -> None:
        """Do it `times` times, one after the other, each after a pause."""
        await asyncio.sleep(_SETTLE_S)
        before = self._meter.read()
        for _ in range(times):
            await asyncio.sleep(pause_s)
            began = time.perf_counter()
            await operation()
            self.seconds.append(time.perf_counter() - began)
        for part, used in self._meter.read().items():
            self._cpu_s[part] += used - before[part]

    @property
    def p50_ms(self) -> float:
        """The median."""
        return 1e3 * median(self.seconds)

    @property
    def p99_ms(self) -> float:
        """What one time in a hundred exceeds; of fewer times, the longest."""
        ordered = sorted(self.seconds)
        return 1e3 * ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]

    def cpu_ms(self, part: str) -> float:
        """CPU milliseconds of one part of the product for one time."""
        return 1e3 * self._cpu_s[part] / len(self.seconds)
