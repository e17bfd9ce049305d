"""A second API process beside the product's own, and a front that gives each connection the other.

`O_TEST_API_PROCESSES=2` has every test of the shared product go through it, so that what one
process accepted is asked for at the other one.
"""

import asyncio
import contextlib
import itertools
import subprocess
import sys
import threading

import httpx

from server.up.ports import free_port
from tests.support.product import REPOSITORY, Product, eventually

_CHUNK = 65_536


class TwoApis:
    """Runs both until `stop`; afterwards `product.url` is the front."""

    def __init__(self, product: Product) -> None:
        self._ports = (product.port, free_port())
        environment = product.env | {
            "DATABASE_URL": product.state["database_url"],
            "TEMPORAL_ADDRESS": product.state["temporal_address"],
            "O_DATA_DIR": str(product.data_dir),
        }
        self._second = subprocess.Popen(
            [sys.executable, "-m", "server.cli", "api", "--port", str(self._ports[1])],
            cwd=REPOSITORY,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._loop = asyncio.new_event_loop()
        self._turns = itertools.cycle(self._ports)
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        port = free_port()
        starting = asyncio.start_server(self._pass_on, "127.0.0.1", port)
        asyncio.run_coroutine_threadsafe(starting, self._loop).result(10)
        eventually(self._is_ready, what="the second API")
        product.front_port = port

    def stop(self) -> None:
        """End the second API and the front."""
        self._second.terminate()
        self._second.wait(20)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _is_ready(self) -> bool:
        assert self._second.poll() is None
        with contextlib.suppress(httpx.HTTPError):
            address = f"http://127.0.0.1:{self._ports[1]}/v1/ready/"
            return bool(httpx.get(address).json().get("temporal") == "ok")
        return False

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", next(self._turns))
        with contextlib.suppress(ConnectionError):
            await asyncio.gather(_copy(reader, back), _copy(there, writer))
        for one in (writer, back):
            one.close()


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while piece := await source.read(_CHUNK):
        sink.write(piece)
        await sink.drain()
    if sink.can_write_eof():
        sink.write_eof()
