"""The one file that imports litellm: the wires that are not OpenAI's.

Importing this takes seconds and 180 MB, so a worker does before it polls, and only when a provider
asks for it.
"""

import copy
import os
from collections.abc import AsyncIterator
from typing import Any

# litellm reads these when it is imported, and has no other way to be told.
os.environ.setdefault(
    "LITELLM_LOCAL_MODEL_COST_MAP", "True"
)  # else it asks the internet for prices
os.environ.setdefault("LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS", "True")  # else for headers
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # else a count of tokens may wait for a download

import aiohttp
import httpx
import litellm
from litellm.llms.custom_httpx.http_handler import AsyncHTTPHandler, get_ssl_configuration
from pydantic import ValidationError

from o.domain.llm import DeltaSink, ModelReply, ModelRequest, ReplyDelta, ToolSpec
from o.domain.text import storable_json
from o.errors import ModelError
from o.llm.bounds import (
    ACCEPT_ENCODING,
    MAX_REPLY_BYTES,
    ReplyOutOfBounds,
    UnknownEncoding,
    unpacked,
)
from o.llm.failures import causes_of, out_of_bounds, refused, unreachable
from o.llm.providers import Provider
from o.llm.requests.bodies import optional_fields
from o.llm.requests.fitted import fit
from o.llm.tracing import received, sent
from o.llm.warm_up import one_word_provider
from o.llm.wires.chat import Completion, reply_of
from o.llm.wires.streamed import streamed_reply

litellm.suppress_debug_info = True
litellm.drop_params = True
litellm.telemetry = False

_WIRE_PREFIX = {"anthropic": "anthropic", "ollama": "ollama_chat"}
_NO_KEY = "none"
_NO_CONNECTION = (httpx.TransportError, aiohttp.ClientConnectionError, ConnectionError)
_STREAMS = ("event-stream", "ndjson", "jsonl")


class LiteLLMWires:
    """Asks models through litellm. It retries nothing."""

    def __init__(self, *, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._http: AsyncHTTPHandler | None = None

    async def complete(
        self, provider: Provider, model: str, request: ModelRequest, on_delta: DeltaSink | None
    ) -> ModelReply:
        """Ask once; see `LanguageModel.complete`."""
        arguments = self._arguments(provider, model, request, streams=on_delta is not None)
        try:
            if on_delta is None:
                return reply_of(_as_completion(await litellm.acompletion(**arguments)))
            chunks = await litellm.acompletion(**arguments, stream=True)
            return await streamed_reply(_completions(chunks), on_delta)
        except ModelError:
            raise
        except Exception as error:  # litellm raises whatever its many clients raise
            raise _as_model_error(error, provider) from error

    async def warm_up(self) -> None:
        """Call a provider of our own, plain and streamed: first calls load code for a second."""
        request = ModelRequest(
            handle="",
            prompt=[{"role": "user", "content": "hello"}],
            tools=[ToolSpec(name="wave", description="Wave.", parameters={"type": "object"})],
        )
        async with one_word_provider() as address:
            provider = Provider("warm-up", "anthropic", "anthropic", address)
            await self.complete(provider, "x", request, None)
            await self.complete(provider, "x", request, _nowhere)

    async def close(self) -> None:
        """Close the connections. A call that comes later opens others."""
        http, self._http = self._http, None
        if http is not None:
            await http.close()

    def _client(self) -> AsyncHTTPHandler:
        """Litellm's own client, but for what bounds the answers; of the running event loop."""
        if self._http is None:
            inner = AsyncHTTPHandler.create_async_transport(ssl_context=get_ssl_configuration())
            self._http = AsyncHTTPHandler(timeout=self._timeout_s, transport=_Bounded(inner))
        return self._http

    def _arguments(
        self, provider: Provider, model: str, request: ModelRequest, *, streams: bool
    ) -> dict[str, Any]:
        fitted = fit(provider, model, request)
        key = provider.api_key.get_secret_value() if provider.api_key else _NO_KEY
        arguments: dict[str, Any] = {
            "model": f"{_WIRE_PREFIX[provider.wire]}/{model}",
            "messages": copy.deepcopy(fitted.prompt),  # litellm may change what it is given
            "api_base": provider.base_url,
            "api_key": key,
            "timeout": self._timeout_s,
            "client": self._client(),
            "num_retries": 0,
            "max_retries": 0,
        }
        if fitted.tools:
            arguments["tools"] = [
                {"type": "function", "function": tool.model_dump()} for tool in fitted.tools
            ]
        return arguments | optional_fields(fitted, streams=streams)


async def _nowhere(delta: ReplyDelta) -> None:
    """Drop a piece."""


class _Bounded(httpx.AsyncBaseTransport):
    """Answers arrive unpacked, and only as much of them as is taken."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request."""
        request.headers["accept-encoding"] = ACCEPT_ENCODING
        sent(await request.aread())
        response = await self._inner.handle_async_request(request)
        encoding = response.headers.pop("content-encoding", "")
        kind = response.headers.get("content-type", "")
        streams = any(sign in kind for sign in _STREAMS)
        inner: Any = response.stream
        pieces = received(response.status_code, unpacked(inner, encoding))
        response.stream = _BoundedStream(inner, pieces, streams=streams)
        return response

    async def aclose(self) -> None:
        """Let go of the connections."""
        await self._inner.aclose()


class _BoundedStream(httpx.AsyncByteStream):
    """A body whose length, or whose lines' length, is held to what is taken."""

    def __init__(self, inner: Any, pieces: AsyncIterator[bytes], *, streams: bool) -> None:
        self._inner = inner
        self._pieces = pieces
        self._streams = streams

    async def __aiter__(self) -> AsyncIterator[bytes]:
        length = 0
        async for piece in self._pieces:
            end = piece.rfind(b"\n") if self._streams else -1
            length = length + len(piece) if end < 0 else len(piece) - end
            if length > MAX_REPLY_BYTES:
                raise ReplyOutOfBounds("line" if self._streams else "answer")
            yield piece

    async def aclose(self) -> None:
        """Let go of the answer."""
        await self._inner.aclose()


def _as_completion(reply: Any) -> Completion:
    try:
        return Completion.model_validate(reply)
    except ValidationError:  # half a surrogate pair
        return Completion.model_validate(storable_json(reply.model_dump()))


async def _completions(chunks: Any) -> AsyncIterator[Completion]:
    async for chunk in chunks:
        yield _as_completion(chunk)


def _as_model_error(error: Exception, provider: Provider) -> ModelError:
    causes = list(causes_of(error))
    for cause in causes:
        if isinstance(cause, ReplyOutOfBounds | UnknownEncoding):
            return out_of_bounds(provider, cause)
    if isinstance(error, litellm.Timeout):
        return unreachable(provider, error, timed_out=True)
    if any(isinstance(cause, _NO_CONNECTION) for cause in causes):
        return unreachable(provider, error, timed_out=False)
    status = getattr(error, "status_code", None)
    if not isinstance(status, int):
        return unreachable(provider, error, timed_out=False)
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    return refused(provider, status, str(error), headers)
