"""Errors of the addresses that OpenAI's clients know, in OpenAI's shape.

Whatever refuses a request, a route or one of the checks in front of it, says so as V1 does; here
it is put into the other words, once for all.
"""

import json
from http import HTTPStatus
from typing import Any

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.edge.allow_header import PREFIXES
from api.wire.answers import error_words

_ADDRESSES = ("/chat/completions", "/embeddings", "/responses", "/completions")
_OF_V1 = ("/models/", "/models/embedding", "/models/embedding/")
_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_CODES = {
    401: "invalid_api_key",
    404: "model_not_found",
    409: "conversation_busy",
    413: "request_too_large",
    501: "not_implemented",
}


def is_openai(path: str) -> bool:
    """Whether an address is one of OpenAI's."""
    for prefix in PREFIXES:
        inner = path.removeprefix(prefix)
        if inner != path:
            is_model = inner == "/models" or inner.startswith("/models/")
            is_chat = inner.startswith("/voice-beta/") or inner.rstrip("/") in _ADDRESSES
            return is_chat or (is_model and inner not in _OF_V1)
    return False


def openai_error(status: int, body: Any) -> dict[str, Any]:
    """An error of ours in OpenAI's words.

    Args:
        status: Its HTTP status.
        body: As V1 has it: `detail` is a text or has a code, or `error` is of a failed run.
    """
    said = body.get("detail") if isinstance(body, dict) else None
    failed = body.get("error") if isinstance(body, dict) else None
    code = _CODES.get(status)
    if isinstance(failed, dict):
        said = error_words(failed.get("message"), failed.get("detail"))
        code = failed.get("type")
    elif isinstance(said, dict):
        code = said.get("code")
        said = f"{said.get('message')} (approval request {said.get('pending_request_id')})"
    kind = "server_error" if status >= 500 else "invalid_request_error"
    error = {
        "message": said if isinstance(said, str) else HTTPStatus(status).phrase,
        "type": _TYPES.get(status, kind),
        "param": None,
        "code": code,
    }
    return {"error": error}


class OpenAIErrors:
    """Puts errors of OpenAI's addresses into OpenAI's shape."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; an answer that refuses it is put into the other words."""
        if scope["type"] != "http" or not is_openai(scope["path"]):
            await self._app(scope, receive, send)
            return
        refusal = _Refusal(scope, receive, send)
        try:
            await self._app(scope, receive, refusal.take)
        except Exception:
            if not refusal.has_begun:
                await refusal.say(500, {"detail": "An unknown error occurred"}, {})
            raise


class _Refusal:
    """Holds back the answer of one request where it refuses it."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._start: Message | None = None
        self._body = b""
        self.has_begun = False

    async def take(self, message: Message) -> None:
        """Send a part of the answer on, or keep it."""
        if message["type"] == "http.response.start" and message["status"] >= 400:
            self._start = message
            return
        if self._start is None:
            self.has_begun = True
            await self._send(message)
            return
        self._body += message.get("body", b"")
        if not message.get("more_body", False):
            kept = {
                name.decode("latin-1"): value.decode("latin-1")
                for name, value in self._start["headers"]
                if name.lower() not in (b"content-length", b"content-type")
            }
            await self.say(self._start["status"], _parsed(self._body), kept)

    async def say(self, status: int, body: Any, headers: dict[str, str]) -> None:
        """Refuse the request."""
        self.has_begun = True
        answer = JSONResponse(openai_error(status, body), status_code=status, headers=headers)
        await answer(self._scope, self._receive, self._send)


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None
