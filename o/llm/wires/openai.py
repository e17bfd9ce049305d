"""The OpenAI wire, spoken by most providers and by every local server: plain HTTP, no SDK.

It is the way of most turns, so nothing here costs more than it must. Wires that differ little
(`azure`, `ollama`, `responses`) are made of it; the others go through litellm.
"""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
from pydantic_core import to_json

from o.domain.json_bounds import JsonOutOfBounds
from o.domain.llm import DeltaSink, ModelReply, ModelRequest
from o.errors import ModelError
from o.llm.bounds import ReplyOutOfBounds, UnknownEncoding, give_memory_back
from o.llm.failures import out_of_bounds, refused, unreachable
from o.llm.http import Sessions, body_of, error_text, judge_of, proxy_of, whole_body
from o.llm.providers.providers import Provider
from o.llm.requests.bodies import chat_body
from o.llm.tracing import sent
from o.llm.wires.chat import Completion, reply_of
from o.llm.wires.completions import DONE, completion_of, lines_in, texts_of
from o.llm.wires.server_sent_events import ERROR, events_of
from o.llm.wires.streamed import nowhere, streamed_reply, told_whole

_BEFORE_JSON = b"\xef\xbb\xbf \t\r\n"
_IS_LAST = Completion(is_last=True)


class OpenAIWire:
    """Asks models over `POST <base url>/chat/completions`. It retries nothing."""

    def __init__(self) -> None:
        self._sessions = Sessions()

    async def warm_up(self) -> None:
        """Open the session that keeps connections, which belongs to the running event loop."""
        self._sessions.judged_by(None)

    async def complete(
        self, provider: Provider, model: str, request: ModelRequest, on_delta: DeltaSink | None
    ) -> ModelReply:
        """Ask once; see `LanguageModel.complete`."""
        body = to_json(self.body(provider, model, request, streams=on_delta is not None))
        sent(body, provider.api_key)
        asked = self._sessions.judged_by(judge_of(provider)).post(
            self.address(provider, model),
            data=body,
            headers=self.headers(provider),
            proxy=proxy_of(provider.base_url),
            allow_redirects=False,  # a key goes where the operator said, and nowhere else
        )
        try:
            async with asked as response:
                if response.status >= 300:
                    text = await error_text(response)
                    raise refused(provider, response.status, text, response.headers)
                return await self.read(provider, _heard(provider, body_of(response)), on_delta)
        except (ReplyOutOfBounds, UnknownEncoding, JsonOutOfBounds) as error:
            give_memory_back()
            raise out_of_bounds(provider, error) from None
        except TimeoutError as error:
            raise unreachable(provider, error, timed_out=True) from error
        except (aiohttp.ClientError, UnicodeError) as error:  # the latter of a host that is none
            raise unreachable(provider, error, timed_out=False) from error

    async def close(self) -> None:
        """Close the connections. A call that comes later opens others."""
        await self._sessions.close()

    # What wires that are spoken over plain HTTP too do otherwise.

    def address(self, provider: Provider, model: str) -> str:
        """Where a model is asked."""
        return f"{provider.base_url.rstrip('/')}/chat/completions"

    def headers(self, provider: Provider) -> dict[str, str]:
        """Who asks."""
        headers = {"Content-Type": "application/json"}
        if provider.api_key is not None:
            headers["Authorization"] = f"Bearer {provider.api_key.get_secret_value()}"
        return headers

    def body(
        self, provider: Provider, model: str, request: ModelRequest, *, streams: bool
    ) -> dict[str, Any]:
        """What is asked."""
        return chat_body(provider, model, request, streams=streams)

    async def read(
        self, provider: Provider, pieces: AsyncIterator[bytes], on_delta: DeltaSink | None
    ) -> ModelReply:
        """What is answered, told to `on_delta` while it comes."""
        return await _reply(provider, pieces, on_delta)


async def _reply(
    provider: Provider, pieces: AsyncIterator[bytes], on_delta: DeltaSink | None
) -> ModelReply:
    """The reply, whether it comes at once or as a stream: some servers do not do as asked.

    Which it is shows in the first byte; content types are not to be relied on.
    """
    whole, pieces = await is_whole(provider, pieces)
    if whole:
        body = await whole_body(pieces)
        if lines := lines_in(body):
            return await streamed_reply(_each(provider, lines), on_delta or nowhere)
        reply = reply_of(completion_of(provider, body))
        return reply if on_delta is None else await told_whole(reply, on_delta)
    return await streamed_reply(chunks_of(provider, pieces), on_delta or nowhere)


async def is_whole(
    provider: Provider, pieces: AsyncIterator[bytes]
) -> tuple[bool, AsyncIterator[bytes]]:
    """Whether an answer comes at once, by its first byte; and all of it, read so far or not.

    Raises:
        ModelError: There is nothing in it.
    """
    head = b""
    async for piece in pieces:
        head = (head + piece).lstrip(_BEFORE_JSON)
        if head:
            break
    if not head:
        raise ModelError(
            "llm_error", f"The provider {provider.name} answered with nothing.", retryable=True
        )
    return head.startswith((b"{", b"[", b"<")), _from(head, pieces)


async def _heard(provider: Provider, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The pieces, with a connection that breaks as a failure of the provider."""
    try:
        async for piece in pieces:
            yield piece
    except (aiohttp.ClientError, TimeoutError) as error:
        raise unreachable(provider, error, timed_out=isinstance(error, TimeoutError)) from error


async def _from(head: bytes, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield head
    async for piece in pieces:
        yield piece


async def _each(provider: Provider, lines: list[bytes]) -> AsyncIterator[Completion]:
    for line in lines:
        yield completion_of(provider, line)


async def chunks_of(provider: Provider, pieces: AsyncIterator[bytes]) -> AsyncIterator[Completion]:
    """The completions that a stream is made of, up to `[DONE]`."""
    async for event in events_of(pieces):
        for text in texts_of(event):
            if text == DONE:
                yield _IS_LAST
                return
            yield completion_of(provider, text, is_error=event.name == ERROR)
