"""Jobs in containers: what each is given, what it cannot do, and what is left of it."""

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sandbox.docker import DockerSandbox
from sandbox.protocol import JobResult, Limits
from tests.sandbox import docker_engine
from tests.sandbox.plain import job, nothing

_SHORT = Limits(timeout_s=3)


@pytest.fixture(scope="module")
async def docker(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[DockerSandbox]:
    docker_engine.needs_docker()
    sandbox = docker_engine.sandbox(tmp_path_factory.mktemp("docker"), pool=2)
    await sandbox.start()
    assert sandbox.state.problem == ""
    instance = _instance(sandbox)
    yield sandbox
    await sandbox.close()
    assert docker_engine.containers(instance) == []


def _instance(sandbox: DockerSandbox) -> str:
    assert sandbox._lease is not None
    return sandbox._lease.instance


async def _run(docker: DockerSandbox, source: str, **more: object) -> JobResult:
    return await docker.run(job(source, **more), before_sending=nothing)  # type: ignore[arg-type]


async def test_the_isolation_that_the_other_tests_rely_on(docker: DockerSandbox) -> None:
    """A harmless look around: it runs first, and nothing else runs where it fails."""
    source = """
import os, socket
def f():
    found = {'uid': os.getuid(), 'interfaces': [name for _, name in socket.if_nameindex()]}
    status = open('/proc/self/status').read().splitlines()
    found['status'] = dict(line.split(':\\t') for line in status if ':\\t' in line)
    found['mounts'] = [line.split()[1:4] for line in open('/proc/mounts')]
    places = [place for place, _, _ in found['mounts'] if os.path.isdir(place)]
    found['writable'] = [place for place in places if os.access(place, os.W_OK)]
    found['pids'] = sorted(int(pid) for pid in os.listdir('/proc') if pid.isdigit())
    found['environment'] = dict(os.environ)
    for place in ('/', '/usr', '/deps', '/etc', '/run', '/tmp', '/dev/shm'):
        found[place] = os.access(place, os.W_OK)
    return found
"""
    done = await _run(docker, source)
    assert done.failure is None, done.failure
    found = done.result
    assert found["uid"] == 65534
    assert found["interfaces"] == ["lo"]
    status = {name: text.strip() for name, text in found["status"].items()}
    assert (status["CapEff"], status["CapBnd"]) == ("0" * 16, "0" * 16)
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert len(found["pids"]) < 6
    assert set(found["environment"]) == {"PATH", "HOME", "LANG"}
    assert [found[place] for place in ("/", "/usr", "/deps", "/etc", "/run")] == [False] * 5
    assert (found["/tmp"], found["/dev/shm"]) == (True, True)
    mounts = {place: (kind, flags.split(",")) for place, kind, flags in found["mounts"]}
    assert "ro" in mounts["/"][1]
    for place in ("/tmp", "/dev/shm"):
        assert mounts[place][0] == "tmpfs"
        assert {"nosuid", "nodev", "noexec", "rw"} <= set(mounts[place][1])
    assert set(found["writable"]) <= {"/tmp", "/dev/shm", "/dev/mqueue"}


async def test_nothing_of_a_job_is_there_for_the_next_one(docker: DockerSandbox) -> None:
    source = """
import os, socket, subprocess, sys
def f():
    found = sorted(os.listdir('/tmp') + os.listdir('/dev/shm'))
    for place in ('/tmp', '/dev/shm'):
        open(place + '/left', 'w').write('x')
    subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])
    if os.fork() == 0:
        os.setsid()
        import time
        time.sleep(60)
    return found, socket.gethostname(), len([p for p in os.listdir('/proc') if p.isdigit()])
"""
    for _ in range(3):
        done = await _run(docker, source)
        assert done.failure is None, done.failure
        left, host, processes = done.result
        assert left == []
        assert host == "sandbox"
        assert processes < 8


async def test_twenty_jobs_back_to_back_and_six_at_once(docker: DockerSandbox) -> None:
    source = "import os\ndef f(x):\n    open('/tmp/x', 'x').close()\n    return x"
    for number in range(20):
        assert (await _run(docker, source, arguments={"x": number})).result == number
    many = [_run(docker, source, arguments={"x": number}) for number in range(6)]
    assert [done.result for done in await asyncio.gather(*many)] == list(range(6))


_BOMBS = {
    "memory": (
        "def f():\n    held = []\n    while True: held.append(bytearray(10**7))",
        "memory",
        "more than 256 MB",
    ),
    "memory of children": (
        "import os\ndef f():\n    pid = os.fork()\n    held = []\n"
        "    while not pid: held.append(bytearray(10**7))\n    return os.waitpid(pid, 0)[1]",
        "",
        "9",
    ),
    "forks": (
        "import os, time\ndef f():\n    for _ in range(200):\n"
        "        if os.fork() == 0: time.sleep(9)",
        "raised",
        "BlockingIOError",
    ),
    "threads": (
        "import threading, time\ndef f():\n    for _ in range(200):\n"
        "        threading.Thread(target=time.sleep, args=[9], daemon=True).start()",
        "raised",
        "can't start new thread",
    ),
    "disk": (
        "def f():\n    with open('/tmp/x', 'wb') as file:\n"
        "        while True: file.write(bytes(10**6))",
        "raised",
        "No space left",
    ),
    "files": (
        "def f():\n    for n in range(5000): open(f'/tmp/{n}', 'w').close()",
        "raised",
        "No space left",
    ),
    "open files": (
        "def f():\n    return len([open('/dev/null') for _ in range(999)])",
        "raised",
        "Too many open files",
    ),
    "a program of one's own": (
        "import os, shutil\ndef f():\n    shutil.copy('/bin/true', '/tmp/x')\n"
        "    os.chmod('/tmp/x', 0o755)\n    os.execv('/tmp/x', ['x'])",
        "raised",
        "Permission denied",
    ),
    "killing the supervisor": (
        "import os, time\ndef f():\n    os.kill(os.getppid(), 9)\n    time.sleep(9)",
        "died",
        "ended before the function returned",
    ),
    "stopping the supervisor": (
        "import os, signal, time\ndef f():\n    os.kill(os.getppid(), signal.SIGSTOP)\n"
        "    time.sleep(9)",
        "timeout",
        "more than 3 seconds",
    ),
    "printing for ever": (
        "import os\ndef f():\n    while True: os.write(1, bytes(65536))",
        "timeout",
        "more than 3 seconds",
    ),
    "stdout of the supervisor": (
        "import os\ndef f():\n    for fd in os.listdir(f'/proc/{os.getppid()}/fd'):\n        try:\n"
        "            out = os.open(f'/proc/{os.getppid()}/fd/{fd}', os.O_WRONLY)\n"
        "            os.write(out, b'\\xff' * 8)\n        except OSError: pass\n    return 'ended'",
        "frame",
        "cannot be read",
    ),
    "stderr of the supervisor": (
        "import os\ndef f():\n    out = os.open(f'/proc/{os.getppid()}/fd/2', os.O_WRONLY)\n"
        "    for _ in range(500): os.write(out, bytes(65536))\n    return 'ended'",
        "",
        "ended",
    ),
}


@pytest.mark.parametrize("name", _BOMBS)
async def test_what_is_too_much_ends_that_job_alone(docker: DockerSandbox, name: str) -> None:
    source, kind, words = _BOMBS[name]
    limits = _SHORT if kind == "timeout" else Limits()
    done = await _run(docker, source, limits=limits)
    assert (done.failure.kind if done.failure else "") == kind, done
    assert words in (done.failure.message if done.failure else str(done.result))
    assert (await _run(docker, "def f(): return 'well'")).result == "well"


async def test_processes_share_the_cpu_that_their_job_has(docker: DockerSandbox) -> None:
    source = """
import os, time
def f():
    began = time.monotonic()
    until = began + 1.5
    children = []
    while 0 not in children and len(children) < 3:
        children.append(os.fork())
    if 0 in children:
        while time.monotonic() < until: pass
        os._exit(0)
    used = [os.wait4(child, 0)[2] for child in children]
    elapsed = time.monotonic() - began
    return sum(one.ru_utime + one.ru_stime for one in used), elapsed
"""
    done = await _run(docker, source, limits=Limits(cpus=0.2))
    assert done.failure is None, done.failure
    used, elapsed = done.result
    assert used < 0.2 * elapsed + 0.35


async def test_packages_are_there_and_cannot_be_changed(
    docker: DockerSandbox, tmp_path: Path
) -> None:
    (tmp_path / "given.py").write_text("VALUE = 7\n")
    tmp_path.chmod(0o755)
    for parent in list(tmp_path.parents)[:3]:
        parent.chmod(parent.stat().st_mode | 0o011)
    source = (
        "import given, os\ndef f(): return [given.VALUE, given.__file__, os.access('/deps', 2)]"
    )
    done = await _run(docker, source, packages=tmp_path)
    assert done.result == [7, "/deps/given.py", False], done.failure


async def test_what_a_tool_prints_is_on_no_disk_of_this_machine(docker: DockerSandbox) -> None:
    waiting = "import time\ndef f():\n    print('secret', flush=True)\n    time.sleep(30)"
    running = asyncio.create_task(_run(docker, waiting, environment={"KEY": "hidden"}))
    instance = _instance(docker)
    try:
        found, began = "", time.monotonic()
        while "sandbox" not in found and not running.done() and time.monotonic() < began + 60:
            found = subprocess.run(
                ["docker", "inspect", *docker_engine.containers(instance)],
                capture_output=True,
                text=True,
                check=False,
            ).stdout
            await asyncio.sleep(0.05)
        assert '"LogPath": ""' in found
        assert '"Type": "none"' in found
        assert "hidden" not in found
        assert "secret" not in found
    finally:
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running


async def test_a_cancelled_job_is_gone_when_the_cancel_returns(docker: DockerSandbox) -> None:
    sent = asyncio.Event()

    async def note() -> None:
        sent.set()

    waiting = job("import time\ndef f(): time.sleep(60)")
    running = asyncio.create_task(docker.run(waiting, before_sending=note))
    await sent.wait()
    instance = _instance(docker)
    before = set(docker_engine.containers(instance))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert len(before - set(docker_engine.containers(instance))) == 1


async def test_an_image_that_is_not_there_is_named_with_what_to_do(tmp_path: Path) -> None:
    docker_engine.needs_docker()
    sandbox = DockerSandbox(
        docker_engine.sandbox(tmp_path)._options.__class__("no-such-image:1", tmp_path)
    )
    state = await sandbox.look()
    assert "no-such-image:1 is not there" in state.problem
    assert "make sandbox-image" in state.problem
