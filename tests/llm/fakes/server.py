"""One server on loopback for all fake providers."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.applications import Starlette

from tests.llm.fakes.provider import Fake


@contextmanager
def serving(*fakes: Fake) -> Iterator[str]:
    """Serve them; gives the address below which each has its paths."""
    routes = [route for fake in fakes for route in fake.routes()]
    config = uvicorn.Config(
        Starlette(routes=routes), host="127.0.0.1", port=0, log_level="critical"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(10)
