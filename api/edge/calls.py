"""Requests that tools make while they run, through the egress proxy of a worker.

Their token is good for the organization of the call, and opens what `api.edge.call_operations`
names. Of a few fields it depends on who says them whether they are taken.
"""

from fastapi import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from api.edge.call_operations import OPEN_TO_TOOLS
from api.edge.route_index import operation_of
from api.errors import unauthorized
from o.call_tokens import PREFIX, Call, CallTokens

_KEY = "o.call"
_REFUSED = "A tool may not use this part of the API."


class CallCheck:
    """Takes a call's token for what it is; all other requests are somebody else's to judge."""

    def __init__(self, app: ASGIApp, tokens: CallTokens) -> None:
        self._app = app
        self._tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it: 401 where the call is over, 403 where it may not."""
        token = _token(scope)
        if token is None:
            await self._app(scope, receive, send)
        elif (call := self._tokens.read(token)) is None:
            await unauthorized()(scope, receive, send)
        elif operation_of(scope) not in OPEN_TO_TOOLS:
            await JSONResponse({"detail": _REFUSED}, status_code=403)(scope, receive, send)
        else:
            scope[_KEY] = call
            await self._app(scope, receive, send)


def call_of(scope: Scope) -> Call | None:
    """The call of a tool that a request comes from; None where it comes from a client."""
    found: Call | None = scope.get(_KEY)
    return found


def refuse_to_tools(scope: Scope, **said: object) -> None:
    """See that a tool leaves out what it is not to say, in a request that is open to it.

    Args:
        scope: Of the request.
        said: Fields by their names; None is one that was left out.

    Raises:
        HTTPException: 403, a tool asks, and has said one of them.
    """
    if call_of(scope) is None:
        return
    if wrong := sorted(name for name, value in said.items() if value is not None):
        raise HTTPException(403, f"A tool may not say: {', '.join(wrong)}.")


def _token(scope: Scope) -> str | None:
    if scope["type"] != "http":
        return None
    said = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
    scheme, _, token = said.partition(" ")
    is_call = scheme.lower() == "bearer" and token.strip().startswith(PREFIX)
    return token.strip() if is_call else None
