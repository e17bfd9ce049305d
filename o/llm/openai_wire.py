"""The OpenAI wire, spoken by most providers and by every local server: plain HTTP, no SDK.

It is the way of most turns, so nothing here costs more than it must; the other wires go through
litellm.
"""

from collections.abc import AsyncIterator
from functools import cache
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from pydantic import ValidationError
from pydantic_core import to_json

from o.domain.llm import DeltaSink, ModelReply, ModelRequest
from o.errors import ModelError
from o.llm.chat import Completion, reply_of, streamed_reply
from o.llm.failures import refused, unreachable
from o.llm.providers import Provider

_CONNECT_S = 10.0
_OPENAI_HOST = "api.openai.com"
_REASONS = ("o1", "o3", "o4", "gpt-5")
"""Families of OpenAI models that think first and take none of the sampling settings."""

_ONE_CALL_ONLY = ("o1", "o3", "o4")
"""Families of OpenAI models that refuse to be told whether to call tools in parallel."""

# V1's settings, in the words of this wire.
_SAMPLING = ("temperature", "top_p", "frequency_penalty", "presence_penalty")


class OpenAIWire:
    """Asks models over `POST <base url>/chat/completions`. It retries nothing."""

    def __init__(self, *, timeout_s: float) -> None:
        self._timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=min(_CONNECT_S, timeout_s), sock_read=timeout_s
        )
        self._open: aiohttp.ClientSession | None = None

    async def warm_up(self) -> None:
        """Open the session that keeps connections, which belongs to the running event loop."""
        self._session()

    async def complete(
        self, provider: Provider, model: str, request: ModelRequest, on_delta: DeltaSink | None
    ) -> ModelReply:
        """Ask once; see `LanguageModel.complete`."""
        asked = self._session().post(
            f"{provider.base_url.rstrip('/')}/chat/completions",
            data=to_json(chat_body(provider, model, request, streams=on_delta is not None)),
            headers=_headers(provider),
            proxy=_proxy(provider.base_url),
        )
        try:
            async with asked as response:
                if not response.ok:
                    text = await response.text(errors="replace")
                    raise refused(provider, response.status, text, response.headers)
                if on_delta is None:
                    return reply_of(_parsed(provider, await response.read()))
                return await streamed_reply(_chunks(provider, response), on_delta)
        except TimeoutError as error:
            raise unreachable(provider, error, timed_out=True) from error
        except aiohttp.ClientError as error:
            raise unreachable(provider, error, timed_out=False) from error

    def _session(self) -> aiohttp.ClientSession:
        if self._open is None:
            self._open = aiohttp.ClientSession(
                timeout=self._timeout,
                connector=aiohttp.TCPConnector(limit=0),  # workers limit what runs at once
            )
        return self._open


def chat_body(
    provider: Provider, model: str, request: ModelRequest, *, streams: bool
) -> dict[str, Any]:
    """The body of a request; settings that the model is known to refuse are left out."""
    is_openai = urlsplit(provider.base_url).hostname == _OPENAI_HOST
    body: dict[str, Any] = {"model": model, "messages": _messages(request.prompt)}
    if request.tools:
        body["tools"] = [
            {"type": "function", "function": tool.model_dump()} for tool in request.tools
        ]
        if not model.rpartition("/")[2].startswith(_ONE_CALL_ONLY):
            body["parallel_tool_calls"] = request.parallel_calls
    if request.tool_choice is not None:
        body["tool_choice"] = request.tool_choice
    settings = request.settings
    if not (is_openai and model.startswith(_REASONS)):
        body |= {name: settings[name] for name in _SAMPLING if settings.get(name) is not None}
    if settings.get("max_output_tokens") is not None:
        # OpenAI's own newer models refuse the old name, which most other servers only know.
        name = "max_completion_tokens" if is_openai else "max_tokens"
        body[name] = settings["max_output_tokens"]
    if streams:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return body


def _messages(prompt: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without what only Anthropic reads, which stays in history when an agent changes its model."""
    return [
        {name: value for name, value in message.items() if name != "thinking_blocks"}
        if "thinking_blocks" in message
        else message
        for message in prompt
    ]


@cache  # aiohttp itself would look it up for every request, which takes as long as asking
def _proxy(base_url: str) -> str | None:
    """The proxy that the environment names for a provider."""
    url = urlsplit(base_url)
    return None if proxy_bypass(url.hostname or "") else getproxies().get(url.scheme)


def _headers(provider: Provider) -> dict[str, str]:
    headers = {"Content-Type": "application/json"}
    if provider.api_key is not None:
        headers["Authorization"] = f"Bearer {provider.api_key.get_secret_value()}"
    return headers


async def _chunks(
    provider: Provider, response: aiohttp.ClientResponse
) -> AsyncIterator[Completion]:
    """The `data:` events of a stream, up to `[DONE]`.

    Lines end with LF or CRLF only: JSON may hold the other characters that Python breaks lines at.
    """
    rest = b""
    async for piece in response.content.iter_any():
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            data = line.removeprefix(b"data:").strip()
            if not line.startswith(b"data:") or not data:
                continue
            if data == b"[DONE]":
                return
            yield _parsed(provider, data)


def _parsed(provider: Provider, content: bytes) -> Completion:
    try:
        completion = Completion.model_validate_json(content)
    except ValidationError as error:
        raise ModelError(
            "llm_error",
            f"The provider {provider.name} answered with no chat completion.",
            detail=f"{error.error_count()} fields are not as they should be",
        ) from None
    if completion.error:  # with status 200: a server that failed in the middle of a stream
        raise refused(provider, 500, to_json(completion.error).decode(), {})
    return completion
