"""OpenAI's newer wire, `POST <base url>/responses`: plain HTTP, no SDK, nothing stored there.

Some models speak no other. Reasoning comes encrypted and goes back as it came, since OpenAI keeps
none of it; see `o.llm.wires.responses_request` for the way there.
"""

import json
from collections.abc import AsyncIterator
from typing import Any

from o.domain.json_bounds import check_json_text
from o.domain.llm import DeltaSink, ModelReply, ModelRequest
from o.domain.text import storable_json
from o.errors import ModelError
from o.llm.failures import refused_inside
from o.llm.http import whole_body
from o.llm.providers.providers import Provider
from o.llm.requests.bodies import RESPONSE_ITEMS
from o.llm.wires.chat import Completion, Said, reply_of
from o.llm.wires.completions import DONE
from o.llm.wires.failures_inside import unreadable
from o.llm.wires.openai import OpenAIWire, is_whole
from o.llm.wires.responses_request import responses_body
from o.llm.wires.server_sent_events import events_of
from o.llm.wires.streamed import nowhere, streamed_reply, told_whole

_FINISHED = ("response.completed", "response.incomplete", "response.done")
_FIELDS = {"text": "content", "reasoning": "reasoning_content", "call": "tool_calls"}
_ITEMS = {"message": "text", "reasoning": "reasoning", "function_call": "call"}
_REASONS = {"max_output_tokens": "length"}


class ResponsesWire(OpenAIWire):
    """Asks models over `POST <base url>/responses`. It retries nothing."""

    def address(self, provider: Provider, model: str) -> str:
        """Where a model is asked."""
        return f"{provider.base_url.rstrip('/')}/responses"

    def body(
        self, provider: Provider, model: str, request: ModelRequest, *, streams: bool
    ) -> dict[str, Any]:
        """The request in the words of this wire."""
        return responses_body(provider, model, request, streams=streams)

    async def read(
        self, provider: Provider, pieces: AsyncIterator[bytes], on_delta: DeltaSink | None
    ) -> ModelReply:
        """The reply, whether it comes at once or as a stream."""
        whole, pieces = await is_whole(provider, pieces)
        if whole:
            response = _parsed(provider, await whole_body(pieces))
            reply = reply_of(_whole(provider, response))
            kept = _kept(response.get("output"))
            reply = reply if on_delta is None else await told_whole(reply, on_delta)
            return _with_extras(reply, kept)
        stream = _Stream(provider)
        reply = await streamed_reply(stream.completions(pieces), on_delta or nowhere)
        return _with_extras(reply, _kept(stream.output))


def _with_extras(reply: ModelReply, kept: dict[str, Any]) -> ModelReply:
    """The reply with what goes back: what was thought, as it is told, does not."""
    return reply.model_copy(update={"extras": kept, "call_extras": [], "thought_in": ""})


