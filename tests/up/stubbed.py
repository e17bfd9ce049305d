"""A supervisor with real PostgreSQL and Temporal, and stubs for O's own processes."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import psycopg

from tests.support.product import eventually

STARTED = Path(__file__).with_name("started.py")
ROOT = STARTED.parents[2]


class StubbedProduct:
    """One supervisor on one data directory."""

    def __init__(self, data_dir: Path, **wanted: Any) -> None:
        self.data_dir = data_dir
        self._wanted = {"data_dir": str(data_dir), "port": 0, "workers": 1, **wanted}
        self._process: psutil.Popen | None = None
        self._seen: dict[int, psutil.Process] = {}

    def start(self) -> "StubbedProduct":
        """Start it and wait until it is up."""
        self.begin()
        return self.wait_up()

    def wait_up(self) -> "StubbedProduct":
        """Wait until it is up."""
        eventually(self._is_up, within_s=90)
        return self

    def begin(self) -> psutil.Popen:
        """Start it without waiting."""
        environment = {name: text for name, text in os.environ.items() if "_API_KEY" not in name}
        environment |= {"PYTHONPATH": str(ROOT), "OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}
        environment |= self._wanted.pop("environment", {})
        self._process = psutil.Popen(
            [sys.executable, str(STARTED), json.dumps(self._wanted)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
        )
        return self._process

    @property
    def process(self) -> psutil.Popen:
        assert self._process is not None
        return self._process

    @property
    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = json.loads((self.data_dir / "up.json").read_text())
        return state

    def pid(self, name: str) -> int | None:
        pid: int | None = self.state["processes"].get(name)
        return pid

    def family(self) -> list[psutil.Process]:
        """Everything that the supervisor started, now and when this was asked before."""
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in self.process.children(recursive=True):
                self._seen[process.pid] = process
        return list(self._seen.values())

    def left(self) -> list[psutil.Process]:
        """Who of the family is still there."""
        return [one for one in self._seen.values() if lives(one)]

    def kill(self, name: str) -> int:
        """Kill -9 a process and wait until another has its place; answers the new pid."""
        old = self.pid(name)
        assert old is not None
        self.family()
        os.kill(old, signal.SIGKILL)
        return eventually(lambda: (pid := self.pid(name)) != old and pid)

    def kill_supervisor(self) -> None:
        """Kill -9 the supervisor only."""
        self.family()
        self.process.kill()
        self.process.wait(5)

    def kill_all(self) -> None:
        """Kill -9 everything at once."""
        for process in [self.process, *self.family()]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait(5)

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Ask it to stop; answers its exit status."""
        self.family()
        self.process.send_signal(number)
        return int(self.process.wait(30))

    def clean_up(self) -> None:
        """Leave nothing, whatever the test did."""
        if self._process is not None:
            self.kill_all()
            eventually(lambda: not self.left())

    def write(self, text: str) -> None:
        with psycopg.connect(self.state["database_url"]) as connection:
            connection.execute("insert into note values (%s)", [text])

    def read(self) -> list[str]:
        with psycopg.connect(self.state["database_url"]) as connection:
            return [row[0] for row in connection.execute("select text from note order by text")]

    def database_answers(self) -> bool:
        """Whether a query works now."""
        try:
            self.read()
        except psycopg.OperationalError:
            return False
        return True

    def _is_up(self) -> bool:
        assert self.process.poll() is None, self.process.stdout.read()
        try:
            return bool(self.state["pid"] == self.process.pid)
        except FileNotFoundError:  # not yet there, or its forerunner's, just cleared away
            return False


def lives(process: psutil.Process) -> bool:
    try:
        ended = (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
        return process.is_running() and process.status() not in ended
    except psutil.NoSuchProcess:
        return False
