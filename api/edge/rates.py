"""How often one key, or one address without a key, may ask this process."""

from starlette.types import ASGIApp, Receive, Scope, Send

from api.access.auth import HEALTH_PATHS, METRICS_PATH, key_of
from api.edge.calls import call_of
from api.edge.clients import address_of
from api.errors import asked_too_often
from o.rates import Meter, Rate

# Monitors ask by the clock, and have to see a server that is asked too often.
_FREE = HEALTH_PATHS | {METRICS_PATH}


class RateLimit:
    """Answers 429 with `Retry-After` to whoever asks too often. A stream is one request."""

    def __init__(self, app: ASGIApp, rate: Rate) -> None:
        self._app = app
        self._meter = Meter(rate)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it. What is refused is not counted."""
        wait_s = 0.0
        if scope["type"] == "http" and scope["path"].removesuffix("/") not in _FREE:
            wait_s = self._meter.take(_name_of(scope))
        await (asked_too_often(wait_s) if wait_s else self._app)(scope, receive, send)


def _name_of(scope: Scope) -> str:
    if (key := key_of(scope)) is not None:
        return key.id
    if (call := call_of(scope)) is not None:
        return f"tools of {call.organization_id}"
    return address_of(scope)
