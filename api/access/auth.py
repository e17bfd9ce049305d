"""Who may ask, and as whom."""

import secrets
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace

from fastapi import Depends, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from pydantic import SecretStr
from sqlalchemy.exc import SQLAlchemyError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.access.keys import KNOWN_S, KeyBook
from api.access.scopes import wanted_scopes
from api.edge.allow_header import PREFIXES
from api.edge.calls import call_of
from api.edge.clients import address_of
from api.errors import UNAUTHORIZED, asked_too_often, database_failed, unauthorized
from o.domain.actors import Actor
from o.domain.keys import SECRET_PREFIX, ApiKey
from o.domain.keys import Scope as KeyScope
from o.errors import InvalidArgument, OError
from o.ids import DEFAULT_USER_ID, is_id
from o.rates import Meter, Rate
from o.storage.database import with_patience
from o.storage.organizations.users import find_actor

HEALTH_PATHS = frozenset(f"{prefix}/{name}" for prefix in PREFIXES for name in ("health", "ready"))
METRICS_PATH = "/metrics"  # its route looks at tokens itself
# What a browser shows of the API says nothing about this server's data.
_OPEN_PATHS = HEALTH_PATHS | {METRICS_PATH, "", "/docs", "/docs/oauth2-redirect", "/openapi.json"}
_OPEN_FILES = "/static-offline-docs/"


_KEY = "o.key"
_KEYS = "o.keys"
_ACTOR = "o.actor"
_MAY_NOT = "The key may not do this: it needs the scope {wanted}."


class TokenCheck:
    """Lets a request in by the server's token or by a key, as Bearer or in V1's own header.

    A server that has no token lets in what comes without a key. A key that comes counts anywhere.
    """

    def __init__(self, app: ASGIApp, token: SecretStr | None, rate: Rate | None = None) -> None:
        """Take what opens, and how often one address may try what is no key, if there is a limit.

        Whoever has the token is not concerned, nor whoever has a key and shares the address.
        """
        self._app = app
        self._token = token
        self._keys = KeyBook()
        self._tries = Meter(rate) if rate else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer V1's 401; 403 where the key may not do what is asked."""
        refusal = None
        scope[_KEYS] = self._keys
        if (
            scope["type"] == "http"
            and not _is_open(scope["path"])
            and call_of(scope) is None
            and not (self._token is not None and may(scope, self._token))
        ):
            refusal = await self._refusal(scope)
        if key_of(scope) is not None:
            receive = self._while_good(scope, receive)
        await (refusal or self._app)(scope, receive, send)

    def _while_good(self, scope: Scope, receive: Receive) -> Receive:
        """A body may take minutes to come: what comes late is taken if the key is good then, too.

        An exception here is one in the application, which answers with it.
        """
        began = time.monotonic()

        async def receive_late() -> Message:
            message = await receive()
            if message["type"] == "http.request" and time.monotonic() - began > KNOWN_S:
                with suppress(OError, SQLAlchemyError):  # nothing can be done without the database
                    secret, database = _secret_of(scope), scope["app"].state.parts.database
                    if secret is None or await self._keys.find(database, secret) is None:
                        raise HTTPException(401, UNAUTHORIZED)
            return message

        return receive_late

    async def _refusal(self, scope: Scope) -> Response | None:
        """Why a request without the server's token is not let in; None lets it in."""
        secret = _secret_of(scope)
        if secret is None:
            return None if self._token is None else unauthorized()
        parts = scope["app"].state.parts
        patience_s = parts.settings.database_patience_s
        try:
            key = await self._keys.find(parts.database, secret, patience_s=patience_s)
        except (OError, SQLAlchemyError) as error:
            return await database_failed(Request(scope), error)
        if key is None:
            wait_s = self._tries.take(address_of(scope)) if self._tries is not None else 0.0
            return asked_too_often(wait_s) if wait_s else unauthorized()
        wanted = wanted_scopes(scope["method"], scope["path"])
        if not key.opens(wanted):
            said = _MAY_NOT.format(wanted=" or ".join(sorted(wanted)))
            return JSONResponse({"detail": said}, status_code=403)
        scope[_KEY] = key
        return None


