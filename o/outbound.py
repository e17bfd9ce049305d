"""The guard of outbound requests: where a client may have this server send something.

An address is judged when its socket is made, after its name was resolved and for the very address
that is connected to. So neither a name that resolves differently a moment later nor a redirect
comes past it, nor one of the many spellings of an address.
"""

import asyncio
import os
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from o.addresses import is_public, parse_address, parse_allowed

_RESOLVE_S = 2.0

Resolve = Callable[[str, int], Awaitable[Iterable[str]]]
"""The addresses of a host, given its port. Raises OSError when it has none."""


class AddressRefused(OSError):
    """The address is not one that this server sends to.

    It does not say which: where every address of a host is refused, the errors have to be alike for
    one of them to be raised, and clients read what comes of it.
    """

    def __init__(self) -> None:
        super().__init__(0, "The address is not public, and O_OUTBOUND_ALLOW does not name it")


def is_refusal(error: Exception) -> bool:
    """Whether an address was refused when a connection was to be made.

    Of a host that has other addresses as well, this tells of the last one that was tried.
    """
    return isinstance(error, aiohttp.ClientConnectorError) and isinstance(
        error.os_error, AddressRefused
    )


def connection_failure(error: aiohttp.ClientOSError) -> str:
    """Why a connection was not made, in words that name no address.

    The system's own text does, and where a host has several addresses it names them all.
    """
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, socket.gaierror):
        return "its name has no address"
    if isinstance(cause, ssl.CertificateError):
        return "its certificate is not one to be trusted"
    if isinstance(cause, ssl.SSLError):
        return "it does not speak TLS as it should"
    if cause.errno:
        return os.strerror(cause.errno)
    return "none of its addresses answered"


async def _resolve(host: str, port: int) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(sockaddr[0]) for *_, sockaddr in found]


class OutboundGuard:
    """Says where requests may go, and makes the connections of those that do."""

    def __init__(self, allow: Iterable[str] = (), *, resolve: Resolve = _resolve) -> None:
        """Entries of `allow` are what O_OUTBOUND_ALLOW names beside the public addresses."""
        self._allowed = [parse_allowed(entry) for entry in allow]
        self._resolve = resolve

    def allows(self, address: str, port: int) -> bool:
        """Whether something may be sent to this address."""
        return is_public(parse_address(address)) or self.names(address, port)

    def names(self, host: str, port: int) -> bool:
        """Whether an operator has named this host, by its name or its address."""
        try:
            address = parse_address(host)
        except ValueError:
            return self._allows_name(host, port)
        return any(one.fits_address(address, port) for one in self._allowed)

    async def find(self, host: str, port: int) -> list[str]:
        """The addresses of a host that may be sent to, which is what is to be connected to.

        Raises:
            AddressRefused: None of them may.
            OSError: It has none.
        """
        found = [str(address) for address in await self._resolve(host, port)]
        if self._allows_name(host, port):
            return found
        allowed = [address for address in found if self.allows(address, port)]
        if found and not allowed:
            raise AddressRefused
        return allowed

    async def refusal(self, url: str) -> str | None:
        """Why nothing may be sent to a URL that is well formed, None when something may.

        Its host is looked up. One that has no address now may have one later, and is not refused:
        what counts is the connection.
        """
        host, port = _place(url)
        if self._allows_name(host, port):
            return None
        try:
            found = await asyncio.wait_for(self._resolve(host, port), _RESOLVE_S)
        except (OSError, UnicodeError, TimeoutError):
            return None
        if any(self.allows(address, port) for address in found):
            return None
        return f"{host} is no public address; an operator may name it in O_OUTBOUND_ALLOW"

    def connector(self, url: str) -> aiohttp.TCPConnector:
        """What a session that sends to this URL alone connects by.

        Proxies of the environment are not used.
        """
        return self.judging_connector() if self.judges(url) else aiohttp.TCPConnector()

    def judges(self, url: str) -> bool:
        """Whether the address of a URL's host counts: its name does where an operator named it."""
        return not self._allows_name(*_place(url))

    def judging_connector(self, *, limit: int = 100) -> aiohttp.TCPConnector:
        """What judges each address that it connects to, `limit` at once or, with 0, any number.

        Connecting raises `aiohttp.ClientConnectorError` with an `AddressRefused` where no address
        of the host will do.
        """
        return aiohttp.TCPConnector(socket_factory=self._socket, use_dns_cache=False, limit=limit)

    def _allows_name(self, host: str, port: int) -> bool:
        return any(one.fits_name(host, port) for one in self._allowed)

    def _socket(self, address: Any) -> socket.socket:
        family, kind, protocol, _, sockaddr = address
        if not self.allows(str(sockaddr[0]), int(sockaddr[1])):
            raise AddressRefused
        return socket.socket(family, kind, protocol)


def _place(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return (parts.hostname or "").rstrip("."), parts.port or (
        443 if parts.scheme == "https" else 80
    )
