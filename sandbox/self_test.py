"""A harmless job that looks out of its sandbox, and what it must not see."""

import os
import secrets
import socket
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from sandbox.protocol import Job, JobResult, Limits

_NAMESPACES = ("pid", "mnt", "net", "ipc", "uts")
_ENVIRONMENT = frozenset(
    ("PATH", "HOME", "LANG", "LC_CTYPE", "TMPDIR", "PWD", "HOSTNAME", "TZ", "O_IDEMPOTENCY_KEY")
)
_OF_THE_WAY_OUT = frozenset(
    (
        *("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "no_proxy", "NO_PROXY"),
        *("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    )
)
"""What the guest itself sets where there is an egress proxy."""

_OWN_SOURCE = str(Path(__file__).resolve())
_TIMEOUT_S = 30.0

_SOURCE = """
def look(paths, port, namespaces, forks):
    import os, signal, socket
    def read(path):
        try:
            with open(path, "rb") as file:
                file.read(1)
        except OSError:
            return False
        return True
    def reached(host):
        try:
            socket.create_connection((host, port), 2).close()
        except OSError:
            return False
        return True
    def status():
        with open("/proc/self/status") as file:
            return dict(line.rstrip("\\n").split(":\\t", 1) for line in file if ":\\t" in line)
    def forked():
        children = []
        try:
            while len(children) < forks:
                child = os.fork()
                if child == 0:
                    signal.pause()
                    os._exit(0)
                children.append(child)
        except OSError:
            pass
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        return len(children)
    found = status()
    return {
        "uid": os.getuid(),
        "namespaces": {name: os.readlink("/proc/self/ns/" + name) for name in namespaces},
        "read": [path for path in paths if read(path)],
        "loopback": reached("127.0.0.1"),
        "seccomp": found.get("Seccomp", ""),
        "capabilities": found.get("CapEff", "").strip("0"),
        "environment": sorted(os.environ),
        "forks": forked(),
    }
"""


class Run(Protocol):
    """Runs a job in the sandbox that is tried."""

    async def __call__(
        self, job: Job, *, before_sending: Callable[[], Awaitable[None]]
    ) -> JobResult:
        """See `Sandbox.run`."""


async def problem_of(run: Run, limits: Limits, *, has_seccomp: bool = True) -> str:
    """What is wrong with a sandbox, found by a job that is run in it; empty when nothing is.

    Args:
        run: Runs the job; `Sandbox.run` of the sandbox.
        limits: What jobs may use here.
        has_seccomp: Whether its kernel tells of a filter of system calls.

    Raises:
        SandboxUnavailable, SandboxLost: As by `run`.
    """
    with _canary() as canary, socket.create_server(("127.0.0.1", 0)) as listener:
        arguments = {
            "paths": [canary, _OWN_SOURCE],
            "port": listener.getsockname()[1],
            "namespaces": _NAMESPACES,
            "forks": limits.processes + 20,
        }
        job = Job(
            f"self-test-{secrets.token_hex(4)}",
            _SOURCE,
            "look",
            arguments,
            limits=replace(limits, timeout_s=_TIMEOUT_S),
        )
        done = await run(job, before_sending=_nothing)
    if done.failure is not None or not isinstance(done.result, dict):
        return f"the self-test failed: {done.failure.message if done.failure else 'no answer'}"
    return _judged(done.result, limits, has_seccomp=has_seccomp)


async def _nothing() -> None:
    """Nobody is to know of a self-test."""


@contextmanager
def _canary() -> Iterator[str]:
    """A file of this machine that anybody on it may read."""
    with tempfile.TemporaryDirectory(prefix="o-canary-") as folder:
        path = Path(folder, secrets.token_hex(8))
        path.write_text("of this machine", encoding="ascii")
        path.chmod(0o644)
        Path(folder).chmod(0o755)
        yield str(path)


def _judged(found: Mapping[str, Any], limits: Limits, *, has_seccomp: bool) -> str:
    shared = [
        name for name, link in found["namespaces"].items() if link and link == _namespace(name)
    ]
    holes = {
        f"it shares the {', '.join(shared)} namespace of this machine": bool(shared),
        "it reads files of this machine": bool(found["read"]),
        "it reaches loopback of this machine": found["loopback"],
        "no filter of system calls is in force": has_seccomp and found["seccomp"] != "2",
        "it is root": found["uid"] == 0,
        "it has capabilities": bool(found["capabilities"]),
        f"more than {limits.processes} processes can be started": found["forks"] > limits.processes,
        "it sees the environment of O": bool(
            set(found["environment"]) - _ENVIRONMENT - _OF_THE_WAY_OUT
        ),
    }
    wrong = [words for words, is_so in holes.items() if is_so]
    return f"the self-test failed: {'; '.join(wrong)}" if wrong else ""


def _namespace(name: str) -> str:
    try:
        return os.readlink(f"/proc/self/ns/{name}")
    except OSError:
        return ""
