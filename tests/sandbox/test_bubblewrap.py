"""Jobs in bubblewrap: limits in sum, with control groups and without, and what is left of them."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from sandbox.bubblewrap import cgroups
from sandbox.bubblewrap.box import BubblewrapLauncher
from sandbox.bubblewrap.host import look
from sandbox.bubblewrap.process import Caps
from sandbox.bubblewrap.watcher import Verdict, Watch
from sandbox.pooled import PooledJobs
from sandbox.protocol import Job, JobResult, Limits, SandboxLost
from sandbox.self_test import problem_of
from tests.sandbox.confined import REPOSITORY
from tests.support.product import eventually

MIB = 1024 * 1024


async def nothing() -> None:
    """Nobody is to know before a job is sent."""


class Jobs:
    """Runs functions in sandboxes of one kind of caps."""

    def __init__(self, caps: Caps) -> None:
        self.caps = caps
        self.pooled = PooledJobs(BubblewrapLauncher(look(), caps), size=1)

    async def run(self, body: str, limits: Limits | None = None) -> JobResult:
        source = "def tool():\n" + "".join(f"    {line}\n" for line in body.strip().splitlines())
        job = Job("test", source, "tool", {}, limits=limits or Limits())
        return await self.pooled.run(job, nothing)


@pytest.fixture(params=["cgroup", "watcher"], scope="module")
async def jobs(request: pytest.FixtureRequest) -> AsyncIterator[Jobs]:
    found = cgroups.find(Limits()) if request.param == "cgroup" else None
    if request.param == "cgroup" and found is None:
        pytest.skip("no control group can be made here")
    jobs = Jobs(Caps(found))
    assert await problem_of(jobs.pooled.run, Limits()) == ""
    yield jobs
    await jobs.pooled.close()
    assert not sandboxes_of(os.getpid())
    assert not list(folders_of(os.getpid()))


def sandboxes_of(worker: int) -> list[int]:
    """The processes of bubblewrap that a process has."""
    found = []
    for child in psutil.Process(worker).children():
        with contextlib.suppress(psutil.NoSuchProcess):  # it has ended meanwhile
            found += [child.pid] if child.name() in {"bwrap", "sh"} else []
    return found


def folders_of(worker: int) -> list[Path]:
    """The control groups that a process has made."""
    found = cgroups.find(Limits())
    places = [] if found is None else found.places.values()
    return [path for place in places for path in place.glob(f"o-sandbox-{worker}-*")]


async def test_what_is_held_is_said(jobs: Jobs) -> None:
    assert jobs.caps.words in {"cgroup", "watcher", "cgroup and watcher"}
    assert (jobs.caps.words == "watcher") is (jobs.caps.cgroups is None)


async def _filled(pooled: PooledJobs) -> None:
    async with asyncio.timeout(30):
        while pooled.pool.ready < 2:
            await asyncio.sleep(0.01)


async def test_a_call_has_the_machine_for_itself_while_another_sandbox_is_ready() -> None:
    pooled = PooledJobs(BubblewrapLauncher(look(), Caps(None)), size=2)
    pooled.warm()
    await _filled(pooled)
    before = sandboxes_of(os.getpid())
    while_it_runs: list[int] = []

    async def look_around() -> None:
        await asyncio.sleep(0)  # what would be started with the call is started now
        while_it_runs.extend(sandboxes_of(os.getpid()))

    job = Job("test", "def tool():\n    return 1\n", "tool", {})
    done = await pooled.run(job, look_around)
    await _filled(pooled)
    await pooled.close()
    assert done.result == 1
    assert while_it_runs == before


async def test_memory_is_held_in_sum(jobs: Jobs) -> None:
    """Twenty children take 16 MiB each, more than all may together; no one of them too much."""
    done = await jobs.run(
        """
import os, signal, time
children = []
for _ in range(20):
    child = os.fork()
    if child == 0:
        kept = bytearray(b"x") * (16 << 20)
        signal.pause()
    children.append(child)
deadline = time.monotonic() + 15
while time.monotonic() < deadline:
    ended, _ = os.waitpid(-1, os.WNOHANG)
    if ended:
        return "the kernel ended one"
    time.sleep(0.02)
