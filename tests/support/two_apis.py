"""A second API process beside the product's own, and a front that gives each connection the other.

`O_TEST_API_PROCESSES=2` has every test of the shared product go through it, so that what one
process accepted is asked for at the other one.
"""

import asyncio
import contextlib
import itertools
import os
import subprocess
import sys
import threading

import httpx

from tests.support.ports import own_port
from tests.support.product import REPOSITORY, Product, eventually

_CHUNK = 65_536
_PATIENCE_S = 20.0


class AnotherApi:
    """`o api` on a port of its own, beside those of a product; it serves once this is made.

    It writes into the same log, and shows its measures with the others.
    """

    def __init__(self, product: Product, program: str = "server.cli", **settings: str) -> None:
        """Start it, with settings beside those of the product; `program` is what it runs."""
        self.port = own_port()
        self.url = f"http://127.0.0.1:{self.port}"
        environment = product.env | {
            "DATABASE_URL": product.state["database_url"],
            "TEMPORAL_ADDRESS": product.state["temporal_address"],
            "O_DATA_DIR": str(product.data_dir),
            "O_TEMPORAL_UI_URL": str(product.state["temporal_ui"]),
            "O_METRICS_DIR": str(product.data_dir / "metrics"),
            "O_API_PROCESSES": "1",
        }
        log = product.data_dir / "logs" / "api.log"
        lifeline, self._life = os.pipe()  # it ends with the tests
        with log.open("ab") as end:
            self.process = subprocess.Popen(
                [sys.executable, "-m", program, "api", "--port", str(self.port)],
                cwd=REPOSITORY,
                env=environment | settings | {"O_LIFELINE_FD": str(lifeline)},
                stdout=end,
                stderr=end,
                pass_fds=(lifeline,),
            )
        os.close(lifeline)
        eventually(self._is_ready, within_s=120, what="another API")

    def stop(self) -> None:
        """End it as a container is ended."""
        self.process.terminate()
        self.process.wait(20)
        os.close(self._life)

    def _is_ready(self) -> bool:
        assert self.process.poll() is None
        with contextlib.suppress(httpx.HTTPError):
            return bool(httpx.get(f"{self.url}/v1/ready/").json().get("temporal") == "ok")
        return False


class Front:
    """Gives each connection the next of some ports, as a proxy would.

    A port where nobody listens is passed over; where nobody listens on any, that is waited for.

    Attributes:
        port: Where it is asked.
    """

    def __init__(self, *ports: int) -> None:
        self._turns = itertools.cycle(ports)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.port = own_port()
        starting = asyncio.start_server(self._pass_on, "127.0.0.1", self.port)
        asyncio.run_coroutine_threadsafe(starting, self._loop).result(10)

    def stop(self) -> None:
        """End it, and what passes through it."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    async def _end(self) -> None:
        passing = asyncio.all_tasks() - {asyncio.current_task()}
        for task in passing:
            task.cancel()
        await asyncio.gather(*passing, return_exceptions=True)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await self._connected()
        except OSError:
            writer.close()
            return
        asking = asyncio.create_task(_copy(reader, back))
        with contextlib.suppress(asyncio.CancelledError):  # the front ends
            await _copy(there, writer)
        # Who asks more after the server's last word is to see that nobody listens.
        asking.cancel()
        writer.close()
        back.close()

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        limit = self._loop.time() + _PATIENCE_S
        while True:
            try:
                return await asyncio.open_connection("127.0.0.1", next(self._turns))
            except ConnectionRefusedError:
                if self._loop.time() > limit:
                    raise
                await asyncio.sleep(0.02)


class TwoApis:
    """Runs both until `stop`; afterwards `product.url` is the front."""

    def __init__(self, product: Product) -> None:
        self._second = AnotherApi(product)
        self._front = Front(product.port, self._second.port)
        product.front_port = self._front.port

    def stop(self) -> None:
        """End the second API and the front."""
        self._second.stop()
        self._front.stop()


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):  # either side has gone
        while piece := await source.read(_CHUNK):
            sink.write(piece)
            await sink.drain()
        if sink.can_write_eof():
            sink.write_eof()
