"""How much of a provider's answer is taken, counted unpacked, and what is wrong with more."""

import asyncio
import zlib
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator

from o.process_memory import Returner

MAX_REPLY_BYTES = 8 * 1024 * 1024
"""Of a whole answer, of one line or event of a stream, and of what a stream says in all. The
longest replies of today's models are a tenth of it."""

MAX_STREAM_BYTES = 16 * MAX_REPLY_BYTES
"""Of a stream as it is sent, with all that is around each word."""

MAX_ERROR_BYTES = 64 * 1024
"""Of the text of a refusal; the rest is not read."""

MAX_CALLS = 128
"""Tool calls in one reply: each is an activity, and their list travels through Temporal."""

MAX_NAME_CHARS = 256
MAX_ID_CHARS = 16_384
"""Of a tool call. Some gateways put signatures of kilobytes into ids."""

_LARGE_BYTES = 1024 * 1024
"""An answer of this size leaves much memory behind, which is then given back."""

ACCEPT_ENCODING = "gzip"
_UNPACKED_AT_ONCE = 64 * 1024
_memory = Returner()
_GZIP_OR_ZLIB = 47
_GZIP_START = b"\x1f"


class ReplyOutOfBounds(ValueError):
    """An answer is larger than is taken; the message says what of it."""

    def __init__(self, what: str = "answer") -> None:
        super().__init__(f"its {what} is larger than {MAX_REPLY_BYTES >> 20} MB")


class UnknownEncoding(ValueError):
    """An answer is packed in a way that was not asked for, or is not what it says."""


def give_memory_back() -> None:
    """Have what an answer out of bounds took go back to the system a little later.

    An error keeps what it was raised in for a while, so that a body that is not read to its end
    may not know that it is done with.
    """
    _memory.give_back_soon()


async def unpacked(
    pieces: AsyncIterable[bytes], encoding: str, *, at_most: int = MAX_STREAM_BYTES
) -> AsyncIterator[bytes]:
    """The pieces of a body without its content encoding, none of them large.

    Raises:
        ReplyOutOfBounds: There are more than `at_most` bytes.
        UnknownEncoding: It is not gzip, deflate or plain.
    """
    unpack = _unpacker(encoding)
    count = 0
    try:
        async for piece in pieces:
            for part in unpack(piece):
                count += len(part)
                if count > at_most:
                    raise ReplyOutOfBounds
                yield part
                if len(part) == _UNPACKED_AT_ONCE:  # much may lie in a little: others have a turn
                    await asyncio.sleep(0)
    finally:
        if count > _LARGE_BYTES:
            _memory.give_back_soon()


def _unpacker(encoding: str) -> Callable[[bytes], Iterable[bytes]]:
    match encoding.strip().lower():
        case "" | "identity":
            return lambda piece: (piece,)
        case "gzip" | "x-gzip" | "deflate":
            return _Gzip()
        case other:
            raise UnknownEncoding(
                f"its answer is packed as {other[:40]!r}, which was not asked for"
            )


class _Gzip:
    """Undoes gzip or zlib, a little at a time: 300 kB may hold 300 MB."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(_GZIP_OR_ZLIB)

    def __call__(self, piece: bytes) -> Iterator[bytes]:
        while True:
            if self._inflate.eof:
                if not piece.startswith(_GZIP_START):  # padding, not another member
                    return
                self._inflate = zlib.decompressobj(_GZIP_OR_ZLIB)
            try:
                part = self._inflate.decompress(piece, _UNPACKED_AT_ONCE)
            except zlib.error as error:
                raise UnknownEncoding("its answer is not packed as it says") from error
            if part:
                yield part
            piece = self._inflate.unused_data or self._inflate.unconsumed_tail
            if not piece and len(part) < _UNPACKED_AT_ONCE:
                return
