"""Ports for what tests start themselves, which nobody else takes meanwhile.

A port that is drawn now is listened on seconds later. Each process that runs tests draws from ports
of its own, none twice, and none that `o up` draws from for its parts.
"""

import itertools
import os

from server.up.ports import is_free

_FIRST = 10_000
_EACH = 2_000
_MOST_PROCESSES = 5
_drawn = itertools.count()


def own_port() -> int:
    """A port on loopback that is free, and stays so until this process listens on it."""
    process = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = _FIRST + process % _MOST_PROCESSES * _EACH
    for n in _drawn:
        port = first + (os.getpid() + n) % _EACH
        if is_free("127.0.0.1", port):
            return port
    raise AssertionError("there are ports without end")
