"""Every part as a process of its own, as on many machines, so that each is restarted by itself."""

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.support.ports import own_port
from tests.support.product import REPOSITORY, TEST_SETTINGS, Product, eventually, is_alive
from tests.support.provider import FakeProvider
from tests.support.two_apis import Front
from tests.up.stubbed import StubbedProduct

_READY_S = 180.0
_STOP_S = 60.0


class Part:
    """An `o api` or `o worker` that is stopped and started as a rollout does it."""

    def __init__(self, name: str, arguments: list[str], env: dict[str, str], folder: Path) -> None:
        self.name = name
        self._lifeline, self._life = os.pipe()  # it ends with us
        self._arguments = arguments
        self._env = env
        self._log = folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it says that it does its work."""
        report, ready = os.pipe()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "server.cli", *self._arguments],
                cwd=REPOSITORY,
                env=self._env | {"O_READY_FD": str(ready), "O_LIFELINE_FD": str(self._lifeline)},
                stdout=log,
                stderr=log,
                pass_fds=(ready, self._lifeline),
            )
        os.close(ready)
        try:
            assert select.select([report], [], [], _READY_S)[0], f"{self.name} does not start"
            assert os.read(report, 1), self._log.read_text()[-2_000:]
        finally:
            os.close(report)

    def stop(self) -> float:
        """Ask it to end, and wait for that; answers how many seconds it took."""
        began = time.monotonic()
        if self._process is not None:
            self._process.terminate()
            self._process.wait(_STOP_S)
        return time.monotonic() - began


class Rig:
    """PostgreSQL, Temporal, two API processes behind a front, and two workers.

    Attributes:
        product: What the clients see, and the database.
        parts: The names of what can be restarted, in turn.
    """

    def __init__(self, folder: Path, provider: FakeProvider) -> None:
        self._folder = folder
        self._provider = provider
        self._base = StubbedProduct(folder / "o")
        self.product = Product(folder / "o")
        self._ports = (own_port(), own_port())
        self._front = Front(*self._ports)
        self.product.front_port = self._front.port
        self._parts: dict[str, Part] = {}
        self.parts = ("api-1", "worker-1", "api-2", "worker-2", "postgres", "temporal")

    def start(self) -> None:
        """Start everything, and wait until it does its work."""
        folder = self._folder
        self._base.start()
        env = self.product.env | {
            "DATABASE_URL": self._base.state["database_url"],
            "TEMPORAL_ADDRESS": self._base.state["temporal_address"],
            "O_DATA_DIR": str(folder / "o"),
            "OPENAI_API_KEY": "sk-test",
            "OPENAI_BASE_URL": self._provider.url,
            "O_SWEEP_INTERVAL_S": "3",
            **{name: TEST_SETTINGS[name] for name in ("O_DEFAULT_EMBEDDING", "O_SANDBOX_BACKEND")},
        }
        migrate = [sys.executable, "-m", "server.cli", "migrate"]
        subprocess.run(migrate, cwd=REPOSITORY, env=env, check=True, stdout=subprocess.DEVNULL)
        apis = [
            Part(f"api-{n}", ["api", "--port", str(port)], env, folder)
            for n, port in enumerate(self._ports, start=1)
        ]
        workers = [Part(f"worker-{n}", ["worker"], env, folder) for n in (1, 2)]
        self._parts = {part.name: part for part in (*apis, *workers)}
        for part in self._parts.values():
            part.start()

    def restart(self, name: str) -> float:
        """Ask a part to end and start it again; answers how many seconds its end took."""
        part = self._parts.get(name)
        if part is not None:
            took_s = part.stop()
            part.start()
            return took_s
        pid = self._base.pid(name)
        assert pid is not None
        began = time.monotonic()
        os.kill(pid, signal.SIGINT if name == "postgres" else signal.SIGTERM)  # its fast shutdown
        eventually(lambda: not is_alive(pid), within_s=_STOP_S, what=f"the end of {name}")
        took_s = time.monotonic() - began
        eventually(lambda: self._base.pid(name) not in (pid, None), what=f"the return of {name}")
        return took_s

    def stop(self) -> None:
        """End everything."""
        self._front.stop()
        for part in self._parts.values():
            part.stop()
        self._base.clean_up()
