"""A provider on loopback that takes every request and never answers it."""

import asyncio
import threading
from contextlib import suppress


class HangingProvider:
    """Accepts connections, reads what is asked, and says nothing, to the last.

    Attributes:
        waiting: How many model calls wait for an answer now; one that was hung up does not.
    """

    def __init__(self) -> None:
        self.waiting = 0
        self._port = 0
        self._loop = asyncio.new_event_loop()
        self._listens = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Listen on a free port."""
        self._thread.start()
        assert self._listens.wait(10)

    def stop(self) -> None:
        """Hang up on everybody."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    @property
    def url(self) -> str:
        """What a provider's base URL is set to."""
        return f"http://127.0.0.1:{self._port}/v1"

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            asyncio.start_server(self._take, "127.0.0.1", 0, backlog=1000)
        )
        self._port = server.sockets[0].getsockname()[1]
        self._listens.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        is_call = b"completions" in await reader.readline()
        self.waiting += is_call
        try:
            with suppress(ConnectionError):
                while await reader.read(65_536):
                    pass
        finally:
            self.waiting -= is_call
            writer.close()
