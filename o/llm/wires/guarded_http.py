"""What stands between litellm and the network: answers are checked before it reads them.

litellm takes a stream that breaks off, or that is no JSON, for a reply that is finished; it asks
again by another client when a connection fails, and follows redirects. So what goes wrong is raised
here, as an error that it does not know and passes on.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import httpx
from pydantic import SecretStr

from o.domain.json_bounds import JsonOutOfBounds, check_json_text
from o.domain.text import storable_json
from o.errors import Failure, ModelError
from o.llm.bounds import (
    ACCEPT_ENCODING,
    MAX_ERROR_BYTES,
    MAX_REPLY_BYTES,
    ReplyOutOfBounds,
    UnknownEncoding,
    unpacked,
)
from o.llm.failures import out_of_bounds, refused, refused_inside, unreachable
from o.llm.providers.providers import Provider
from o.llm.tracing import received, sent
from o.llm.wires.server_sent_events import events_of

_BEFORE_JSON = b"\xef\xbb\xbf \t\r\n"
_WHOLE = (b"{", b"[", b"<")
_STREAM = re.compile(rb'"stream":\s?true')
_EVENTS, _FRAMES = "text/event-stream", "vnd.amazon.eventstream"
_NO_CONNECTION = (httpx.HTTPError, aiohttp.ClientError, OSError)
_DONE = b"[DONE]"
_AWS = {
    "ThrottlingException": 429,
    "ValidationException": 400,
    "AccessDeniedException": 403,
    "ModelTimeoutException": 504,
    "ServiceUnavailableException": 503,
}

NO_KEY = "none"
"""What litellm is given in place of a key, so that it does not look for one. It is not sent."""
_NO_KEYS = (NO_KEY, f"Bearer {NO_KEY}")
_KEY_HEADERS = ("authorization", "x-api-key", "x-goog-api-key")


class Failed(Exception):
    """A call came to nothing; `explain` says what that is of a provider."""

    def __init__(self, explain: Callable[[Provider], ModelError]) -> None:
        super().__init__("the call failed")
        self.explain = explain


class GuardedTransport(httpx.AsyncBaseTransport):
    """Sends requests once, to where they are meant to go; gives whole answers, or `Failed`."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request."""
        request.headers["accept-encoding"] = ACCEPT_ENCODING
        for name in _KEY_HEADERS:
            if request.headers.get(name) in _NO_KEYS:
                del request.headers[name]
        keys = (request.headers.get(name, "") for name in _KEY_HEADERS)
        sent(
            await request.aread(), *(SecretStr(key.removeprefix("Bearer ")) for key in keys if key)
        )
        try:
            response = await self._inner.handle_async_request(request)
            body: Any = response.stream
            pieces = unpacked(body, response.headers.pop("content-encoding", ""))
            pieces = received(response.status_code, pieces)
            if not 200 <= response.status_code < 300:
                raise await _refusal(response, pieces)
            head, pieces = await _begun(pieces)
            is_framed = _FRAMES in response.headers.get("content-type", "")
            is_whole = head.startswith(_WHOLE) or not head
            if not is_framed and not is_whole and not _asks_for_stream(request):
                await response.aclose()
                raise Failed(_only_streams)
            if is_framed or not is_whole:  # by its first byte: content types are not relied on
                response.stream = _Stream(
                    response.stream, pieces, _frames if is_framed else _events
                )
                if not is_framed:
                    response.headers["content-type"] = _EVENTS
                return response
            try:
                content = await _whole(pieces)
            finally:
                await response.aclose()
            if _is_anthropics_stream(request):
                raise Failed(_no_streams)
        except _FAILURES as error:
            raise _failure(error) from error
        headers = {"content-type": "application/json"}
        return httpx.Response(200, headers=headers, content=content, request=request)

    async def aclose(self) -> None:
        """Let go of the connections."""
        await self._inner.aclose()


class _Stream(httpx.AsyncByteStream):
    """A stream of which every event is whole and good, and which does not end before its reply."""

    def __init__(
        self,
        inner: Any,
        pieces: AsyncIterator[bytes],
        read: Callable[[AsyncIterator[bytes]], AsyncIterator[bytes]],
    ) -> None:
        self._inner = inner
        self._pieces = pieces
        self._read = read

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._read(self._pieces):
                yield piece
        except _FAILURES as error:
            raise _failure(error) from error

    async def aclose(self) -> None:
        """Let go of the answer."""
        await self._inner.aclose()


class _Inside(Exception):
    """An error within a good answer."""

    def __init__(self, error: Any) -> None:
        super().__init__("an error inside")
        self.error = error


class _EndedEarly(Exception):
    """A stream ended before the reply did."""


_BOUNDS = (ReplyOutOfBounds, UnknownEncoding, JsonOutOfBounds)
_FAILURES = (*_BOUNDS, *_NO_CONNECTION, _Inside, _EndedEarly, ValueError, RecursionError)


