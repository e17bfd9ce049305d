"""HTTP to providers: one session for each process, and answers that are read within bounds."""

import logging
from collections.abc import AsyncIterator
from functools import cache
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp

from o.llm.bounds import (
    ACCEPT_ENCODING,
    MAX_ERROR_BYTES,
    MAX_REPLY_BYTES,
    ReplyOutOfBounds,
    UnknownEncoding,
    unpacked,
)
from o.llm.tracing import received

_CONNECT_S = 10.0
_log = logging.getLogger(__name__)


def open_session(connector: aiohttp.TCPConnector | None = None) -> aiohttp.ClientSession:
    """A session for the running event loop; how long a call takes in all is its caller's to bound.

    It does not unpack answers: `body_of` does, within bounds.

    Args:
        connector: What connections are made by; None for one that connects to anywhere.
    """
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S),
        connector=connector or aiohttp.TCPConnector(limit=0),  # workers limit what runs at once
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),  # what one organization is given is not for others
        headers={"Accept-Encoding": ACCEPT_ENCODING},
    )


@cache  # aiohttp itself would look it up for every request, which takes as long as asking
def proxy_of(base_url: str) -> str | None:
    """The proxy that the environment names for a provider."""
    url = urlsplit(base_url)
    return None if proxy_bypass(url.hostname or "") else getproxies().get(url.scheme)


def body_of(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """The body of an answer in pieces, unpacked.

    Raises:
        ReplyOutOfBounds: It is longer than a stream may be.
        UnknownEncoding: It cannot be unpacked.
    """
    encoding = response.headers.get("Content-Encoding", "")
    return received(response.status, unpacked(response.content.iter_any(), encoding))


async def whole_body(pieces: AsyncIterator[bytes]) -> bytes:
    """A body at once.

    Raises:
        ReplyOutOfBounds: It is longer than a reply may be.
    """
    body = bytearray()
    async for piece in pieces:
        body += piece
        if len(body) > MAX_REPLY_BYTES:
            raise ReplyOutOfBounds
    return bytes(body)


async def error_text(response: aiohttp.ClientResponse) -> str:
    """What a refusal says, as far as it is worth reading."""
    body = bytearray()
    try:
        async for piece in body_of(response):
            body += piece
            if len(body) > MAX_ERROR_BYTES:
                break
    except (ReplyOutOfBounds, UnknownEncoding) as error:
        _log.debug("an error of a provider is unreadable", extra={"error": type(error).__name__})
    return body[:MAX_ERROR_BYTES].decode("utf-8", "replace")
