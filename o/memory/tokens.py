"""How many tokens a prompt takes: exactly for OpenAI's models, rather too many for others.

What a provider reports of a prompt that it has read is nearer to the truth than what is counted
here: `o.memory.fill` starts from it.
"""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from o.domain.llm import ToolSpec
from o.memory.estimates import estimate
from o.memory.tokenizers import count_exactly, tokenizer_of

PROMPT_TOKENS: Final = 3
"""What opens the reply."""

_MESSAGE_TOKENS = 5  # whose it is, and what it is kept apart by
_CALL_TOKENS = 12
_TOOL_TOKENS = 12
_TOOLS_TOKENS = 16
_SCHEMA_CHARS_A_TOKEN = 3
_CLAUDE_TOOLS_TOKENS = 350  # Anthropic's instructions of how to call
# Claude's newest tokenizer takes up to half as much again as OpenAI's for the same text.
_CLAUDE_SHARE = 1.25
# An image as large as providers take it; mini models count by another price.
_IMAGE_TOKENS, _LOW_IMAGE_TOKENS = 1_600, 85
_MINI_IMAGE_TOKENS, _LOW_MINI_IMAGE_TOKENS = 25_501, 2_833
_COUNTED = frozenset({"role", "content", "name", "tool_calls", "tool_call_id"})
_THOUGHTS = ("thinking", "text", "summary")


def is_exact(model: str) -> bool:
    """Whether a model's own tokenizer is here."""
    return tokenizer_of(model) is not None


def count_text(model: str, text: str) -> int:
    """The tokens of a text. A model's own tokenizer takes long for long texts: count in a thread.

    Args:
        model: A handle; empty for an estimate whatever the model.
        text: Any; what is no Unicode counts as what it is replaced by.
    """
    encoding = tokenizer_of(model) if model else None
    if encoding is None:
        found = estimate(text)
        return round(found * _CLAUDE_SHARE) if _is_claude(model) else found
    exact = count_exactly(encoding, text)
    return estimate(text) if exact is None else exact


def count_message(model: str, shown: Mapping[str, Any]) -> int:
    """The tokens of one message of the OpenAI chat shape, with its calls and images."""
    text = partial(count_text, model)
    found = _MESSAGE_TOKENS + text(str(shown.get("name") or ""))
    content = shown.get("content")
    if isinstance(content, str):
        found += text(content)
    else:
        found += sum(_part(model, part) for part in content or ())
    for call in shown.get("tool_calls") or ():
        function = call["function"]
        found += _CALL_TOKENS + text(function["name"]) + text(function["arguments"])
    return found + sum(
        text(said) for key, value in shown.items() if key not in _COUNTED for said in _said(value)
    )


def count_tools(model: str, tools: Sequence[ToolSpec]) -> int:
    """The tokens of what a model is told of its tools."""
    if not tools:
        return 0
    found = _CLAUDE_TOOLS_TOKENS if _is_claude(model) else _TOOLS_TOKENS
    is_known = is_exact(model)
    for tool in tools:
        told = json.dumps([tool.name, tool.description, tool.parameters], ensure_ascii=not is_known)
        found += _TOOL_TOKENS + (count_text(model, told) if is_known else _of_schema(told))
    return found


def count_prompt(
    model: str,
    prompt: Sequence[Mapping[str, Any]],
    tools: Sequence[ToolSpec],
    *,
    enough: int = 0,
) -> int:
    """The tokens of a request. An estimate of up to `enough` is taken as it is, which is quick."""
    if enough and (found := count_prompt("", prompt, tools)) <= enough:
        return found
    found = sum(count_message(model, shown) for shown in prompt)
    return PROMPT_TOKENS + found + count_tools(model, tools)


def message_tokens(shown: Mapping[str, Any]) -> int:
    """An estimate of a message, whatever the model; quick."""
    return count_message("", shown)


def tools_tokens(tools: Sequence[ToolSpec]) -> int:
    """An estimate of the tools, whatever the model; quick."""
    return count_tools("", tools)


def _part(model: str, part: Mapping[str, Any]) -> int:
    if part.get("type") != "image_url":
        return count_text(model, str(part.get("text") or ""))
    is_low = part["image_url"].get("detail") == "low"
    if "gpt-4o-mini" in model:
        return _LOW_MINI_IMAGE_TOKENS if is_low else _MINI_IMAGE_TOKENS
    return _LOW_IMAGE_TOKENS if is_low and is_exact(model) else _IMAGE_TOKENS


def _of_schema(told: str) -> int:
    """An estimate of a tool, which is made in every step: schemas are all alike."""
    return len(told) // _SCHEMA_CHARS_A_TOKEN


def _said(value: Any) -> list[str]:
    """What is to be read in a field that a provider has added; signatures are not."""
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list):
        return []
    return [
        one[name]
        for one in value
        if isinstance(one, dict)
        for name in _THOUGHTS
        if isinstance(one.get(name), str)
    ]


def _is_claude(model: str) -> bool:
    return "claude" in model.lower()
