"""Requests as bodies of the OpenAI wire. They are made here, and sent elsewhere."""

from typing import Any

from o.domain.llm import ModelRequest
from o.llm.providers.providers import Provider
from o.llm.requests.fitted import FittedRequest, fit
from o.llm.requests.thinking import thinking_fields, without_what_thinking_forbids

RESPONSE_ITEMS = "response_items"
"""The field of a reply, in the prompt, with reasoning that goes back over the responses wire."""

# V1's settings, in the words of this wire.
_SETTINGS = ("temperature", "top_p", "frequency_penalty", "presence_penalty")


def chat_body(
    provider: Provider, model: str, request: ModelRequest, *, streams: bool
) -> dict[str, Any]:
    """The body of a request; what the model is known to refuse is left out."""
    fitted = fit(provider, model, request)
    body: dict[str, Any] = {"model": model, "messages": _without_items(fitted.prompt)}
    if fitted.tools:
        body["tools"] = tools_of(fitted)
    body |= optional_fields(fitted, streams=streams)
    body["stream"] = streams  # some gateways stream unless told not to
    return body


def _without_items(prompt: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The prompt without what a model of this provider added over the responses wire."""
    return [
        {name: value for name, value in message.items() if name != RESPONSE_ITEMS}
        if RESPONSE_ITEMS in message
        else message
        for message in prompt
    ]


def tools_of(fitted: FittedRequest) -> list[dict[str, Any]]:
    """The tools that are offered, as all wires but the responses one spell them."""
    return [{"type": "function", "function": tool.model_dump()} for tool in fitted.tools]


def optional_fields(fitted: FittedRequest, *, streams: bool) -> dict[str, Any]:
    """What a request says beside its messages and tools, without what the model refuses."""
    fields: dict[str, Any] = {}
    settings = fitted.settings
    if fitted.tools:
        fields["parallel_tool_calls"] = fitted.parallel_calls
    if fitted.tool_choice is not None:
        fields["tool_choice"] = fitted.tool_choice
    fields |= {name: settings[name] for name in _SETTINGS if settings.get(name) is not None}
    if settings.get("max_output_tokens") is not None:
        fields[fitted.takes.max_tokens] = settings["max_output_tokens"]
    if (wanted := response_format(settings)) is not None:
        fields["response_format"] = wanted
    if streams:
        fields["stream_options"] = {"include_usage": True}
    fields = without_what_thinking_forbids(fields | thinking_fields(fitted), fitted)
    return {name: value for name, value in fields.items() if name not in fitted.takes.left_out}


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
