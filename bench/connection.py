"""HTTP/1.1 over one kept-alive connection, and no more of it than the benchmark needs.

The load generator shares the cores with what it measures: requests are bytes made beforehand, and
an answer's content stays as it came.
"""

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import urlsplit

_END_OF_CHUNKS = b"0\r\n\r\n"
_TIMEOUT_S = 60.0


def request(method: str, path: str, body: object = None) -> bytes:
    """The bytes of a request, with `body` as JSON where there is one."""
    content = b"" if body is None else json.dumps(body).encode()
    head = f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: {len(content)}\r\n"
    if content:
        head += "content-type: application/json\r\n"
    return head.encode() + b"\r\n" + content


@dataclass
class Answer:
    """What came back.

    Attributes:
        content: The body as it came, with the framing of its chunks where it had any.
        arrivals: When each part of it came, on the clock of `time.perf_counter`.
    """

    status: int = 0
    content: bytes = b""
    arrivals: list[tuple[float, bytes]] = field(default_factory=list)

    def arrival_of(self, mark: bytes) -> float:
        """When the first part that holds `mark` came.

        Raises:
            LookupError: none did.
        """
        for moment, part in self.arrivals:
            if mark in part:
                return moment
        raise LookupError(f"no {mark!r} in {self.content[:300]!r}")


class Connection:
    """Asks one thing at a time."""

    def __init__(self, url: str) -> None:
        place = urlsplit(url)
        self._place = (place.hostname or "", place.port or 80)
        self._wire: _Wire | None = None

    async def ask(self, sent: bytes) -> Answer:
        """Send a request and wait for the whole of its answer.

        Raises:
            RuntimeError: the status is not 200, or the connection was lost.
        """
        wire = await self.open()
        answer = await asyncio.wait_for(wire.ask(sent), _TIMEOUT_S)
        if answer.status != 200:
            raise RuntimeError(f"{sent[:80]!r}: {answer.status} {answer.content[:300]!r}")
        return answer

    async def open(self) -> "_Wire":
        """Connect, also anew where the server hung up: it does after 5 s without a request."""
        if self._wire is None or self._wire.is_closed:
            loop = asyncio.get_running_loop()
            _, self._wire = await loop.create_connection(_Wire, *self._place)
        return self._wire

    def close(self) -> None:
        """Hang up."""
        if self._wire is not None:
            self._wire.close()


class _Wire(asyncio.Protocol):
    """One connection, from its start to its end."""

    def __init__(self) -> None:
        self.is_closed = False
        self._transport: asyncio.WriteTransport | None = None
        self._waiting: asyncio.Future[Answer] | None = None
        self._answer = Answer()
        self._head = b""
        self._length: int | None = None

    def ask(self, sent: bytes) -> asyncio.Future[Answer]:
        """Send a request; the future is its answer."""
        assert self._transport is not None
        self._answer, self._head = Answer(), b""
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(sent)
        return self._waiting

    def close(self) -> None:
        """Hang up."""
        assert self._transport is not None
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way to write."""
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        """Take a part of the answer, and hand it over when it is whole."""
        if not self._answer.status:
            self._head += data
            head, end, data = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            self._read_head(head)
        if data:
            self._answer.arrivals.append((time.perf_counter(), data))
        self._answer.content += data
        if self._is_whole() and self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(self._answer)

    def connection_lost(self, error: Exception | None) -> None:
        """Tell whoever waits."""
        self.is_closed = True
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(RuntimeError("the server hung up"))

    def _read_head(self, head: bytes) -> None:
        self._answer.status = int(head[9:12])
        self._length = None
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                self._length = int(line.partition(b":")[2])

    def _is_whole(self) -> bool:
        if self._length is None:
            return self._answer.content.endswith(_END_OF_CHUNKS)
        return len(self._answer.content) >= self._length