def _failure(error: Exception) -> Failed:
    """What went wrong, without holding on to the answer."""
    if isinstance(error, Failed):
        return error
    if isinstance(error, _Inside):
        inside = error.error
        return Failed(lambda provider: refused_inside(provider, inside))
    if isinstance(error, _EndedEarly):
        return Failed(
            lambda _: ModelError(
                "llm_error", "The provider's stream ended before its reply.", retryable=True
            )
        )
    if isinstance(error, _BOUNDS):
        return Failed(lambda provider: out_of_bounds(provider, error))
    if isinstance(error, _NO_CONNECTION):
        timed_out = isinstance(error, httpx.TimeoutException | TimeoutError)
        return Failed(lambda provider: unreachable(provider, error, timed_out=timed_out))
    return Failed(
        lambda provider: ModelError(
            "llm_error",
            f"The answer of the provider {provider.name} is not what its protocol says.",
        )
    )


async def _refusal(response: httpx.Response, pieces: AsyncIterator[bytes]) -> Failed:
    """An error, or an address elsewhere: keys and prompts go where they were meant to go."""
    body = bytearray()
    try:
        async for piece in pieces:
            body += piece
            if len(body) > MAX_ERROR_BYTES:
                break
    except (ReplyOutOfBounds, UnknownEncoding):
        body += b" (unreadable)"
    finally:
        await response.aclose()
    text = body[:MAX_ERROR_BYTES].decode("utf-8", "replace")
    status, headers = response.status_code, dict(response.headers)
    return Failed(lambda provider: refused(provider, status, text, headers))


async def _begun(pieces: AsyncIterator[bytes]) -> tuple[bytes, AsyncIterator[bytes]]:
    """How an answer begins, and all of it, without what may stand before."""
    head = b""
    async for piece in pieces:
        head = (head + piece).lstrip(_BEFORE_JSON)
        if head:
            break

    async def rest() -> AsyncIterator[bytes]:
        yield head
        async for piece in pieces:
            yield piece

    return head, rest()


def _asks_for_stream(request: httpx.Request) -> bool:
    return "stream" in request.url.path.lower() or _is_anthropics_stream(request)


def _is_anthropics_stream(request: httpx.Request) -> bool:
    """Whether Anthropic is asked for a stream; Google and AWS are by the path.

    The arguments of a call in the prompt may say the same of something else.
    """
    if not _STREAM.search(request.content):
        return False
    body = json.loads(request.content)
    return isinstance(body, dict) and body.get("stream") is True


def _no_streams(provider: Provider) -> ModelError:
    """Of a whole reply litellm makes nothing, where Anthropic's stream was asked for."""
    return _not_as_asked(provider, "a whole reply came: streaming is not supported")


def _only_streams(provider: Provider) -> ModelError:
    return _not_as_asked(provider, "a stream came: it only supports streams")


def _not_as_asked(provider: Provider, detail: str) -> ModelError:
    return ModelError(
        "llm_bad_request",
        f"The provider {provider.name} answered otherwise than it was asked to.",
        detail=detail,
        status=400,
        failure=Failure.BAD_REQUEST,
    )


async def _whole(pieces: AsyncIterator[bytes]) -> bytes:
    body = bytearray()
    async for piece in pieces:
        body += piece
        if len(body) > MAX_REPLY_BYTES:
            raise ReplyOutOfBounds
    return _good(bytes(body))[0]


def _good(data: bytes) -> tuple[bytes, dict[str, Any]]:
    """JSON as litellm can read it, and what it says.

    Raises:
        JsonOutOfBounds: It is nested beyond measure.
        ValueError: It is none, or no object.
        _Inside: It is an error.
    """
    check_json_text(data)
    text = data.decode("utf-8", "replace").strip()
    try:
        found = storable_json(json.loads(text, strict=False))
    except ValueError:
        if text.startswith("{"):  # it is cut off
            raise _EndedEarly from None
        if text.startswith("<") or not text:
            raise
        raise _Inside(text) from None  # what is wrong, in plain words
    if not isinstance(found, dict):
        raise ValueError("no object")
    error = found.get("error")
    if name := found.get("__type"):  # AWS's
        error = {"code": _AWS.get(str(name)), "type": name, "message": found.get("message")}
    if error or found.get("type") == "error":
        raise _Inside(error or found)
    return json.dumps(found).encode(), found


async def _events(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Server-sent events, each in one line."""
    is_over = False
    async for event in events_of(pieces):
        data = b"\n".join(event.lines).strip()
        if not data or data == _DONE:
            continue
        good, found = _good(data)
        is_over = is_over or _ends(found)
        yield b"data: " + good + b"\n\n"
    if not is_over:
        raise _EndedEarly


async def _frames(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """AWS's binary events, whose lengths and sums litellm's decoder checks."""
    end, is_over = b"", False
    async for piece in pieces:
        end = (end + piece)[-(len(piece) + len(_STOP)) :]
        is_over = is_over or _STOP in end
        yield piece
        await asyncio.sleep(0)
    if not is_over:
        raise _EndedEarly


_STOP = b"messageStop"


def _ends(event: dict[str, Any]) -> bool:
    """Whether an event says that the reply is over, in the words of any of the wires."""
    if event.get("type") == "message_delta":  # Anthropic's
        return bool((event.get("delta") or {}).get("stop_reason"))
    if event.get("type") == "message_stop":
        return True
    if (event.get("promptFeedback") or {}).get("blockReason"):  # Gemini's
        return True
    return any(one.get("finishReason") for one in event.get("candidates") or [])
