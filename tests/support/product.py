"""The product as a user starts it: `o up` in a process of its own, on its own data directory."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import httpx
import psutil
import psycopg
from letta_client import Letta

from o.storage.database import libpq_url
from tests.support.ports import own_port
from tests.support.preloaded import Forked, preloaded

_Found = TypeVar("_Found")
REPOSITORY = Path(__file__).parents[2]

MCP_EXAMPLES = Path(sys.prefix, "mcp-examples")
"""The servers that the makers of the MCP package wrote; `make test` gets them."""

MCP_FOLDERS = (
    sysconfig.get_paths()["purelib"],
    str(Path(__file__).parent),
    *([str(MCP_EXAMPLES)] if MCP_EXAMPLES.is_dir() else []),
)
"""What MCP servers over stdio see: the official package, and servers that are made with it."""

# Tests have receivers on this address of loopback; other loopback addresses are refused.
TEST_SETTINGS = {
    "O_MCP_STDIO": "1",
    "O_MCP_STDIO_FOLDERS": ",".join(MCP_FOLDERS),
    "O_MCP_CONNECT_TIMEOUT_S": "60",  # for a process that is started beside many others
    "O_SWEEP_INTERVAL_S": "1",
    "O_SUMMARY_TIMEOUT_S": "8",  # for models that never answer
    "O_OUTBOUND_ALLOW": "127.0.0.1",
    # Archives that name a model have vectors; the others would start its process for nobody.
    "O_DEFAULT_EMBEDDING": "none",
    "O_WEB_TOOLS": "on",
    "O_WEB_ALLOW": "127.0.0.1",
    # Containers that nobody needs, at each start of a product, would take more than the tests.
    "O_SANDBOX_BACKEND": "bubblewrap",
    "O_SANDBOX_POOL": "0",
    "O_PIP_INDEX_URL": "",
}

LIFELINE_GRACE_S = 20.0
"""Seconds that what a supervisor started may outlive it: a guard stops PostgreSQL in stages."""


def eventually(
    look: Callable[[], _Found | None], *, within_s: float = 60.0, what: str = "it"
) -> _Found:
    """The first true answer of `look`. Fails after `within_s` seconds."""
    deadline = time.monotonic() + within_s
    while not (found := look()):
        assert time.monotonic() < deadline, f"{what} did not happen within {within_s} s"
        time.sleep(0.01)
    return found


class Product:
    """One running `o up`. Everything it starts is gone when `stop` returns."""

    def __init__(self, data_dir: Path, env: dict[str, str] | None = None) -> None:
        self.data_dir = data_dir
        self.port = own_port()
        self.front_port: int | None = None
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.endswith(("_API_KEY", "_BASE_URL")) and not name.startswith("O_")
        }
        kept.pop("PYTHONDONTWRITEBYTECODE", None)
        self.env = kept | TEST_SETTINGS | (env or {})
        # What runs the command line of `o up`, where not the system does by itself.
        self.prefix: list[str] = []
        # What changes modules while they load, for all products that have the same.
        self.injected: dict[str, str] = {}
        self.process: subprocess.Popen[bytes] | Forked | None = None
        # What was seen running when the supervisor was killed: to be gone when all is over.
        self._bereaved: list[psutil.Process] = []
        # The product ends with the tests, as its own parts end with it.
        self._lifeline, self._life = os.pipe()

    def start(self, *, within_s: float = 100.0) -> float:
        """Start and wait until it is ready.

        Returns:
            Seconds until then.
        """
        began = time.monotonic()
        self.data_dir.parent.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log:
            is_plain = sys.platform == "linux" and not self.prefix
            self.process = self._forked(log) if is_plain else self._spawned(log)
        pid = self.process.pid
        eventually(lambda: self._is_ready(pid), within_s=within_s, what=f"ready ({self.log_path})")
        return time.monotonic() - began

    def _forked(self, log: BinaryIO) -> Forked:
        kept = {self._lifeline: "O_LIFELINE_FD"}
        return preloaded(**self.injected).fork(["up", *self.flags()], self.env, log.fileno(), kept)

    def _spawned(self, log: BinaryIO) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*self.prefix, sys.executable, "-m", "server.cli", "up", *self.flags()],
            cwd=REPOSITORY,
            env=self.env | {"O_LIFELINE_FD": str(self._lifeline)},
            stdout=log,
            stderr=log,
            start_new_session=True,
            pass_fds=(self._lifeline,),
        )

    def flags(self) -> list[str]:
        """The command line behind `o up`."""
        return ["--data-dir", str(self.data_dir), "--port", str(self.port)]

    @property
    def log_path(self) -> Path:
        """What `o up` printed."""
        return self.data_dir.with_suffix(".log")

    @property
    def url(self) -> str:
        """Address of the API."""
        return f"http://127.0.0.1:{self.front_port or self.port}"

    @property
    def state(self) -> dict[str, Any]:
        """What `up.json` says; a supervisor that starts clears its forerunner's away."""
        found: dict[str, Any] = eventually(self._noted, what="the state file")
        return found

    def _noted(self) -> dict[str, Any] | None:
        try:
            noted: dict[str, Any] = json.loads((self.data_dir / "up.json").read_text())
        except FileNotFoundError:
            return None
        return noted

    def client(self, **options: Any) -> Letta:
        """The official client for this server."""
        if self.front_port is not None:  # a connection of its own for each request
            unpooled = httpx.Limits(max_keepalive_connections=0)
            options.setdefault("http_client", httpx.Client(limits=unpooled, timeout=600))
        return Letta(base_url=self.url, **{"api_key": "unused"} | options)

    def pid_of(self, name: str) -> int:
        """The process that does the work: api, worker-1, temporal, postgres or supervisor."""
        if name == "supervisor":
            return int(self.state["pid"])
        return int(eventually(lambda: self.state["processes"].get(name), what=f"{name} is there"))

    def kill(self, name: str) -> int:
        """Send SIGKILL to a process and wait until it is gone.

        Returns:
            Its pid.
        """
        # One that was killed a moment ago may still be the one that is told of.
        eventually(lambda: is_alive(self.pid_of(name)), what=f"a living {name}")
        pid = self.pid_of(name)
        if name == "supervisor":
            self._bereaved += self.tree()
        os.kill(pid, signal.SIGKILL)
        if name == "supervisor" and self.process is not None:
            self.process.wait(10)
        eventually(lambda: not is_alive(pid), within_s=10, what=f"the death of {name}")
        return pid

    def kill_everything(self) -> list[int]:
        """Send SIGKILL to the supervisor and all under it, and wait until they are gone.

        Returns:
            Their pids; some may have been gone already when their turn came.
        """
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)  # so that it starts nothing while we look
        family = self.tree()
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait(10)
        eventually(lambda: not _living(family), what="the end of everything")
        return [process.pid for process in family]

    def query(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Rows straight from the database, which may be on its way back."""

        answers: list[list[tuple[Any, ...]]] = []

        def ask() -> bool:
            url = libpq_url(self.state["database_url"])
            try:
                with psycopg.connect(url, autocommit=True) as connection:
                    cursor = connection.execute(statement.encode(), parameters or None)
                    answers.append(cursor.fetchall() if cursor.description else [])
            except psycopg.OperationalError:
                return False
            return True

        eventually(ask, what="an answer of the database")
        return answers[0]

    def tree(self) -> list[psutil.Process]:
        """The supervisor and everything that it keeps, with all that is under those."""
        assert self.process is not None
        return [psutil.Process(self.process.pid), *self._children()]

    def stop(self) -> None:
        """Stop as Ctrl-C does; what lives longer than a lifeline's grace after that is an error.

        Where a test has killed the supervisor, what was under it has the same grace.
        """
        if self.process is None:
            return
        family = self._bereaved
        if self.process.poll() is None:
            with contextlib.suppress(psutil.NoSuchProcess):  # it may be dying
                family = family + self._children()
            self.process.send_signal(signal.SIGINT)
            self.process.wait(60)
        deadline = time.monotonic() + LIFELINE_GRACE_S
        while (left := _living(family)) and time.monotonic() < deadline:
            time.sleep(0.01)
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        assert not left, f"left behind: {left}"

    def _children(self) -> list[psutil.Process]:
        assert self.process is not None
        found = psutil.Process(self.process.pid).children(recursive=True)
        # What a fork server made is no longer under the supervisor once that has died.
        for pid in (self._noted() or {}).get("processes", {}).values():
            with contextlib.suppress(psutil.NoSuchProcess):
                if pid is not None and pid not in {process.pid for process in found}:
                    orphan = psutil.Process(pid)
                    found += [orphan, *orphan.children(recursive=True)]
        return found

    def _is_ready(self, pid: int) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log_path.read_text()
        try:
            if (self._noted() or {}).get("pid") != pid:
                return False
            return bool(httpx.get(f"{self.url}/v1/ready/").json().get("temporal") == "ok")
        except (OSError, ValueError, httpx.HTTPError):
            return False


def is_alive(pid: int | None) -> bool:
    """Whether a process runs; one that only waits to be buried does not."""
    try:
        # The kernel shows a process with threads as a zombie, and then for a moment as dead.
        ended = (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
        return pid is not None and psutil.Process(pid).status() not in ended
    except psutil.NoSuchProcess:
        return False


def _living(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that still are who they were, zombies left out."""
    return [process for process in processes if process.is_running() and is_alive(process.pid)]
