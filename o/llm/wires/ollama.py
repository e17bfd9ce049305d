"""Ollama's own wire, `POST <base url>/api/chat`: plain HTTP, a line of JSON for each piece.

Its OpenAI face would not do: there the size of the context window cannot be told, and Ollama cuts
longer prompts to a small one of its own without a word.
"""

import json
from collections.abc import AsyncIterator
from typing import Any

from o.domain.json_bounds import check_json_text
from o.domain.llm import DeltaSink, ModelReply, ModelRequest
from o.domain.text import storable_json
from o.errors import ModelError
from o.llm.bounds import MAX_REPLY_BYTES, ReplyOutOfBounds
from o.llm.failures import refused_inside
from o.llm.providers.providers import Provider
from o.llm.requests.bodies import optional_fields, tools_of
from o.llm.requests.fitted import fit
from o.llm.wires.chat import Completion, reply_of
from o.llm.wires.failures_inside import unreadable
from o.llm.wires.openai import OpenAIWire
from o.llm.wires.streamed import nowhere, streamed_reply

# Fields of the OpenAI wire, in Ollama's words.
_OPTIONS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "max_tokens": "num_predict",
    "max_completion_tokens": "num_predict",
}
_DATA = "data:"
_WANTED = "chat message"


class OllamaWire(OpenAIWire):
    """Asks models over `POST <base url>/api/chat`. It retries nothing."""

    def address(self, provider: Provider, model: str) -> str:
        """Below the server itself, also where it is named with the path of its OpenAI face."""
        return f"{provider.base_url.rstrip('/').removesuffix('/v1')}/api/chat"

    def body(
        self, provider: Provider, model: str, request: ModelRequest, *, streams: bool
    ) -> dict[str, Any]:
        """The request in Ollama's words."""
        fitted = fit(provider, model, request)
        fields = optional_fields(fitted, streams=streams)
        options = {theirs: fields[ours] for ours, theirs in _OPTIONS.items() if ours in fields}
        if fitted.context_window is not None:
            options["num_ctx"] = fitted.context_window
        body: dict[str, Any] = {
            "model": model,
            "messages": _messages(fitted.prompt),
            "stream": streams,
            "options": options,
        }
        if fitted.tools:
            body["tools"] = tools_of(fitted)
        if (wanted := fields.get("response_format")) is not None:
            body["format"] = wanted.get("json_schema", {}).get("schema") or "json"
        return body

    async def read(
        self, provider: Provider, pieces: AsyncIterator[bytes], on_delta: DeltaSink | None
    ) -> ModelReply:
        """The reply from its lines; a whole one is a stream of one line."""
        lines = _completions(provider, pieces)
        if on_delta is None:
            only = await anext(lines, None)
            if only is not None and only.choices and only.choices[0].finish_reason:
                return reply_of(_whole(only))
            lines = _from(only, lines) if only is not None else lines
        return await streamed_reply(lines, on_delta or nowhere)


def _messages(prompt: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The prompt in Ollama's words, where returns name their tool and images stand apart."""
    names: dict[str, str] = {}
    said = []
    for message in prompt:
        text, images = _apart(message.get("content"))
        shown: dict[str, Any] = {"role": message["role"], "content": text}
        if images:
            shown["images"] = images
        if message.get("reasoning_content"):
            shown["thinking"] = message["reasoning_content"]
        if calls := message.get("tool_calls"):
            names |= {call["id"]: call["function"]["name"] for call in calls}
            shown["tool_calls"] = [_call(call["function"]) for call in calls]
        if message["role"] == "tool":
            shown["tool_name"] = names.get(message["tool_call_id"], "")
        said.append(shown)
    return said


def _call(function: dict[str, Any]) -> dict[str, Any]:
    try:
        arguments = json.loads(function["arguments"])
    except (ValueError, RecursionError):
        arguments = None
    whole = arguments if isinstance(arguments, dict) else {}
    return {"function": {"name": function["name"], "arguments": whole}}


def _apart(content: Any) -> tuple[str, list[str]]:
    """The text of a content, and its images as the base64 that Ollama takes."""
    if not isinstance(content, list):
        return content or "", []
    texts = [part["text"] for part in content if part["type"] == "text"]
    urls = [part["image_url"]["url"] for part in content if part["type"] == "image_url"]
    images = [url.partition(",")[2] for url in urls if url.startswith(_DATA)]
    return "\n".join(texts), images


async def _completions(
    provider: Provider, pieces: AsyncIterator[bytes]
) -> AsyncIterator[Completion]:
    rest = b""
    calls = 0
    async for piece in _with_end(pieces):
        *lines, rest = (rest + piece).split(b"\n")
        if len(rest) > MAX_REPLY_BYTES:
            raise ReplyOutOfBounds("line")
        for line in lines:
            if line.strip():
                completion, calls = _completion(provider, line, calls)
                yield completion


async def _with_end(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for piece in pieces:
        yield piece
    yield b"\n"  # the last line may lack it


async def _from(first: Completion, rest: AsyncIterator[Completion]) -> AsyncIterator[Completion]:
    yield first
    async for one in rest:
        yield one


def _completion(provider: Provider, line: bytes, calls: int) -> tuple[Completion, int]:
    """A line in the OpenAI chat shape, and how many calls there are up to it.

    Raises:
        ModelError: It tells of a failure, or is none.
    """
    check_json_text(line)
    try:
        found = storable_json(json.loads(line.decode("utf-8", "replace"), strict=False))
    except (ValueError, RecursionError):
        raise unreadable(provider, line, _WANTED) from None
    if not isinstance(found, dict):
        raise _no_answer(provider)
    if found.get("error"):
        raise refused_inside(provider, found["error"])
    message = found.get("message")
    if not isinstance(message, dict):
        raise _no_answer(provider)
    made = [one for one in message.get("tool_calls") or [] if isinstance(one, dict)]
    delta = {
        "content": message.get("content"),
        "reasoning_content": message.get("thinking"),
        "tool_calls": [one | {"index": n} for n, one in enumerate(made, calls)],
    }
    calls += len(made)
    choice: dict[str, Any] = {"delta": delta}
    usage = None
    if found.get("done"):
        reason = found.get("done_reason") or "stop"
        choice["finish_reason"] = "tool_calls" if calls and reason == "stop" else reason
        usage = {
            "prompt_tokens": found.get("prompt_eval_count"),
            "completion_tokens": found.get("eval_count"),
        }
    return Completion.model_validate({"choices": [choice], "usage": usage}), calls


def _whole(only: Completion) -> Completion:
    choice = only.choices[0]
    return only.model_copy(
        update={"choices": [choice.model_copy(update={"message": choice.delta})]}
    )


def _no_answer(provider: Provider) -> ModelError:
    what = f"The provider {provider.name} answered with no {_WANTED}."
    return ModelError("llm_error", what)
