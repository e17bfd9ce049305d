"""One line a request: what was asked, how it was answered, how long it took, and for which run."""

import logging
import time
from contextlib import AbstractContextManager, nullcontext

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.access.auth import HEALTH_PATHS, METRICS_PATH
from o.log import about, add_about
from o.metrics.measures import OPEN_REQUESTS, request_answered
from o.tracing import Span, is_traced, span

_log = logging.getLogger(__name__)
_RUN = "o.run_id"
_CONVERSATION = "o.conversation_id"
_MOST_CHARS = 300
_QUIET = {*HEALTH_PATHS, METRICS_PATH}  # monitors ask again and again


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
        waited_s = 0.0

        async def send_seen(message: Message) -> None:
            nonlocal status, waited_s
            if message["type"] == "http.response.start":
                status = message["status"]
                waited_s = time.monotonic() - began
            await send(message)

        path = scope["path"]  # as it came: routes may try another spelling
        began = time.monotonic()
        OPEN_REQUESTS.inc()
        try:
            with about(), _traced(scope) as traced:
                await self._app(scope, receive, send_seen)
                traced.rename(f"{scope['method']} {_template(scope)}")
                traced.tell(status=status, run_id=scope.get(_RUN))
        finally:
            OPEN_REQUESTS.dec()
            request_answered(scope["method"], _template(scope), status or 500, waited_s)
            facts = {
                "method": scope["method"],
                "path": path[:_MOST_CHARS],
                "status": status or 500,
                "ms": round((time.monotonic() - began) * 1_000, 1),
            }
            run_id = scope.get(_RUN) or scope.get("path_params", {}).get("run_id")
            if run_id is not None:
                facts["run_id"] = str(run_id)[:_MOST_CHARS]
            if (conversation_id := scope.get(_CONVERSATION)) is not None:
                facts["conversation_id"] = conversation_id
            is_quiet = path.removesuffix("/") in _QUIET
            _log.log(logging.DEBUG if is_quiet else logging.INFO, "request answered", extra=facts)


def _template(scope: Scope) -> str | None:
    """The address of the request's route, as it is written here."""
    template: str | None = getattr(scope.get("route"), "path", None)
    return template


def _traced(scope: Scope) -> AbstractContextManager[Span]:
    """A span of the request, below what its client has under way if that is traced."""
    if not is_traced():
        return nullcontext(Span())
    parent = dict(scope["headers"]).get(b"traceparent", b"").decode("latin-1")
    return span(scope["method"], parent=parent, serves=True)


def note_run(scope: Scope, run_id: str, conversation_id: str | None = None) -> None:
    """Have the request's line, and what else is logged for it from now on, name this run."""
    scope[_RUN] = run_id
    add_about(run_id=run_id)
    if conversation_id is not None:
        scope[_CONVERSATION] = conversation_id
        add_about(conversation_id=conversation_id)
