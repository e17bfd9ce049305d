"""TCP ports on this machine: whether one is taken, and one that will stay free."""

import random
import socket

from o.errors import Conflict

_RANGE = range(20_000, 30_000)
"""Below what systems hand out for outgoing connections: a port from there could be given away
while its server restarts, or even be connected to itself by a client that tries again."""


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
