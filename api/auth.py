"""Who may ask, and as whom."""

import secrets

from fastapi import Request
from pydantic import SecretStr
from starlette.types import ASGIApp, Receive, Scope, Send

from api.edge.allow_header import PREFIXES
from api.edge.calls import call_of
from api.errors import unauthorized
from o.domain.actors import Actor
from o.errors import InvalidArgument
from o.ids import is_id

HEALTH_PATHS = frozenset(f"{prefix}/{name}" for prefix in PREFIXES for name in ("health", "ready"))
# What a browser shows of the API says nothing about this server's data.
_OPEN_PATHS = HEALTH_PATHS | {"", "/docs", "/docs/oauth2-redirect", "/openapi.json"}
_OPEN_FILES = "/static-offline-docs/"


class TokenCheck:
    """Lets a request in when it carries the server's token, as Bearer or in V1's own header."""

    def __init__(self, app: ASGIApp, token: SecretStr) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer V1's 401."""
        if (
            scope["type"] != "http"
            or _is_open(scope["path"])
            or call_of(scope) is not None
            or may(scope, self._token)
        ):
            await self._app(scope, receive, send)
        else:
            await unauthorized()(scope, receive, send)


def _is_open(path: str) -> bool:
    return path.removesuffix("/") in _OPEN_PATHS or path.startswith(_OPEN_FILES)


def may(scope: Scope, token: SecretStr | None) -> bool:
    """Whether a request carries the server's token, or the server has none."""
    if token is None:
        return True
    headers = dict(scope["headers"])
    ours = token.get_secret_value().encode()
    return any(
        _says(headers.get(name, b""), scheme, ours)
        for name, scheme in ((b"authorization", b"bearer"), (b"x-bare-password", b"password"))
    )


def _says(header: bytes, scheme: bytes, ours: bytes) -> bool:
    """Whether a header says `<scheme> <token>`; the scheme in any case, as HTTP has it."""
    said, _, token = header.partition(b" ")
    is_ours = secrets.compare_digest(token.strip(b" "), ours)
    return is_ours and said.lower() == scheme


async def current_actor(request: Request) -> Actor:
    """The actor that V1's `user_id` header names; the default user when it names none we know.

    A tool that asks is an actor of its call's organisation.

    Raises:
        InvalidArgument: The header holds no user id.
    """
    if (call := call_of(request.scope)) is not None:
        return Actor(organization_id=call.organization_id)
    user_id = request.headers.get("user_id") or request.headers.get("user-id")
    if user_id is not None and not is_id(user_id, "user"):
        raise InvalidArgument(f"INVALID_ARGUMENT: Invalid user ID format: {user_id[:100]}")
    return Actor()
