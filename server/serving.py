"""The API's server, and how it takes its leave of those who still read or wait."""

import asyncio
import contextlib
import socket
import sys

import uvicorn
from fastapi import FastAPI

_GRACE_S = 3
_LEAVE_S = 2.0


class _Server(uvicorn.Server):
    """Ends what goes on in good order: streams with a word on how to resume, sends with 503.

    Most turns are over within the first seconds of a shutdown, and are answered as ever.
    """

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn does, which breaks off at the end of its grace what has not ended by then."""
        leaving = asyncio.get_running_loop().call_later(_LEAVE_S, self._app.state.take_leave)
        await super().shutdown(sockets)
        leaving.cancel()


def serve(app: FastAPI, config: uvicorn.Config) -> None:
    """Serve until a signal comes. Exits with an error when the start fails.

    Args:
        app: The API, whose state holds `take_leave` once it is started.
        config: Of that application.
    """
    config.timeout_graceful_shutdown = _GRACE_S
    server = _Server(config, app)
    with contextlib.suppress(KeyboardInterrupt):  # the signal that ended it, raised once more
        server.run()
    if not server.started:
        sys.exit(3)  # as uvicorn by itself
