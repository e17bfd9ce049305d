"""One connection of HTTP: how much it may hold, and how long it may take over a request.

uvicorn has no bound on heads, trailers and what stands between the pieces of a body, and waits for
ever for the rest of a request. All of it is before anybody is asked for a token.
"""

import asyncio
import json
import logging
from enum import Enum
from http import HTTPStatus
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.edge.descriptors import Descriptors

_log = logging.getLogger(__name__)


class _Phase(Enum):
    IDLE = "nothing of a request has come, or all of it"
    HEAD = "its head is coming"
    BODY = "its body is coming"


class _TooMuch(Exception):
    """Stops the parser: the head, or what stands behind a body, is too big."""


class _Lingering:
    """What an answer is written to: it is closed when its client has had time to read."""

    def __init__(self, connection: "BoundedConnection") -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection.transport, name)

    def close(self) -> None:
        """Close the connection, late where a body still comes."""
        self._connection.close_behind(self)


class BoundedConnection(HttpToolsProtocol):
    """uvicorn's protocol with bounds.

    Attributes:
        max_head_bytes: Of the request line and all headers; what is over it is 431. Also of what
            may come without any of the body in it: trailers, and what extends chunks.
        head_s: Seconds from the first byte of a request to the end of its head; then 408.
        body_s: Seconds that a body has in any case.
        body_bytes_per_s: It has a second more for each so many bytes that came.
        linger_s: How long a client that was refused may go on sending, so that it reads why.
    """

    max_head_bytes = 64 * 1024
    head_s = 20.0
    body_s = 20.0
    body_bytes_per_s = 16 * 1024
    linger_s = 2.0
    descriptors = Descriptors()

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._phase = _Phase.IDLE
        self._since = 0.0
        self._head_bytes = 0
        self._body_bytes = 0
        self._offering = b""  # a head that is parsed again, without the protocol that it offers
        self._fruitless = 0  # bytes since the parser last had something to show for them
        self._timer: asyncio.TimerHandle | None = None
        self._refused = False
        self._is_leaving = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, unless descriptors run out; close it if it never says anything."""
        super().connection_made(transport)
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )
        if not self.descriptors.admit(transport.get_extra_info("socket")):
            self._refuse(503, "The server has too many connections; try again.", linger_s=0)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of the timer."""
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, and look at how much and how slowly it comes."""
        if self._refused:
            return
        if self._phase is _Phase.IDLE:
            self._enter(_Phase.HEAD)
        self._fruitless += len(data)
        self._parse(data)
        if self._refused or self.transport.is_closing() or self._phase is _Phase.IDLE:
            return
        if self._fruitless > self.max_head_bytes:
            self._refuse(431, self._too_much())
        elif self._timer is None:
            self._check_pace()

    def _parse(self, data: bytes) -> None:
        """Parse what came, though a request in it offers another protocol.

        The parser stops behind the head of such a request, and takes its body for the other
        protocol. RFC 9110 (7.8) lets a server ignore the offer: so another parser, since this one
        may have ended, gets the head without the offer, and what is behind it. Of a tunnel
        (CONNECT), which is refused, what is behind the head is read as the next request.
        """
        self._unset_keepalive_if_required()
        rest = memoryview(data)
        while rest or self._offering:
            head, self._offering = self._offering, b""
            try:
                for piece in (head, rest):
                    if piece:
                        self.parser.feed_data(piece)
            except httptools.HttpParserUpgrade as offer:
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn
                rest = rest[offer.args[0] :]
            except httptools.HttpParserError:
                self.send_400_response("Invalid HTTP request received.")
                return
            else:
                return

    def on_message_begin(self) -> None:
        """A request begins, perhaps in the middle of what came."""
        super().on_message_begin()
        self._enter(_Phase.HEAD)

    def on_url(self, url: bytes) -> None:
        """Count the address."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header, or a trailer."""
        self._count(len(name) + len(value) + 4)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is here and small enough: the application may have it."""
        method = self.parser.get_method()
        if self.parser.should_upgrade() and method != b"CONNECT":  # which is no offer
            version = self.parser.get_http_version().encode()
            self._offering = b"%b %b HTTP/%b\r\n" % (method, self.url, version)
            kept = ((name, value) for name, value in self.headers if name != b"upgrade")
            self._offering += b"".join(b"%b: %b\r\n" % one for one in kept) + b"\r\n"
            return
        self._enter(_Phase.BODY)
        super().on_headers_complete()
        self.cycle.transport = _Lingering(self)  # type: ignore[assignment]
        if self._is_leaving:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """Count a piece of the body."""
        self._fruitless = 0
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Nothing of this request is missing."""
        if self._offering:
            return
        self._enter(_Phase.IDLE)
        super().on_message_complete()

    def shutdown(self) -> None:
        """Take one more request at most, and say with its answer that the connection ends.

        uvicorn would close connections without a request at once, though one may be on its way,
        or half of it here.
        """
        self._is_leaving = True
        if not self._is_idle:
            self.cycle.keep_alive = False

    def close_idle(self) -> None:
        """Close the connection if nothing of a request has come that is not answered."""
        if self._phase is _Phase.IDLE and self._is_idle:
            self.transport.close()

    @property
    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def send_400_response(self, msg: str) -> None:
        """Say in V1's form what is wrong with a request that cannot be parsed."""
        if self._head_bytes > self.max_head_bytes:
            self._refuse(431, self._too_much())
        else:
            self._refuse(400, msg)

    def _enter(self, phase: _Phase) -> None:
        self._phase = phase
        self._since = self.loop.time()
        self._fruitless = self._body_bytes = 0
        if phase is not _Phase.BODY:  # trailers count as a part of the head
            self._head_bytes = 0

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > self.max_head_bytes:
            raise _TooMuch

    def _too_much(self) -> str:
        return f"The headers are larger than {self.max_head_bytes} bytes."

    def _check_pace(self) -> None:
        """Refuse what is too slow, else look again when it may be."""
        self._timer = None
        if self._refused or self._phase is _Phase.IDLE or self.transport.is_closing():
            return
        now = self.loop.time()
        if self.flow.read_paused:  # it is the application that takes its time
            self._since = now
        left = self._since + self._allowed_s() - now
        if left > 0:
            # Soon enough to see that the application has answered and reads no more.
            self._timer = self.loop.call_later(min(left, self.body_s), self._check_pace)
        else:
            self._refuse(408, "The request did not come to its end in time.")

    def _allowed_s(self) -> float:
        if self._phase is _Phase.HEAD:
            return self.head_s
        if self.cycle.response_complete:  # nobody reads the rest of this body
            return self.body_s
        return self.body_s + self._body_bytes / self.body_bytes_per_s

    def _refuse(self, status: int, detail: str, *, linger_s: float | None = None) -> None:
        """Answer and close, however far the application is with the request.

        A connection that is closed while its client still sends is reset, and its client may never
        read the answer; so what comes for a while longer is read and dropped.
        """
        self._refused = True
        self._unset_keepalive_if_required()
        client = self.client[0] if self.client else None
        _log.warning("request refused", extra={"status": status, "client": client})
        if not self._leave_application():
            self.transport.close()
            return
        body = json.dumps({"detail": detail}).encode()
        phrase = HTTPStatus(status).phrase
        self.transport.write(
            f"HTTP/1.1 {status} {phrase}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n".encode()
            + body
        )
        self._close_late(self.linger_s if linger_s is None else linger_s)

    def close_behind(self, answer: object) -> None:
        """Close behind an answer, which a client that still sends its body is to read."""
        is_last = self.cycle.transport is answer and not self.pipeline
        if is_last and self._phase is _Phase.BODY and not self._refused:
            self._refused = True
            self._close_late(self.linger_s)
        else:
            self.transport.close()

    def _close_late(self, linger_s: float) -> None:
        if linger_s > 0 and self.transport.can_write_eof():
            self.transport.write_eof()
            self.flow.resume_reading()
            self.loop.call_later(linger_s, self.transport.abort)
        else:
            self.transport.close()

    def _leave_application(self) -> bool:
        """Have the application see a client that is gone; whether an answer can still be given."""
        if self.cycle is None or self.cycle.response_complete:
            return not self.pipeline
        self.cycle.disconnected = True
        self.cycle.message_event.set()
        return not self.cycle.response_started
