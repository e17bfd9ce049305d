"""Requests that tools make while they run, through the egress proxy of a worker.

Their token is good for the organization of the call, and opens what tools are for: agents, their
memory and their messages. What would let one take keys, or undo what confines it, stays shut: the
rows of providers, MCP servers and sandboxes, the making of tools, which calls a person approves.
"""

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from api.edge.allow_header import PREFIXES
from api.errors import unauthorized
from o.call_tokens import PREFIX, Call, CallTokens

_KEY = "o.call"
_OPEN = frozenset(
    {
        "agents",
        "archives",
        "blocks",
        "conversations",
        "folders",
        "groups",
        "health",
        "identities",
        "jobs",
        "messages",
        "models",
        "passages",
        "ready",
        "runs",
        "sources",
        "steps",
        "tags",
    }
)
_READABLE = frozenset({"tools", "mcp-servers"})
_READS = frozenset({"GET", "HEAD"})
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
        elif not _may(scope["method"], scope["path"]):
            await JSONResponse({"detail": _REFUSED}, status_code=403)(scope, receive, send)
        else:
            scope[_KEY] = call
            await self._app(scope, receive, send)


def call_of(scope: Scope) -> Call | None:
    """The call of a tool that a request comes from; None where it comes from a client."""
    found: Call | None = scope.get(_KEY)
    return found


def _token(scope: Scope) -> str | None:
    if scope["type"] != "http":
        return None
    said = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
    scheme, _, token = said.partition(" ")
    is_call = scheme.lower() == "bearer" and token.strip().startswith(PREFIX)
    return token.strip() if is_call else None


def _may(method: str, path: str) -> bool:
    if "/tools/approval/" in path:
        return False
    for prefix in PREFIXES:
        if path.startswith(f"{prefix}/"):
            kind = path.removeprefix(prefix).split("/")[1]
            return kind in _OPEN or (kind in _READABLE and method in _READS)
    return False
