"""Schemas of tools without the words of JSON Schema that a provider does not take."""

from collections.abc import Iterator, Sequence
from typing import Any

from o.domain.llm import ToolSpec

SCHEMA_WORDS = frozenset(
    {
        "$schema",
        "additionalProperties",
        "anyOf",
        "const",
        "default",
        "examples",
        "exclusiveMaximum",
        "exclusiveMinimum",
        "format",
        "maxItems",
        "maxLength",
        "maximum",
        "minItems",
        "minLength",
        "minimum",
        "multipleOf",
        "oneOf",
        "pattern",
        "title",
        "uniqueItems",
    }
)
"""What a schema can do without, though its model then knows less."""

_CHOICES = ("anyOf", "oneOf")
_NAMED = ("properties", "$defs", "definitions")


def words_of(tools: Sequence[ToolSpec]) -> frozenset[str]:
    """Which of `SCHEMA_WORDS` are used."""
    return frozenset(word for tool in tools for word in _words(tool.parameters))


def without_words(tools: Sequence[ToolSpec], words: frozenset[str]) -> list[ToolSpec]:
    """The tools without these words in their schemas; of a choice the first that is not null."""
    return [
        tool.model_copy(update={"parameters": _without(tool.parameters, words)}) for tool in tools
    ]


def _words(schema: Any) -> Iterator[str]:
    if isinstance(schema, list):
        for one in schema:
            yield from _words(one)
    elif isinstance(schema, dict):
        for name, value in schema.items():
            if name in SCHEMA_WORDS:
                yield name
            yield from _words(list(value.values()) if _is_named(name, value) else value)


def _without(schema: Any, words: frozenset[str]) -> Any:
    if isinstance(schema, list):
        return [_without(one, words) for one in schema]
    if not isinstance(schema, dict):
        return schema
    kept: dict[str, Any] = {}
    for name, value in schema.items():
        if name in words:
            kept |= _without(_first(value), words) if name in _CHOICES else {}
        elif _is_named(name, value):
            kept[name] = {key: _without(one, words) for key, one in value.items()}
        else:
            kept[name] = _without(value, words)
    return kept


def _is_named(name: str, value: Any) -> bool:
    """Whether schemas stand under names that are the tool's own, whatever these are."""
    return name in _NAMED and isinstance(value, dict)


def _first(choices: Any) -> dict[str, Any]:
    options = choices if isinstance(choices, list) else []
    return next((one for one in options if isinstance(one, dict) and one.get("type") != "null"), {})
