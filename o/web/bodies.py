"""Bodies of answers, read within bounds of size, also once they are unpacked."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp

from o.errors import ToolFailed

ACCEPTED_ENCODINGS = "gzip, deflate"
_CHUNK = 64 * 1024
_PACKED = {"gzip", "x-gzip", "deflate"}

_Unpack = Callable[[bytes, int], bytes]
"""What is in a piece of a body, up to a number of bytes."""


@dataclass(frozen=True)
class Body:
    """The bytes of an answer, unpacked; `is_cut` where there were more than may be read."""

    data: bytes
    is_cut: bool


async def read_body(response: aiohttp.ClientResponse, *, most: int) -> Body:
    """Read an answer of a session that unpacks nothing itself.

    Args:
        response: Its head is here.
        most: Bytes at which reading ends, of what comes and of what it is unpacked to.

    Raises:
        ToolFailed: It is packed in a way that was not offered, or wrongly.
        aiohttp.ClientError: The connection broke.
    """
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding in {"", "identity"}:
        unpack: _Unpack = _as_it_is
    elif encoding in _PACKED:
        unpack = _unpacking()
    else:
        raise ToolFailed(f"The page cannot be read: it is packed as {encoding[:40]!r}.")
    data = bytearray()
    came = 0
    async for chunk in response.content.iter_chunked(_CHUNK):
        came += len(chunk)
        data += unpack(chunk, most + 1 - len(data))
        if max(len(data), came) > most:
            return Body(bytes(data[:most]), is_cut=True)
    return Body(bytes(data), is_cut=False)


def _as_it_is(chunk: bytes, most: int) -> bytes:
    return chunk


def _unpacking() -> _Unpack:
    stream = None

    def unpack(chunk: bytes, most: int) -> bytes:
        nonlocal stream
        if stream is None:
            # Some send deflate without the header that it is to have.
            stream = zlib.decompressobj(47 if _has_header(chunk) else -zlib.MAX_WBITS)
        try:
            return stream.decompress(stream.unconsumed_tail + chunk, most)
        except zlib.error:
            raise ToolFailed("The page cannot be read: it is packed wrongly.") from None

    return unpack


def _has_header(chunk: bytes) -> bool:
    """Whether this is the beginning of gzip or zlib."""
    return chunk[:1] == b"\x1f" or (len(chunk) > 1 and int.from_bytes(chunk[:2]) % 31 == 0)
