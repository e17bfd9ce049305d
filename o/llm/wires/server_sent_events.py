"""Server-sent events, as their standard says and as providers send them."""

import re
from collections.abc import AsyncIterable, AsyncIterator

from o.llm.bounds import MAX_REPLY_BYTES, ReplyOutOfBounds

_BOM = b"\xef\xbb\xbf"
_LINE_COST_BYTES = 64  # of a line in memory, beside its text
_LINE_END = re.compile(rb"\r\n|\n|\r")


async def event_data(pieces: AsyncIterable[bytes]) -> AsyncIterator[list[bytes]]:
    """The `data:` lines of each event; an event that the end of the stream cuts off counts too.

    Lines end with LF, CRLF or CR; other characters that Python breaks lines at belong to the text.

    Raises:
        ReplyOutOfBounds: A line or an event has more than `MAX_REPLY_BYTES`.
    """
    data: list[bytes] = []
    size = 0
    async for line in _lines(pieces):
        if not line:
            if data:
                yield data
            data, size = [], 0
            continue
        field, _, value = line.partition(b":")
        if field == b"data":
            data.append(value.removeprefix(b" "))
            size += len(value) + _LINE_COST_BYTES
            if size > MAX_REPLY_BYTES:
                raise ReplyOutOfBounds("event")
    if data:
        yield data


async def _lines(pieces: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    rest = bytearray()
    is_first, after_cr = True, False
    async for piece in pieces:
        if after_cr and piece.startswith(b"\n"):  # the second half of a CRLF
            piece = piece[1:]  # noqa: PLW2901
            after_cr = False
        if piece:
            after_cr = piece.endswith(b"\r")
        *ended, left = _LINE_END.split(piece)
        for part in ended:
            line = bytes(rest) + part
            rest.clear()
            yield line.removeprefix(_BOM) if is_first else line
            is_first = False
        rest += left
        if len(rest) > MAX_REPLY_BYTES:
            raise ReplyOutOfBounds("line")
    if rest:
        yield bytes(rest).removeprefix(_BOM) if is_first else bytes(rest)
