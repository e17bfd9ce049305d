"""Lets hostile tools loose in a backend that has proven itself, with honest ones behind them."""

import asyncio
import json
import os
import secrets
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from o.settings.all import Settings
from sandbox.egress.exits import Egress
from sandbox.protocol import Job, JobResult, Limits, Network, Sandbox, SandboxLost
from sandbox.self_test import problem_of
from tests.sandbox.hostile import backends
from tests.sandbox.hostile.cases import Case
from tests.sandbox.hostile.victims import Host

Outcomes = dict[str, asyncio.Task[list[str]]]
"""By the name of a case, what will be wrong with what comes of it."""

TOGETHER, AT_ONCE = 2, 2
"""So many tools before an honest one, and so many such groups at a time."""

LATE_S = 30.0
"""A start of a sandbox on a busy machine, too."""

LIMITS = Limits(
    timeout_s=4, memory=96 << 20, processes=32, disk=16 << 20, result=64 << 10, output=16 << 10
)
HONEST = """
import json, os
def look(value):
    found = {"sum": sum(value), "text": json.dumps(value), "json": json.__file__}
    found["left"] = sorted(os.listdir("/tmp") + os.listdir("/dev/shm"))
    found["processes"] = sum(name.isdigit() for name in os.listdir("/proc"))
    return found
"""
PROBE = """
import os, socket
def look(canary):
    try:
        open(canary)
        read = True
    except OSError:
        read = False
    return {"read": read, "interfaces": [name for _, name in socket.if_nameindex()],
            "pid": os.readlink("/proc/self/ns/pid"), "net": os.readlink("/proc/self/ns/net"),
            "processes": sum(name.isdigit() for name in os.listdir("/proc"))}
"""


async def nothing() -> None:
    """Nobody is to know before a job is sent."""


class Suite:
    """A backend, and a machine around it that something may happen to."""

    def __init__(self, sandbox: Sandbox, host: Host, packages: Path) -> None:
        self._sandbox = sandbox
        self._host = host
        self._packages = packages
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def prove(self) -> None:
        """Fail unless harmless jobs can neither read, nor reach, nor see what is outside."""
        done = await self._run("probe", PROBE, "look", {"canary": str(self._host.canary)}, 30)
        own = {name: os.readlink(f"/proc/self/ns/{name}") for name in ("pid", "net")}
        seen = done.result if done.failure is None else {}
        is_apart = all(seen.get(name) not in {own[name], None} for name in own)
        is_blind = seen.get("read") is False and seen.get("interfaces") == ["lo"]
        if not (is_apart and is_blind and seen["processes"] < 12):
            pytest.fail(f"nothing holds tools here: {done}")
        if problem := await problem_of(self._sandbox.run, LIMITS):
            pytest.fail(f"nothing holds tools here: {problem}")

    def begin(self, cases: Mapping[str, Case]) -> Outcomes:
        """Start all cases, a few at a time."""
        names = list(cases)
        begun: Outcomes = {}
        for at in range(0, len(names), TOGETHER):
            some = names[at : at + TOGETHER]
            running = asyncio.create_task(self._some([cases[name] for name in some]))
            begun |= {name: asyncio.create_task(_at(running, at)) for at, name in enumerate(some)}
        return begun

    async def _some(self, cases: list[Case]) -> list[list[str]]:
        """Let some loose, and an honest tool right behind them."""
        async with self._slots:
            tokens = [f"o-token-{secrets.token_hex(8)}" for _ in cases]
            found = await asyncio.gather(*map(self._attack, cases, tokens))
            honest = await self._honest()
            of_host = [self._host.problems(token) for token in tokens]
            return [one + honest + other for one, other in zip(found, of_host, strict=True)]

    async def _attack(self, case: Case, token: str) -> list[str]:
        world = self._host.world(token) | {"processes": LIMITS.processes, "disk": LIMITS.disk}
        more = dict(case.more)
        arguments = {"world": world, **more.pop("arguments", {})}
        function = more.pop("function", "f")
        more.setdefault("network", Network("public") if case.network else Network())
        more.setdefault("packages", self._packages if case.packages else None)
        timeout_s = 1 if case.only_failure else LIMITS.timeout_s
        begun = time.monotonic()
        try:
            done = await self._run(case.name, case.source, function, arguments, timeout_s, **more)
        except SandboxLost:
            return [] if case.kinds else ["it was lost"]
        seconds = time.monotonic() - begun
        late = [f"it took {seconds:.0f} s"] if seconds > timeout_s + LATE_S else []
        return judged(case, done) + late

    async def _honest(self) -> list[str]:
        done = await self._run("honest", HONEST, "look", {"value": [20, 22]}, 30)
        if done.failure is not None:
            return [f"the next tool failed: {done.failure.message}"]
        seen: dict[str, Any] = done.result
        is_well = seen["sum"] == 42 and seen["text"] == "[20, 22]" and "python3" in seen["json"]
        is_clean = not seen["left"] and seen["processes"] < 12
        return [] if is_well and is_clean else [f"the next tool found {seen}"]

    async def _run(
        self,
        name: str,
        source: str,
        function: str,
        arguments: Mapping[str, Any],
        timeout_s: float,
        **more: Any,
    ) -> JobResult:
        state = {"id": "agent-1", "blocks": [BLOCK | {"label": "own"}, LOCKED]}
        job = Job(
            f"{name[:20]}-{secrets.token_hex(4)}",
            source,
            function,
            arguments,
            limits=Limits(timeout_s, *(getattr(LIMITS, one) for one in _REST)),
            agent_state=state if "block" in name else None,
            **more,
        )
        return await self._sandbox.run(job, before_sending=nothing)


