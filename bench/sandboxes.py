"""How long one call of a tool takes in a sandbox, beside the bare start of a Python process."""

import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from bench.cpu import CpuMeter
from bench.series import Series
from sandbox.docker import DockerOptions, DockerSandbox
from sandbox.protocol import Job

WARM, COLD, BACK_TO_BACK, BARE = (
    "call, a sandbox is ready",
    "call, none is ready",
    "20 calls back to back, each",
    "bare start of a Python process",
)
_IMAGE = f"o-sandbox:{version('o-server')}"
_POOL = 2
_PAUSE_S = 0.5
"""Before a call, so that what another leaves to be done behind it is done."""

_PATIENCE_S = 60.0

_SOURCE = "def add(a: int, b: int) -> int:\n    return a + b\n"


@dataclass(frozen=True)
class Sandboxed:
    """What was found, or why nothing was.

    Attributes:
        series: Timings by the names above.
        problem: Why there are none.
    """

    series: dict[str, Series]
    problem: str = ""


async def measure(calls: int) -> Sandboxed:
    """So many calls of each kind, with the Docker engine of this machine."""
    series = {name: Series(name, CpuMeter({})) for name in (WARM, COLD, BACK_TO_BACK, BARE)}
    with tempfile.TemporaryDirectory(prefix="o-bench-") as folder:
        ready = DockerSandbox(DockerOptions(_IMAGE, Path(folder), pool=_POOL))
        if problem := (await ready.look()).problem:
            return Sandboxed({}, problem)
        await ready.start()
        for _ in range(calls):
            await _until_full(ready)
            await series[WARM].record(1, _call(ready), pause_s=_PAUSE_S)
            await series[BARE].record(1, _start_python)
        for _ in range(max(1, calls // 20)):
            await _until_full(ready)
            await asyncio.sleep(_PAUSE_S)
            await series[BACK_TO_BACK].record(20, _call(ready))
        await ready.close()
        empty = DockerSandbox(DockerOptions(_IMAGE, Path(folder), pool=0))
        await empty.start()
        for _ in range(max(5, calls // 3)):
            await series[COLD].record(1, _call(empty), pause_s=_PAUSE_S)
        await empty.close()
    return Sandboxed(series)


async def _until_full(sandbox: DockerSandbox) -> None:
    async with asyncio.timeout(_PATIENCE_S):
        while sandbox.ready < _POOL:
            await asyncio.sleep(0.05)


def _call(sandbox: DockerSandbox) -> Callable[[], Awaitable[None]]:
    async def sending() -> None:
        """Nothing is recorded."""

    async def call() -> None:
        job = Job(f"bench-{time.monotonic_ns()}", _SOURCE, "add", {"a": 1, "b": 2})
        done = await sandbox.run(job, before_sending=sending)
        if done.result != 3:
            raise RuntimeError(f"a call went wrong: {done}")

    return call


async def _start_python() -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-I", "-c", "pass")
    await process.wait()
