"""File descriptors: a process has so many, and each connection takes one."""

import contextlib
import logging
import resource
import socket
import time

_log = logging.getLogger(__name__)

_WANTED = 65_536
_NEAR = 0.8
_RESERVE = 32  # for the database, Temporal and files: without them no connection can be served
_SILENCE_S = 60.0


def raise_limit() -> int:
    """Let this process open as many files as the system lets it; answers how many that is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _WANTED if hard == resource.RLIM_INFINITY else min(hard, _WANTED)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


class Descriptors:
    """Watches how near this process is to its limit, by the number that each connection gets.

    The system gives the lowest number that is free, so a high one says that all below are taken.
    """

    def __init__(self, limit: int | None = None) -> None:
        """The limit of this process, unless one is given."""
        self._limit = limit
        self._warned_at = -_SILENCE_S

    def admit(self, connection: socket.socket) -> bool:
        """Whether there is room for a connection; warns when there is little, once a minute."""
        if self._limit is None:
            self._limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        number = connection.fileno()
        if self._limit == resource.RLIM_INFINITY or number < self._limit * _NEAR:
            return True
        if time.monotonic() - self._warned_at >= _SILENCE_S:
            self._warned_at = time.monotonic()
            _log.warning(
                "few file descriptors are left; raise the limit (ulimit -n)",
                extra={"open": number, "limit": self._limit},
            )
        return number < self._limit - _RESERVE