class _Stream:
    """The events of a reply, as pieces in the OpenAI chat shape.

    Attributes:
        output: The items of the reply that are whole.
    """

    def __init__(self, provider: Provider) -> None:
        self.output: list[dict[str, Any]] = []
        self._provider = provider
        self._told: set[tuple[str, Any]] = set()  # which items have had pieces

    async def completions(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[Completion]:
        """What each event says, if anything.

        Raises:
            ModelError: One tells of a failure.
        """
        async for event in events_of(pieces):
            text = b"\n".join(event.lines).strip()
            if text == DONE and self._told:
                yield Completion(is_last=True)
            if not text or text == DONE:
                continue
            found = _parsed(self._provider, text)
            if (completion := self._of(found, event.name.decode("utf-8", "replace"))) is not None:
                yield completion

    def _of(self, event: dict[str, Any], name: str) -> Completion | None:
        kind, place = str(event.get("type") or name), event.get("output_index")
        found: Completion | None = None
        match kind:
            case "response.output_text.delta" | "response.refusal.delta":
                found = self._piece("text", place, content=event.get("delta"))
            case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta":
                found = self._piece("reasoning", place, reasoning_content=event.get("delta"))
            case "response.reasoning_summary_part.added" if event.get("summary_index"):
                found = self._piece("reasoning", place, reasoning_content="\n\n")
            case "response.output_item.added":
                found = self._begun(event.get("item") or {}, place)
            case "response.function_call_arguments.delta":
                found = self._arguments(place, event.get("delta"))
            case "response.output_item.done":
                found = self._done(event.get("item") or {}, place)
            case "response.failed" | "error":
                response = event.get("response") or event
                raise refused_inside(self._provider, response.get("error") or response)
            case _ if kind in _FINISHED:
                found = self._end(event.get("response") or {})
        return found

    def _piece(self, what: str, place: Any, **delta: Any) -> Completion:
        self._told.add((what, place))
        return _chunk(delta)

    def _begun(self, item: dict[str, Any], place: Any) -> Completion | None:
        if item.get("type") != "function_call":
            return None
        self._told.add(("call", place))
        begun = {"name": item.get("name"), "arguments": item.get("arguments") or ""}
        if begun["arguments"]:
            self._told.add(("arguments", place))
        return _chunk({"tool_calls": [_call(place, _id_of(item), begun)]})

    def _arguments(self, place: Any, delta: Any) -> Completion:
        piece = {"index": place, "function": {"arguments": delta}}
        return self._piece("arguments", place, tool_calls=[piece])

    def _done(self, item: dict[str, Any], place: Any) -> Completion | None:
        """What of a whole item no piece has told yet."""
        self.output.append(item)
        match item.get("type"):
            case "function_call":
                if ("arguments", place) in self._told:
                    return None
                if ("call", place) in self._told:
                    return self._arguments(place, item.get("arguments"))
                return self._begun(item, place)
            case "message" if ("text", place) not in self._told:
                return self._piece("text", place, content=_text_in(item.get("content")))
            case "reasoning" if ("reasoning", place) not in self._told:
                return self._piece("reasoning", place, reasoning_content=_thought_in(item))
        return None

    def _end(self, response: dict[str, Any]) -> Completion:
        whole = _whole(self._provider, response)
        choice = whole.choices[0]
        # The output here repeats what was told, or is left out; some servers tell calls here alone.
        told = {what for what, _ in self._told}
        said = choice.message or Said()
        fresh = {what: field for what, field in _FIELDS.items() if what not in told}
        delta = {field: getattr(said, field) for field in fresh.values()}
        items = [one for one in response.get("output") or [] if isinstance(one, dict)]
        self.output += [one for one in items if _ITEMS.get(str(one.get("type"))) in fresh]
        called = "call" in told
        reason = "tool_calls" if called and choice.finish_reason == "stop" else choice.finish_reason
        end = {"choices": [{"delta": delta, "finish_reason": reason}], "usage": whole.usage}
        return Completion.model_validate(end)


def _chunk(delta: dict[str, Any]) -> Completion:
    return Completion.model_validate({"choices": [{"delta": delta}]})


def _call(place: Any, call_id: Any, function: dict[str, Any]) -> dict[str, Any]:
    return {"index": place, "id": call_id, "function": function}


def _id_of(item: dict[str, Any]) -> Any:
    """The id by which a call's return is known; some servers have one id for both."""
    return item.get("call_id") or item.get("id")


def _whole(provider: Provider, response: dict[str, Any]) -> Completion:
    """A whole response in the OpenAI chat shape.

    Raises:
        ModelError: It tells of a failure, or is none.
    """
    if response.get("error") or response.get("status") in ("failed", "cancelled"):
        raise refused_inside(provider, response.get("error") or {"message": "the reply failed"})
    output = response.get("output")
    if not isinstance(output, list) and "status" not in response:
        raise ModelError("llm_error", f"The provider {provider.name} answered with no response.")
    items = [item for item in output or [] if isinstance(item, dict)]
    calls = [item for item in items if item.get("type") == "function_call"]
    message = {
        "content": "".join(_text_in(i.get("content")) for i in items if i.get("type") == "message"),
        "reasoning_content": "\n\n".join(
            text for i in items if i.get("type") == "reasoning" and (text := _thought_in(i))
        ),
        "tool_calls": [
            _call(n, _id_of(one), {key: one.get(key) for key in ("name", "arguments")})
            for n, one in enumerate(calls)
        ],
    }
    choice = {"message": message, "finish_reason": _reason(response, calls)}
    return Completion.model_validate({"choices": [choice], "usage": _usage(response.get("usage"))})


def _reason(response: dict[str, Any], calls: list[dict[str, Any]]) -> str:
    if response.get("status") == "incomplete":
        why = str((response.get("incomplete_details") or {}).get("reason") or "length")
        return _REASONS.get(why, why)
    return "tool_calls" if calls else "stop"


def _usage(usage: Any) -> dict[str, Any] | None:
    if not isinstance(usage, dict):
        return None
    return {
        "prompt_tokens": usage.get("input_tokens"),
        "completion_tokens": usage.get("output_tokens"),
        "total_tokens": usage.get("total_tokens"),
        "prompt_tokens_details": usage.get("input_tokens_details"),
        "completion_tokens_details": usage.get("output_tokens_details"),
    }


def _text_in(content: Any) -> str:
    parts = [part for part in content or [] if isinstance(part, dict)]
    return "".join(str(part.get("text") or part.get("refusal") or "") for part in parts)


def _thought_in(item: dict[str, Any]) -> str:
    """What is told of a thought: a summary, or all of it where a model is open."""
    said = item.get("summary") or item.get("content") or []
    return "\n\n".join(text for part in said if (text := _text_in([part])))


def _kept(output: Any) -> dict[str, Any]:
    """What has to go back in its order: encrypted reasoning, and where it stood among the rest."""
    items = [item for item in output or [] if isinstance(item, dict)]
    kept: list[dict[str, Any]] = []
    for item in items:
        if item.get("type") == "reasoning" and item.get("encrypted_content"):
            sealed = {"summary": item.get("summary") or [], "type": "reasoning"}
            kept.append(sealed | {"encrypted_content": item["encrypted_content"]})
        elif item.get("type") in ("message", "function_call"):
            kept.append({"type": item["type"]})
    return {RESPONSE_ITEMS: kept} if any("encrypted_content" in item for item in kept) else {}


def _parsed(provider: Provider, text: bytes) -> dict[str, Any]:
    """A response, or an event.

    Raises:
        ModelError: It is no object.
    """
    check_json_text(text)
    try:
        found = storable_json(json.loads(text.decode("utf-8", "replace"), strict=False))
    except (ValueError, RecursionError):
        raise unreadable(provider, text, "response") from None
    if not isinstance(found, dict):
        raise ModelError("llm_error", f"The provider {provider.name} answered with no response.")
    return found
