"""Requests in the words of OpenAI's responses wire, from a prompt in the chat shape."""

import re
from typing import Any

from o.domain.llm import ModelRequest
from o.llm.providers.providers import Provider
from o.llm.requests.bodies import RESPONSE_ITEMS, optional_fields
from o.llm.requests.capabilities import SEALED_THOUGHTS
from o.llm.requests.fitted import fit

_ONLY_RESPONSES = re.compile(
    r"(?:^|/)(?:o1-pro|o3-pro|o3-deep|o4-mini-deep|gpt-5[.\d]*-pro|[\w.-]*codex)"
)
_NEVER_THINKS = re.compile(r"(?:^|/)(?:gpt-[34]|chatgpt|ft:gpt-[34])")
_SEALED = "reasoning.encrypted_content"

# Fields that are the same here, and those that have another name.
_SAME = ("temperature", "top_p", "parallel_tool_calls", "tool_choice")
_LIMITS = ("max_tokens", "max_completion_tokens")


def needs_responses(model: str) -> bool:
    """Whether OpenAI serves a model over this wire only."""
    return _ONLY_RESPONSES.search(model) is not None


def responses_body(
    provider: Provider, model: str, request: ModelRequest, *, streams: bool
) -> dict[str, Any]:
    """The body of a request; what the model is known to refuse is left out."""
    fitted = fit(provider, model, request)
    fields = optional_fields(fitted, streams=streams)
    body: dict[str, Any] = {
        "model": model,
        "input": input_items(fitted.prompt),
        "store": False,
        "stream": streams,
    }
    if not _NEVER_THINKS.search(model) and SEALED_THOUGHTS not in fitted.takes.left_out:
        body["include"] = [_SEALED]
    if fitted.tools:
        # Not strict: schemas would have to name every field as required.
        body["tools"] = [
            {"type": "function", "strict": False} | tool.model_dump() for tool in fitted.tools
        ]
    body |= {name: fields[name] for name in _SAME if name in fields}
    for name in _LIMITS:
        if name in fields:
            body["max_output_tokens"] = fields[name]
    if "reasoning_effort" in fields:
        body["reasoning"] = {"effort": fields["reasoning_effort"]}
    if (wanted := fields.get("response_format")) is not None:
        schema = wanted.get("json_schema", {})
        body["text"] = {"format": {"type": wanted["type"]} | schema}
    return body


def input_items(prompt: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The prompt as input items: what was said, called, returned and thought, in its order."""
    items: list[dict[str, Any]] = []
    for message in prompt:
        match message["role"]:
            case "assistant":
                items += _of_reply(message)
            case "tool":
                output = _parts(message["content"], "input_text")
                is_text = isinstance(message["content"], str)
                items.append(
                    {
                        "type": "function_call_output",
                        "call_id": message["tool_call_id"],
                        "output": message["content"] if is_text else output,
                    }
                )
            case role:
                content = _parts(message["content"], "input_text")
                items.append({"type": "message", "role": role, "content": content})
    return items


def _of_reply(message: dict[str, Any]) -> list[dict[str, Any]]:
    """A reply's items, its encrypted thoughts where they stood."""
    said = _parts(message.get("content") or "", "output_text")
    text = [{"type": "message", "role": "assistant", "content": said}] if said else []
    calls = [
        {
            "type": "function_call",
            "call_id": call["id"],
            "name": call["function"]["name"],
            "arguments": call["function"]["arguments"],
        }
        for call in message.get("tool_calls") or []
    ]
    items: list[dict[str, Any]] = []
    for kept in message.get(RESPONSE_ITEMS) or []:
        match kept["type"]:
            case "reasoning":
                items.append(kept)
            case "message":
                items, text = items + text, []
            case _:
                items, calls = items + calls[:1], calls[1:]
    return items + text + calls


def _parts(content: Any, kind: str) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"type": kind, "text": content}] if content else []
    parts: list[dict[str, Any]] = []
    for part in content:
        if part["type"] == "image_url":
            image = part["image_url"]
            shown = {"type": "input_image", "image_url": image["url"]}
            parts.append(shown | {"detail": image.get("detail") or "auto"})
        else:
            parts.append({"type": kind, "text": part["text"]})
    return parts
