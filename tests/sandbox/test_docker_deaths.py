"""A worker that is killed, and an engine that goes away, with jobs in flight."""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.docker import DockerSandbox
from sandbox.leases import Lease
from sandbox.protocol import SandboxLost, SandboxUnavailable
from tests.sandbox import docker_engine
from tests.sandbox.plain import job, nothing

_LIMIT_S = 30


@pytest.fixture(autouse=True)
def _docker() -> None:
    docker_engine.needs_docker()


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(_LIMIT_S):
        while not holds():
            await asyncio.sleep(0.1)


async def _kill_a_worker(folder: Path, count: int, source: str) -> str:
    """Start a worker, let it send its jobs, and kill it; its instance."""
    worker = subprocess.Popen(
        [sys.executable, "-m", "tests.sandbox.docker_worker", str(folder), str(count), source],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert worker.stdout is not None
    lines = worker.stdout
    for _ in range(count):
        line = await asyncio.wait_for(asyncio.to_thread(lines.readline), _LIMIT_S)
        assert line == "sent\n"
    instance = (folder / "leases" / "instance").read_text()
    assert len(docker_engine.containers(instance)) >= count
    worker.kill()
    worker.wait()
    lines.close()
    return instance


async def test_a_killed_worker_leaves_nothing_by_itself(tmp_path: Path) -> None:
    """Its guests see that nobody is at the other end, in a job or before it."""
    source = "import time\ndef f(): time.sleep(300)"
    instance = await _kill_a_worker(tmp_path, 3, source)
    await _until(lambda: not docker_engine.containers(instance))


async def test_what_a_killed_worker_leaves_is_reaped_by_the_next_one(tmp_path: Path) -> None:
    source = (
        "import os, signal, time\n"
        "def f():\n    os.kill(os.getppid(), signal.SIGSTOP)\n    time.sleep(300)"
    )
    instance = await _kill_a_worker(tmp_path, 1, source)
    living = docker_engine.sandbox(tmp_path, pool=1)
    other = docker_engine.sandbox(tmp_path / "other", pool=1)
    await other.start()
    assert await other.reap() == 0
    await living.start()
    assert await other.reap() == 0
    assert (await living.run(job("def f(): return 1"), before_sending=nothing)).result == 1
    await living.close()
    assert docker_engine.containers(instance) == []
    left = [path.name for path in (tmp_path / "leases").iterdir()]
    assert left == ["instance"]
    await other.close()


async def test_a_container_past_its_time_is_reaped_whoever_made_it(tmp_path: Path) -> None:
    labels = ["--label=o.sandbox=1", "--label=o.instance=gone", "--label=o.worker=gone"]
    create = ["docker", "create", *labels, "--label=o.deadline=1", docker_engine.IMAGE, "true"]
    subprocess.run(create, check=True, capture_output=True)
    assert len(docker_engine.containers("gone")) == 1
    sandbox = docker_engine.sandbox(tmp_path, pool=0)
    await sandbox.start()
    await sandbox.close()
    assert docker_engine.containers("gone") == []


class _Relay:
    """A socket that leads to the engine until it is cut."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writers: list[asyncio.StreamWriter] = []
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        self._server = await asyncio.start_unix_server(self._lead, self.path)

    def cut(self) -> None:
        assert self._server is not None
        self._server.close()
        self.path.unlink(missing_ok=True)
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        engine = await asyncio.open_unix_connection("/var/run/docker.sock")
        self._writers += [writer, engine[1]]
        await asyncio.gather(_pass_on(reader, engine[1]), _pass_on(engine[0], writer))


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
    except OSError:
        writer.transport.abort()


async def test_an_engine_that_goes_away_is_told_apart_before_and_after_sending(
    tmp_path: Path,
) -> None:
    relay = _Relay(tmp_path / "docker.sock")
    await relay.open()
    sandbox = docker_engine.sandbox(tmp_path, pool=1, host=f"unix://{relay.path}")
    await sandbox.start()
    assert sandbox.state.problem == ""
    sent = asyncio.Event()

    async def note() -> None:
        sent.set()

    running = asyncio.create_task(
        sandbox.run(job("import time\ndef f(): time.sleep(60)"), before_sending=note)
    )
    await sent.wait()
    relay.cut()
    with pytest.raises(SandboxLost):
        await running
    sent.clear()
    with pytest.raises(SandboxUnavailable):
        await sandbox.run(job("def f(): return 1"), before_sending=note)
    assert not sent.is_set()
    state = await sandbox.look()
    assert "no Docker engine answers at" in state.problem
    with pytest.raises(SandboxUnavailable, match="no Docker engine answers"):
        await sandbox.run(job("def f(): return 1"), before_sending=note)

    await relay.open()
    assert (await sandbox.run(job("def f(): return 1"), before_sending=note)).result == 1
    instance = (tmp_path / "leases" / "instance").read_text()
    await sandbox.close()
    relay.cut()
    await _until(lambda: not docker_engine.containers(instance))


async def test_no_engine_is_said_so_without_one_being_waited_for(tmp_path: Path) -> None:
    sandbox = DockerSandbox(
        docker_engine.sandbox(tmp_path, host="unix:///nowhere/docker.sock")._options
    )
    await sandbox.start()
    assert "no Docker engine answers at unix:///nowhere/docker.sock" in sandbox.state.problem
    with pytest.raises(SandboxUnavailable, match="start it, or name another"):
        await sandbox.run(job("def f(): pass"), before_sending=nothing)
    await sandbox.close()
    assert Lease(tmp_path / "leases").dead() == []