_REST = ("memory", "processes", "cpus", "disk", "result", "output")
BLOCK = {"value": "v", "limit": 100, "read_only": False, "version": 1}
LOCKED = BLOCK | {"label": "locked", "read_only": True}


async def _at(running: asyncio.Task[list[list[str]]], place: int) -> list[str]:
    return (await running)[place]


def judged(case: Case, done: JobResult) -> list[str]:
    """What is wrong with what came of a case."""
    problems = []
    if done.failure is not None and done.failure.kind not in case.kinds:
        problems.append(f"failed as {done.failure.kind}: {done.failure.message[:300]}")
    if done.failure is None and case.only_failure:
        problems.append(f"returned {str(done.result)[:300]}")
    elif done.failure is None and case.result is not None and done.result != case.result:
        problems.append(f"gained {str(done.result)[:1000]}")
    if {edit.label for edit in done.block_edits} - {"own"}:
        problems.append(f"edited {done.block_edits}")
    if len(json.dumps(done.result, allow_nan=False)) > 8 * LIMITS.result:
        problems.append("its result is over the limit")
    printed = (done.stdout, done.stderr)
    if any(len(text) > LIMITS.output + 8_000 or "\0" in text for text in printed):
        problems.append("what it printed is over the limit")
    return problems


def packages_in(folder: Path) -> Path:
    """A folder of requirements with what would run by itself in a site-packages."""
    made = folder / "packages"
    made.mkdir()
    files = {
        "harmless.py": "",
        "evil.pth": "import sys; sys.o_ran = True\n",
        "sitecustomize.py": "import sys; sys.o_ran = True\n",
        "usercustomize.py": "import sys; sys.o_ran = True\n",
        "colorsys.py": "import sys; sys.o_ran = True\n",
        "json.py": "import sys; sys.o_ran = True\n",
    }
    for name, text in files.items():
        (made / name).write_text(text)
        (made / name).chmod(0o444)
    made.chmod(0o555)
    return made


@asynccontextmanager
async def let_loose(name: str, cases: Mapping[str, Case]) -> AsyncIterator[Outcomes]:
    """What comes of cases in a backend, once it has proven itself."""
    async with AsyncExitStack() as opened:
        # Short, and open to all: what stands in it is hidden by the sandbox or not at all.
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="o-hostile-")))
        folder.chmod(0o755)
        host = await opened.enter_async_context(Host(folder))
        settings = Settings(
            data_dir=folder / "data",
            sandbox_allow=(host.allowed,),
            sandbox_ports=(80, 443, int(host.allowed.split(":")[1])),
        )
        egress = Egress(settings, resolve=host.resolve)
        await egress.start()
        opened.push_async_callback(egress.close)
        sandbox = await backends.make(name, LIMITS, folder, egress)
        opened.push_async_callback(sandbox.close)
        suite = Suite(sandbox, host, packages_in(folder))
        await suite.prove()
        begun = suite.begin(cases)
        yield begun
        for task in begun.values():
            task.cancel()  # of tests that were not asked for
        await asyncio.gather(*begun.values(), return_exceptions=True)
        await sandbox.close()
        assert await host.is_left_alone()
