"""Many readers of streams at once, each with a connection of its own."""

import asyncio
import json
import threading
from collections.abc import Coroutine, Sequence
from concurrent.futures import Future
from typing import Any, Self, TypeVar

from tests.support.product import Product

_Result = TypeVar("_Result")
_AT_A_TIME = 50


class Crowd:
    """Readers of the streams of runs, who read until `[DONE]`."""

    def __init__(self, product: Product) -> None:
        self._port = product.port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._readers: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    def join(self, run_ids: Sequence[str]) -> None:
        """Open a stream for each of these, and read its first event."""
        self._run(self._join(run_ids)).result(60)

    def ends(self) -> Future[list[bytes]]:
        """The last event of each stream, once it has come."""
        return self._run(self._read_on())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Hang up, whatever happened: a thousand connections are too many for the next test."""
        self._run(self._close()).result(60)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, _Result]) -> Future[_Result]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _join(self, run_ids: Sequence[str]) -> None:
        places = asyncio.Semaphore(_AT_A_TIME)

        async def one(run_id: str) -> None:
            async with places:
                self._readers.append(await self._open(run_id))

        await asyncio.gather(*(one(run_id) for run_id in run_ids))

    async def _open(self, run_id: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        body = json.dumps({"include_pings": True}).encode()
        writer.write(
            f"POST /v1/runs/{run_id}/stream HTTP/1.1\r\nhost: 127.0.0.1:{self._port}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode()
            + body
        )
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        await reader.readuntil(b"\n\n")
        return reader, writer

    async def _read_on(self) -> list[bytes]:
        async def end(reader: asyncio.StreamReader) -> bytes:
            last = b""
            while not last.startswith((b"data: [DONE]", b"event: error")):
                lines = (await reader.readuntil(b"\n\n")).split(b"\r\n")
                last = lines[-1]  # behind the length of the chunk
            return last

        return await asyncio.gather(*(end(reader) for reader, _ in self._readers))

    async def _close(self) -> None:
        for _, writer in self._readers:
            writer.close()