return "all of them have it"
        """,
        Limits(timeout_s=20, memory=128 * MIB),
    )
    if done.failure is None:
        assert done.result == "the kernel ended one"
        assert jobs.caps.cgroups is not None
    else:
        assert done.failure.kind == "memory", done.failure.message
    assert (await jobs.run("return 1")).result == 1


async def test_what_cannot_be_watched_is_ended_and_the_others_are_watched_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    look_well = Watch.look
    looked_at: list[int] = []

    def look_at(watch: Watch) -> Verdict | None:
        looked_at.append(watch.pid)
        if watch.pid == looked_at[0]:
            raise RuntimeError("nobody knows why")
        return look_well(watch)

    monkeypatch.setattr(Watch, "look", look_at)
    jobs = Jobs(Caps(None))
    with pytest.raises(SandboxLost):
        await jobs.run("import time; time.sleep(60)", Limits(timeout_s=50))
    other = await jobs.run("return len(bytearray(b'x') * (400 << 20))")
    await jobs.pooled.close()
    assert other.failure is not None
    assert other.failure.kind == "memory"


async def test_memory_of_one_process_is_held(jobs: Jobs) -> None:
    done = await jobs.run("return len(bytearray(b'x') * (400 << 20))")
    assert done.failure is not None
    assert done.failure.kind in {"memory", "raised"}
    assert done.failure.type == "MemoryError"


async def test_files_count_as_memory_or_are_few(jobs: Jobs) -> None:
    done = await jobs.run(
        """
made = 0
try:
    while made < 20_000:
        open(f"/tmp/{made}", "w").close()
        made += 1
except OSError:
    pass
return made
        """,
        Limits(timeout_s=20, memory=96 * MIB),
    )
    if jobs.caps.cgroups is None:
        assert done.failure is not None
        assert done.failure.kind == "memory"


async def test_cpu_is_held_in_sum(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three processes are busy, and get what one CPU in four gives, or are ended for it."""
    monkeypatch.setattr("sandbox.bubblewrap.watcher._FREE_S", 1.0)
    done = await jobs.run(
        """
import os, time
pids = []
for _ in range(3):
    pid = os.fork()
    if pid == 0:
        while True: pass
    pids.append(pid)
time.sleep(3)
for pid in pids:
    os.kill(pid, 9)
    os.waitpid(pid, 0)
return sum(os.times()[2:4])
        """,
        Limits(cpus=0.25),
    )
    if jobs.caps.cgroups is None:
        assert done.failure is not None
        assert "used more than 0.25 CPUs" in done.failure.message
    else:
        assert done.failure is None, done.failure
        assert done.result < 1.2


async def test_nothing_is_left_for_the_next_job(jobs: Jobs) -> None:
    left = await jobs.run(
        """
import os, signal, subprocess
for folder in ("/tmp", "/dev/shm"):
    open(folder + "/left", "w").write("x")
if os.fork() == 0:
    os.setsid()
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    if os.fork() == 0:
        signal.pause()
    os._exit(0)
return os.readlink("/proc/self/ns/pid")
        """
    )
    found = await jobs.run(
        """
import os
processes = [name for name in os.listdir("/proc") if name.isdigit()]
folders = [os.listdir("/tmp"), os.listdir("/dev/shm")]
return [*folders, len(processes), os.readlink("/proc/self/ns/pid")]
        """
    )
    assert found.failure is None, found.failure
    assert found.result[:3] == [[], [], 3]
    assert found.result[3] != left.result


async def test_a_cancelled_job_is_gone_at_once(jobs: Jobs) -> None:
    running = asyncio.create_task(jobs.run("import time; time.sleep(60)"))
    await asyncio.sleep(0)
    while not (begun := sandboxes_of(os.getpid())):
        await asyncio.sleep(0.02)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert begun
    assert (await jobs.run("return 1")).result == 1


@pytest.mark.parametrize("caps", ["cgroup", "watcher"])
def test_a_killed_worker_leaves_nothing(caps: str, tmp_path: Path) -> None:
    """Eight jobs run, each with a child that ignores signals. Groups go with the next worker."""
    script = [sys.executable, "-m", "tests.sandbox.bubblewrap_worker", caps, "8"]
    worker = subprocess.Popen(script, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    assert worker.stdout.readline() == "sent\n"
    root = psutil.Process(worker.pid)
    eventually(lambda: len(root.children(recursive=True)) > 8 * 4, what="eight jobs with a child")
    below = root.children(recursive=True)
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait(10)
    eventually(
        lambda: not any(process.is_running() and process.status() != "zombie" for process in below),
        within_s=10,
        what="the end of every process of the sandboxes",
    )
    found = cgroups.find(Limits())
    if found is not None:
        found.clear()
        assert not folders_of(worker.pid)
