"""Requests as bodies of the OpenAI wire. They are made here, and sent elsewhere."""

from typing import Any
from urllib.parse import urlsplit

from o.domain.llm import ModelRequest
from o.llm.providers import Provider

_OPENAI_HOST = "api.openai.com"
_REASONS = ("o1", "o3", "o4", "gpt-5")
"""Families of OpenAI models that think first and take none of the sampling settings."""

_ONE_CALL_ONLY = ("o1", "o3", "o4")
"""Families of OpenAI models that refuse to be told whether to call tools in parallel."""

# V1's settings, in the words of this wire.
_SAMPLING = ("temperature", "top_p", "frequency_penalty", "presence_penalty")


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
    if (wanted := response_format(settings)) is not None:
        body["response_format"] = wanted
    body["stream"] = streams  # some gateways stream unless told not to
    if streams:
        body["stream_options"] = {"include_usage": True}
    return body


def response_format(settings: dict[str, Any]) -> dict[str, Any] | None:
    """The form in which the model is to answer, in OpenAI's words; None for plain text."""
    wanted = settings.get("response_format")
    if not isinstance(wanted, dict) or wanted.get("type") not in ("json_object", "json_schema"):
        return None
    if wanted["type"] == "json_object":
        return {"type": "json_object"}
    schema = wanted.get("json_schema")
    # V1 lets a client leave out the name, which OpenAI wants.
    return {"type": "json_schema", "json_schema": {"name": "reply"} | (schema or {})}


def _messages(prompt: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without what only Anthropic reads, which stays in history when an agent changes its model."""
    return [
        {name: value for name, value in message.items() if name != "thinking_blocks"}
        if "thinking_blocks" in message
        else message
        for message in prompt
    ]
