"""The OpenAI wire, spoken by most providers and by every local server: plain HTTP, no SDK.

It is the way of most turns, so nothing here costs more than it must; the other wires go through
litellm.
"""

from collections.abc import AsyncIterator
from functools import cache
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from pydantic import ValidationError
from pydantic_core import to_json

from o.domain.llm import DeltaSink, ModelReply, ModelRequest
from o.errors import ModelError
from o.llm.bodies import chat_body
from o.llm.chat import Completion, reply_of, streamed_reply
from o.llm.failures import refused, unreachable
from o.llm.providers import Provider

_CONNECT_S = 10.0


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
