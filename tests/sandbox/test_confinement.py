"""What a program finds in a sandbox of bubblewrap, made by root and by a user who is not."""

import json
import os
import platform
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox import seccomp
from tests.sandbox.confined import run, run_as_somebody, why_not_somebody

Run = Callable[[str], "subprocess.CompletedProcess[str]"]


@pytest.fixture(params=["this user", "somebody"], scope="module")
def confined(request: pytest.FixtureRequest) -> Run:
    if request.param == "this user":
        return run
    if reason := why_not_somebody():
        pytest.skip(reason)
    return run_as_somebody


def told(done: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


_LOOK = """
import json, os
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status") if ":\\t" in line)
def of(path):
    try:
        open(path).read()
    except OSError as error:
        return type(error).__name__
    return "read"
def made(path):
    try:
        open(path, "w").write("x")
    except OSError as error:
        return os.strerror(error.errno)
    return "made"
print(json.dumps({
    "namespaces": {name: os.readlink("/proc/self/ns/" + name)
                   for name in os.listdir("/proc/self/ns")},
    "seccomp": status["Seccomp"].strip(), "no_new_privileges": status["NoNewPrivs"].strip(),
    "capabilities": [status[name].strip() for name in ("CapPrm", "CapEff", "CapAmb")],
    "uid": os.getuid(), "processes": len([name for name in os.listdir("/proc") if name.isdigit()]),
    "environment": sorted(os.environ), "open": sorted(map(int, os.listdir("/proc/self/fd")))[:-1],
    "root": sorted(os.listdir("/")), "canary": of(CANARY), "source": of(SOURCE),
    "made": {path: made(path) for path in
             ("/tmp/x", "/dev/shm/x", "/x", "/dev/x", "/etc/x", "/usr/lib/x",
              "/proc/sys/kernel/hostname")},
}))
"""


def test_nothing_of_the_machine_is_there(confined: Run, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    canary.write_text("of the host")
    tmp_path.chmod(0o755)
    canary.chmod(0o644)
    code = _LOOK.replace("CANARY", repr(str(canary))).replace("SOURCE", repr(seccomp.__file__))
    found = told(confined(code))
    for name in ("pid", "mnt", "net", "ipc", "uts", "cgroup"):
        assert found["namespaces"][name] != os.readlink(f"/proc/self/ns/{name}")
    assert found["seccomp"] == "2"
    assert found["no_new_privileges"] == "1"
    assert set(found["capabilities"]) == {"0" * 16}
    assert found["uid"] not in {0, os.getuid()}
    assert found["processes"] == 2
    assert set(found["environment"]) <= {"PATH", "PWD", "LC_CTYPE"}
    assert found["open"] == [0, 1, 2]
    assert {"home", "opt", "srv", "var", "sys", "run", "boot"}.isdisjoint(found["root"])
    assert found["canary"] == found["source"] == "FileNotFoundError"
    made = [path for path, answer in found["made"].items() if answer == "made"]
    assert made == ["/tmp/x", "/dev/shm/x"]


def test_forbidden_calls_fail(confined: Run) -> None:
    """They are made, and each finds the filter before anything else."""
    code = f"""
import ctypes, errno, json
assert "Seccomp:\\t2" in open("/proc/self/status").read()
libc = ctypes.CDLL(None, use_errno=True)
found = {{}}
for name, number in {seccomp.forbidden(platform.machine())!r}.items():
    found[name] = [libc.syscall(number, 0, 0, 0, 0, 0, 0), errno.errorcode[ctypes.get_errno()]]
print(json.dumps(found))
"""
    found = told(confined(code))
    absent = {"clone3", "memfd_create", "memfd_secret"}
    assert found == {
        name: [-1, "ENOSYS" if name in absent else "EPERM"]
        for name in seccomp.forbidden(platform.machine())
    }


@pytest.mark.skipif(platform.machine() != "x86_64", reason="there is no x32 elsewhere")
def test_a_call_of_another_architecture_ends_the_process(confined: Run) -> None:
    done = confined("import ctypes; ctypes.CDLL(None).syscall(0x40000000 + 39)")
    assert done.returncode in {128 + 31, -31}


def test_forks_memory_and_files_have_limits(confined: Run) -> None:
    code = """
import json, os, resource, signal
children = []
try:
    while len(children) < 200:
        child = os.fork()
        if child == 0:
            signal.pause()
        children.append(child)
except BlockingIOError:
    pass
for child in children:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
written = {}
for folder in ("/tmp", "/dev/shm"):
    written[folder] = 0
    try:
        for number in range(40):
            with open(f"{folder}/{number}", "wb", buffering=0) as file:
                written[folder] += file.write(bytes(4 << 20))
    except OSError:
        pass
core = resource.getrlimit(resource.RLIMIT_CORE)
print(json.dumps({"forks": len(children), "written": written, "core": core}))
"""
    found = told(confined(code))
    assert 30 < found["forks"] < 64
    written = found["written"]
    assert written["/tmp"] <= 48 * 1024**2
    assert written["/dev/shm"] <= 8 * 1024**2
    assert found["core"] == [0, 0]


def test_what_tools_use_is_there(confined: Run) -> None:
    code = """
import asyncio, bz2, ctypes, json, lzma, multiprocessing, socket, sqlite3, ssl, subprocess
import tempfile, threading
assert ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(lambda x: x + 1)(3) == 4
assert subprocess.run(["echo", "hello"], capture_output=True).stdout == b"hello\\n"
assert multiprocessing.get_context("fork").Pool(2).map(abs, [-1]) == [1]
thread = threading.Thread(target=print, args=("{}",)); thread.start(); thread.join()
assert tempfile.NamedTemporaryFile().name.startswith("/tmp/")
listener = socket.create_server(("127.0.0.1", 0))
socket.create_connection(listener.getsockname()).close()
assert socket.getaddrinfo("localhost", 80)
asyncio.run(asyncio.sleep(0))
"""
    told(confined(code))
