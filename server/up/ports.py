"""TCP ports on this machine: whether one is taken, and one that will stay free."""

import contextlib
import errno
import random
import socket
from collections.abc import Iterator
from typing import Any

from o.errors import Conflict

_Address = tuple[int, Any]
"""A family, and where to bind in it."""

_RANGE = range(20_000, 30_000)
"""Below what systems hand out for outgoing connections: a port from there could be given away
while its server restarts, or even be connected to itself by a client that tries again."""
MOST_ADDRESSES = 8
"""A name may have more; a process is handed so many sockets."""


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen on `host` and `port` now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def claim(host: str, port: int | None, variable: str) -> int:
    """The port to listen on: `port` when the operator chose one, or else a free one.

    Raises:
        Conflict: somebody listens there; the message names `variable`.
    """
    if not port:
        return free_port(host)
    if not is_free(host, port):
        raise Conflict(f"port {port} on {host} is taken: set {variable} to another one")
    return port


def bind(host: str, port: int, *, variables: str = "") -> list[socket.socket]:
    """Take the port on every address that `host` has, for the processes that will listen there.

    Nobody listens yet, so whoever connects is refused. Once one process listens on a socket, its
    death refuses nobody: connections wait in it for the next one, as long as one has it open.

    Args:
        host: A name or an address.
        port: 0 for any that is free.
        variables: What sets them, for the error; empty where the operator knows.

    Raises:
        Conflict: an address is taken, or is none of this machine's.
    """
    found: list[socket.socket] = []
    try:
        for family, address in _addresses(host, port):
            with _left_out():
                found.append(_bound(family, address))
        if not found:
            raise OSError(errno.EADDRNOTAVAIL, "no such address on this machine")
    except OSError as error:
        for one in found:
            one.close()
        said = f" ({variables})" if variables else ""
        raise Conflict(f"cannot listen on {host}, port {port}{said}: {error.strerror}") from None
    return found


def free_port(host: str = "127.0.0.1") -> int:
    """A port nobody listens on, drawn at random so that two supervisors rarely meet.

    Raises:
        Conflict: none was found.
    """
    for _ in range(200):
        port = random.choice(_RANGE)  # noqa: S311 - no secret
        if is_free(host, port):
            return port
    raise Conflict(f"no free port between {_RANGE.start} and {_RANGE.stop} on {host}")


def reachable_host(host: str) -> str:
    """Where a client on this machine finds a server that binds to `host`, ready for a URL."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"[{host}]" if ":" in host else host


def _addresses(host: str, port: int) -> list[_Address]:
    """Each address once, no more than a process can be handed sockets for."""
    resolved = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=socket.AI_PASSIVE
    )
    found = [(int(family), address) for family, _, _, _, address in resolved]
    return list(dict.fromkeys(found))[:MOST_ADDRESSES]


@contextlib.contextmanager
def _left_out() -> Iterator[None]:
    """Do without an address that the system does not have: `::1` of `localhost`, say."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
            raise


def _bound(family: int, address: Any) -> socket.socket:
    one = socket.socket(family, socket.SOCK_STREAM)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:  # each family has a socket of its own
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.bind(address)
    except OSError:
        one.close()
        raise
    return one
