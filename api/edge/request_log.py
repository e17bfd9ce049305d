"""One line a request: what was asked, how it was answered, how long it took, and for which run."""

import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.auth import HEALTH_PATHS

_log = logging.getLogger(__name__)
_RUN = "o.run_id"
_MOST_CHARS = 300


class RequestLog:
    """Logs each request when its answer is complete. Neither bodies nor queries are looked at."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and see how it is answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 0

        async def send_seen(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        path = scope["path"]  # as it came: routes may try another spelling
        began = time.monotonic()
        try:
            await self._app(scope, receive, send_seen)
        finally:
            facts = {
                "method": scope["method"],
                "path": path[:_MOST_CHARS],
                "status": status or 500,
                "ms": round((time.monotonic() - began) * 1_000, 1),
            }
            run_id = scope.get(_RUN) or scope.get("path_params", {}).get("run_id")
            if run_id is not None:
                facts["run"] = str(run_id)[:_MOST_CHARS]
            # Monitors ask again and again.
            is_quiet = path.removesuffix("/") in HEALTH_PATHS
            _log.log(logging.DEBUG if is_quiet else logging.INFO, "request answered", extra=facts)


def note_run(scope: Scope, run_id: str) -> None:
    """Have the request's line name this run."""
    scope[_RUN] = run_id
