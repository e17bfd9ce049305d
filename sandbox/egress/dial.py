"""Connections of the egress proxy to the world: to the very address that was judged."""

import asyncio
import functools
import socket
from collections.abc import AsyncIterator, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from o.addresses import parse_address
from o.outbound import AddressRefused, OutboundGuard, Resolve

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

_CONNECT_S = 10.0
_ADDRESSES = 4
_THREADS = 16


class Dialer:
    """Looks names up and connects. A name is looked up once for each connection."""

    def __init__(self, allow: Iterable[str], *, resolve: Resolve | None = None) -> None:
        """Make no connection yet.

        Args:
            allow: What `O_SANDBOX_ALLOW` names.
            resolve: How names are looked up, where not by this machine.
        """
        # Their own: names that answer slowly are not to keep the worker's other look-ups waiting.
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="egress-dns")
        self._guard = OutboundGuard(allow, resolve=resolve or self._resolve)

    async def connect(self, host: str, port: int) -> Streams:
        """A connection to a host that tools may reach.

        Raises:
            AddressRefused: None of its addresses is one that they may.
            OSError: It has none, or none answered.
            TimeoutError: All that took longer than ten seconds.
        """
        async with asyncio.timeout(_CONNECT_S):
            found = await self._guard.find(host, port)
            return await self._first_of(host, port, found[:_ADDRESSES])

    async def _first_of(self, host: str, port: int, addresses: list[str]) -> Streams:
        failure: OSError = OSError("none of its addresses answered")
        for address in addresses:
            if _is_of_this_machine(address) and not (
                self._guard.names(host, port) or self._guard.names(address, port)
            ):
                failure = AddressRefused()
                continue
            try:
                return await asyncio.open_connection(address, port)
            except OSError as error:
                failure = error
        raise failure

    async def _resolve(self, host: str, port: int) -> list[str]:
        look_up = functools.partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._threads, look_up)
        return [str(sockaddr[0]) for *_, sockaddr in found]

    def close(self) -> None:
        """Look nothing up any more."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _is_of_this_machine(address: str) -> bool:
    """Whether an address, public as it may be, leads back to this machine.

    What listens here for its neighbours is behind a firewall that such a way would go around.
    The system says from which address it would send there: from that one itself. Nothing is sent.
    """
    parsed = parse_address(address)
    family = socket.AF_INET if parsed.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((str(parsed), 9))
            return parse_address(str(probe.getsockname()[0])) == parsed
    except OSError:
        return False


@asynccontextmanager
async def closing(streams: Streams) -> AsyncIterator[Streams]:
    """The streams, which are closed at the end: with all that was written, unless it fails."""
    writer = streams[1]
    try:
        yield streams
        writer.close()
        await writer.wait_closed()
    finally:
        writer.transport.abort()
