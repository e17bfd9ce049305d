"""What a model call sent and received, for whoever asks to see it (`GET /v1/steps/{id}/trace`).

The wires tell whatever passes them; nothing is kept unless a call is made within `tracing`.
Headers, and so keys, are never told.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from pydantic import SecretStr

_MOST_REQUEST_BYTES = 8 * 1024 * 1024
_MOST_RESPONSE_BYTES = 160 * 1024  # as JSON it is a little more
_MOST_EXCHANGES = 4


class BoundedBytes:
    """The beginning and the end of what may be long.

    Attributes:
        length: How long it is in all.
    """

    def __init__(self, most: int) -> None:
        self._head_bytes, self._tail_bytes = most * 3 // 4, most // 4
        self._head, self._tail = bytearray(), bytearray()
        self.length = 0

    def add(self, piece: bytes) -> None:
        """Take more of it."""
        self.length += len(piece)
        room = self._head_bytes - len(self._head)
        if room > 0:
            self._head += piece[:room]
            piece = piece[room:]
        self._tail += piece
        if len(self._tail) > 2 * self._tail_bytes:  # now and then: each time would copy it all
            del self._tail[: -self._tail_bytes]

    @property
    def is_whole(self) -> bool:
        """Whether nothing was left out."""
        return self.length == len(self._head) + len(self._tail)

    def parts(self) -> tuple[bytes, bytes]:
        """The beginning and the end; the end follows the beginning where it is whole."""
        return bytes(self._head), bytes(self._tail)


@dataclass
class Exchange:
    """One HTTP request and its answer, as far as it came.

    Attributes:
        request: The body as it was sent, or the beginning of a very long one.
        request_bytes: How long it is in all.
        status: Of the answer, None where none came.
    """

    request: bytes
    request_bytes: int
    status: int | None = None
    response: BoundedBytes = field(default_factory=lambda: BoundedBytes(_MOST_RESPONSE_BYTES))


@dataclass
class CallTrace:
    """One model call: as a rule one exchange, more where it was asked again or elsewhere.

    Attributes:
        exchanges: The newest last; of many, the newest ones.
        count: How many there were in all.
        secrets: What is to be taken out of all that is kept.
    """

    exchanges: list[Exchange] = field(default_factory=list)
    count: int = 0
    secrets: set[str] = field(default_factory=set)


_current: ContextVar[CallTrace | None] = ContextVar("call_trace", default=None)


@contextmanager
def tracing() -> Iterator[CallTrace]:
    """Keep what is sent and received while the block lasts, in its tasks too."""
    trace = CallTrace()
    token = _current.set(trace)
    try:
        yield trace
    finally:
        _current.reset(token)


def sent(body: bytes, *secrets: SecretStr | None) -> None:
    """Tell of a request.

    Args:
        body: As it is sent.
        secrets: What the provider is asked with, and may repeat in its answer.
    """
    if (trace := _current.get()) is None:
        return
    kept = body if len(body) <= _MOST_REQUEST_BYTES else body[:_MOST_REQUEST_BYTES]
    trace.exchanges.append(Exchange(kept, len(body)))
    del trace.exchanges[:-_MOST_EXCHANGES]
    trace.count += 1
    trace.secrets.update(secret.get_secret_value() for secret in secrets if secret)


def received(status: int, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Tell of the answer to the newest request, and pass its body on while it is read."""
    trace = _current.get()
    if trace is None or not trace.exchanges:
        return pieces
    exchange = trace.exchanges[-1]
    exchange.status = status
    return _kept(exchange.response, pieces)


async def _kept(response: BoundedBytes, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for piece in pieces:
        response.add(piece)
        yield piece