def key_of(scope: Scope) -> ApiKey | None:
    """The key that a request came with; None where it came without one."""
    found: ApiKey | None = scope.get(_KEY)
    return found


async def forgets_keys(request: Request) -> AsyncIterator[None]:
    """Of a route that shuts keys: this process keeps none that it knew, once that is committed.

    A dependency of the route itself, so that it ends after the transaction, and before the answer.
    """
    yield
    keys: KeyBook = request.scope[_KEYS]
    keys.forget()


SHUTS_KEYS = [Depends(forgets_keys, scope="function")]


def reach_of(scope: Scope) -> str | None:
    """The organization that an administrator's request sees; None is all of them.

    Who has the server's token, or needs none, sees all.
    """
    key = key_of(scope)
    return None if key is None else key.organization_id


def has_scope(scope: Scope, wanted: KeyScope) -> bool:
    """Whether a request may do what needs a scope; one that came without a key may."""
    key = key_of(scope)
    return key is None or key.opens(frozenset({wanted}))


def refuse_without(scope: Scope, wanted: KeyScope) -> None:
    """See that the key of a request has a scope, where the request came with a key.

    Raises:
        HTTPException: 403, it has not.
    """
    if not has_scope(scope, wanted):
        raise HTTPException(403, _MAY_NOT.format(wanted=wanted))


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


def _secret_of(scope: Scope) -> str | None:
    """The text of a key that a request came with, looked for where the server's token may be."""
    headers = dict(scope["headers"])
    for name, scheme in ((b"authorization", b"bearer"), (b"x-bare-password", b"password")):
        said, _, token = headers.get(name, b"").partition(b" ")
        text = str(token.strip(b" "), "latin-1")
        if said.lower() == scheme and text.startswith(SECRET_PREFIX):
            return text
    return None


async def current_actor(request: Request) -> Actor:
    """Who asks: by a key its user, else the one whom V1's `user_id` header names, if we know it.

    The header counts for the administrator of the server, who has its token or needs none, and with
    a key for administrators, within the organization of the key. A tool that asks is an actor of
    its call's organization. A request is one actor's: who it is is looked up once.

    Raises:
        InvalidArgument: The header holds no user id.
        NotFound: It names a user who was deleted.
    """
    found: Actor | None = request.scope.get(_ACTOR)
    if found is None:
        found = request.scope[_ACTOR] = await _look_up(request)
    return found


async def _look_up(request: Request) -> Actor:
    if (call := call_of(request.scope)) is not None:
        return Actor(organization_id=call.organization_id)
    user_id = request.headers.get("user_id") or request.headers.get("user-id")
    if user_id is not None and not is_id(user_id, "user"):
        raise InvalidArgument(f"INVALID_ARGUMENT: Invalid user ID format: {user_id[:100]}")
    if (key := key_of(request.scope)) is not None:
        return await _actor_by(key, request, user_id)
    if user_id is None or user_id == DEFAULT_USER_ID:
        return Actor()
    return await _user(request, user_id) or Actor()


async def _actor_by(key: ApiKey, request: Request, user_id: str | None) -> Actor:
    own = Actor(key.user_id, key.organization_id, key.id)
    if user_id is None or "admin" not in key.scopes:
        return own
    found = await _user(request, user_id)
    if found is None or found.organization_id != key.organization_id:
        return own
    return replace(found, key_id=key.id)


async def _user(request: Request, user_id: str) -> Actor | None:
    parts = request.app.state.parts

    async def look() -> Actor | None:
        async with parts.database.connect() as connection:
            return await find_actor(connection, user_id)

    return await with_patience(look, patience_s=parts.settings.database_patience_s)
