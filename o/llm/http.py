"""HTTP to providers: sessions that judge whom they connect to, and answers read within bounds."""

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
from o.llm.providers.providers import Provider
from o.llm.tracing import received
from o.outbound import OutboundGuard

_CONNECT_S = 10.0
_HEADER_BYTES = 64 * 1024
"""Of one header: gateways put into them what they know, and aiohttp takes an eighth of it."""

_log = logging.getLogger(__name__)


def judge_of(provider: Provider) -> OutboundGuard | None:
    """What judges the connections of a provider; None where all are made.

    A name that operators let clients use is not judged, nor a proxy of the environment, which
    judges by itself.
    """
    guard = provider.guard
    if guard is None or not guard.judges(provider.base_url) or proxy_of(provider.base_url):
        return None
    return guard


class Sessions:
    """The sessions of one event loop, which keep connections: those that are judged are apart."""

    def __init__(self) -> None:
        self._open: dict[OutboundGuard | None, aiohttp.ClientSession] = {}

    def judged_by(self, guard: OutboundGuard | None) -> aiohttp.ClientSession:
        """The session whose connections a guard judges (`judge_of`)."""
        if guard not in self._open:
            self._open[guard] = open_session(guard)
        return self._open[guard]

    async def close(self) -> None:
        """Close the connections. Whoever asks later opens others."""
        opened, self._open = self._open, {}
        for session in opened.values():
            await session.close()


def open_session(guard: OutboundGuard | None) -> aiohttp.ClientSession:
    """A session for the running event loop; how long a call takes in all is its caller's to bound.

    It does not unpack answers: `body_of` does, within bounds.

    Args:
        guard: What judges its connections; None for one that connects to anywhere.
    """
    # Workers limit what runs at once.
    connector = guard.judging_connector(limit=0) if guard else aiohttp.TCPConnector(limit=0)
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S),
        connector=connector,
        auto_decompress=False,
        max_line_size=_HEADER_BYTES,
        max_field_size=_HEADER_BYTES,
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
