"""How big a request's body may be, and how deep its JSON: looked at before anything parses it."""

import re

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import file_too_large, may_be_json, too_large
from o.domain.json_bounds import JsonOutOfBounds, check_json_text

_UPLOAD = re.compile(r"/[^/]+/(?:(?:folders|sources)/[^/]+/upload|agents/import)/?")
_FORM_BYTES = 1024 * 1024
"""What may be around a file: the form's other fields, and what parts them."""

_PACKED = "Bodies are taken as they are: send it without 'Content-Encoding: {}'."


class BodyBounds:
    """Refuses what is packed with 415, too big with 413, and JSON that is out of bounds with 422.

    A file is taken in pieces and has a bound of its own.
    """

    def __init__(self, app: ASGIApp, max_bytes: int, upload_bytes: int) -> None:
        self._app = app
        self._of_bodies = (max_bytes, too_large(max_bytes))
        self._of_files = (upload_bytes + _FORM_BYTES, file_too_large(upload_bytes))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; its body is held to the bounds while the application reads it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if coding := _coding(scope):
            detail = _PACKED.format(coding[:40])
            packed = JSONResponse({"detail": detail}, 415, {"accept-encoding": "identity"})
            await packed(scope, receive, send)
            return
        headers = dict(scope["headers"])
        length = headers.get(b"content-length", b"0")
        is_file = _UPLOAD.fullmatch(scope["path"]) is not None
        max_bytes, said = self._of_files if is_file else self._of_bodies
        if length.isdigit() and int(length) > max_bytes:
            refusal = JSONResponse({"detail": said}, status_code=413)
            await refusal(scope, receive, send)
            return
        content_type = headers.get(b"content-type")
        is_json = may_be_json(None if content_type is None else content_type.decode("latin-1"))
        body = _Body(receive, max_bytes, said, is_json=is_json)
        await self._app(scope, body.receive, send)


def _coding(scope: Scope) -> str | None:
    """How the body is packed, None where it is not; each line may name several ways, or none."""
    lines = (value for name, value in scope["headers"] if name == b"content-encoding")
    named = b",".join(lines).decode("latin-1").lower().split(",")
    return next((one for one in map(str.strip, named) if one not in ("", "identity")), None)


class _Body:
    """The body of one request, counted while it comes in."""

    def __init__(self, receive: Receive, max_bytes: int, said: str, *, is_json: bool) -> None:
        self._receive = receive
        self._max_bytes = max_bytes
        self._said = said
        self._is_json = is_json
        self._size = 0
        self._pieces: list[bytes] = []

    async def receive(self) -> Message:
        """The next piece. An exception here is one in the application, which answers with it.

        Raises:
            HTTPException: 413 as soon as it is too big, 422 when it ends and its JSON will not do.
        """
        message = await self._receive()
        if message["type"] != "http.request":
            return message
        piece = message.get("body", b"")
        self._size += len(piece)
        if self._size > self._max_bytes:
            raise HTTPException(413, self._said)
        if self._is_json:
            self._pieces.append(piece)
            if not message.get("more_body", False):
                self._check()
        return message

    def _check(self) -> None:
        try:
            check_json_text(b"".join(self._pieces))
        except JsonOutOfBounds as error:
            raise HTTPException(422, f"The body cannot be taken: {error}.") from None
        finally:
            self._pieces.clear()
