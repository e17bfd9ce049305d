"""The API's server, and how it takes its leave of those who still read or wait."""

import asyncio
import contextlib
import math
import socket
import sys

import uvicorn
from fastapi import FastAPI

from api.edge.connection import BoundedConnection

_LEAVE_S = 1.0
"""Seconds in which streams say how to resume, once those under way have had their time."""
_LINGER_S = 0.5


class _Server(uvicorn.Server):
    """Ends what goes on in good order: streams with a word on how to resume, sends with 503.

    Most turns are over within the first seconds of a shutdown, and are answered as ever. So are
    requests that come on connections which are there: a client that sends a request just when its
    idle connection is closed cannot know whether it was read.
    """

    def __init__(self, config: uvicorn.Config, app: FastAPI, drain_s: float) -> None:
        super().__init__(config)
        self._app = app
        self._drain_s = drain_s

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn does, which breaks off at the end of its grace what has not ended by then."""
        later = asyncio.get_running_loop().call_later
        idle = later(min(_LINGER_S, self._drain_s), self._close_idle)
        leaving = later(self._drain_s, self._app.state.take_leave)
        await super().shutdown(sockets)
        idle.cancel()
        leaving.cancel()

    def _close_idle(self) -> None:
        for connection in list(self.server_state.connections):
            if isinstance(connection, BoundedConnection):
                connection.close_idle()


def serve(
    app: FastAPI, config: uvicorn.Config, *, drain_s: float, sockets: list[socket.socket]
) -> None:
    """Serve until a signal comes. Exits with an error when the start fails.

    Args:
        app: The API, whose state holds `take_leave` once it is started.
        config: Of that application.
        drain_s: Seconds that requests under way may take to end after the signal.
        sockets: What to serve on, instead of the address in `config`; may be empty.
    """
    config.timeout_graceful_shutdown = math.ceil(drain_s + _LEAVE_S)
    server = _Server(config, app, drain_s)
    with contextlib.suppress(KeyboardInterrupt):  # the signal that ended it, raised once more
        server.run(sockets or None)
    if not server.started:
        sys.exit(3)  # as uvicorn by itself
