"""What an API answers while it cannot start, because the disk of its database has no room.

PostgreSQL may let nobody in then, and an API that has not seen the schema does not serve. Who asks
is told why meanwhile, and whoever watches over processes sees one that lives.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Callable

import uvicorn
import uvloop
from fastapi.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from api.edge.allow_header import PREFIXES
from api.edge.connection import BoundedConnection
from api.routes.health import health
from o.disk import is_full
from o.settings.all import Settings
from o.storage.availability import why_unreachable
from o.storage.database import DISK_IS_FULL, libpq_url

_log = logging.getLogger(__name__)
_LOOK_S = 0.5
_LEAVE_S = 2
_HEALTH = frozenset(f"{prefix}/health" for prefix in PREFIXES)
_AGAIN_S = "10"


def answer_without_room(
    settings: Settings, sockets: list[socket.socket], bind: Callable[[], list[socket.socket]]
) -> list[socket.socket]:
    """Answer until the database lets somebody in, or its disk has room; at once where it does.

    Health is 200 and all else 503.

    Args:
        settings: Where the database is, and its disk.
        sockets: What to serve on; may be empty.
        bind: Takes them where they have to be taken for this.

    Returns:
        The sockets, on which nobody listens any more.
    """
    if not _may_lack_room(settings):
        return sockets
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        if not runner.run(_lacks_room(settings)):
            return sockets
        sockets = sockets or bind()
        _log.warning("the disk of the database is full: 503 is answered until there is room")
        runner.run(_answer(settings, sockets))
    return sockets


async def _answer(settings: Settings, sockets: list[socket.socket]) -> None:
    config = uvicorn.Config(
        _say_why,
        http=BoundedConnection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_LEAVE_S,
    )
    server = uvicorn.Server(config)
    # It closes what it listens on; connections wait in the sockets themselves for what comes next.
    copies = [socket.socket(fileno=os.dup(one.fileno())) for one in sockets]
    serving = asyncio.create_task(server.serve(copies))  # a signal ends it, and then the process
    while not serving.done() and await _lacks_room(settings):
        await asyncio.wait({serving}, timeout=_LOOK_S)
    server.should_exit = True
    await serving


async def _say_why(scope: Scope, receive: Receive, send: Send) -> None:
    """The application."""
    if scope["path"].removesuffix("/") in _HEALTH:
        response = JSONResponse(await health())
    else:
        headers = {"retry-after": _AGAIN_S}
        response = JSONResponse({"detail": DISK_IS_FULL}, status_code=503, headers=headers)
    await response(scope, receive, send)


def _may_lack_room(settings: Settings) -> bool:
    return settings.database_dir is not None and is_full(settings.database_dir)


async def _lacks_room(settings: Settings) -> bool:
    if not _may_lack_room(settings) or settings.database_url is None:
        return False
    return await why_unreachable(libpq_url(settings.database_url.get_secret_value())) is not None
