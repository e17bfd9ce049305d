"""Schemas of tools without the words of JSON Schema that a provider does not take, or plain."""

import re
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
_TYPES = ("string", "number", "integer", "boolean", "array", "object")
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_DEEPEST = 12
_LONGEST = 1_024  # of a description: what OpenAI's older models take
_MOST_PARTS = 2_000  # references may multiply


def words_of(tools: Sequence[ToolSpec]) -> frozenset[str]:
    """Which of `SCHEMA_WORDS` are used."""
    return frozenset(word for tool in tools for word in _words(tool.parameters))


def without_words(tools: Sequence[ToolSpec], words: frozenset[str]) -> list[ToolSpec]:
    """The tools without these words in their schemas; of a choice the first that is not null."""
    return [
        tool.model_copy(update={"parameters": _without(tool.parameters, words)}) for tool in tools
    ]


def plain(tools: Sequence[ToolSpec]) -> list[ToolSpec]:
    """The tools with schemas that every provider takes: types, descriptions and little else.

    References are replaced by what they refer to, and of a choice the first that is not null
    stays. Arguments whose names are refused by some are not shown, and long descriptions are cut.
    """
    return [
        tool.model_copy(
            update={
                "description": tool.description[:_LONGEST],
                "parameters": _Plain(tool.parameters).whole(),
            }
        )
        for tool in tools
    ]


class _Plain:
    """A schema that is made plain."""

    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root
        self._parts = 0

    def whole(self) -> dict[str, Any]:
        return self._object(self._merged(self._root, 0), 0)

    def _of(self, schema: Any, depth: int) -> dict[str, Any]:
        found = self._merged(schema, depth)
        told = _described(found)
        match _type_of(found):
            case "object":
                return self._object(found, depth)
            case "array":
                items = self._of(found.get("items"), depth + 1)
                return {"type": "array", "items": items} | told
            case "string":
                values = [one for one in _list(found.get("enum")) if isinstance(one, str) and one]
                return {"type": "string"} | ({"enum": values} if values else {}) | told
            case kind:
                return {"type": kind} | told

    def _object(self, found: dict[str, Any], depth: int) -> dict[str, Any]:
        properties = found.get("properties") if depth < _DEEPEST else None
        own = properties if isinstance(properties, dict) else {}
        shown = {
            name: self._of(one, depth + 1) for name, one in own.items() if _NAME.fullmatch(name)
        }
        named = [name for name in _list(found.get("required")) if isinstance(name, str)]
        required = [name for name in named if name in shown]
        needs = {"required": required} if required else {}
        return {"type": "object", "properties": shown} | needs | _described(found)

    def _merged(self, schema: Any, depth: int) -> dict[str, Any]:
        """The schema with what it refers to, and with one of what it lets choose."""
        self._parts += 1
        if not isinstance(schema, dict) or depth > _DEEPEST or self._parts > _MOST_PARTS:
            return {}
        found = {name: value for name, value in schema.items() if name != "$ref"}
        others = [self._referred(schema.get("$ref"))]
        others += [_first(schema.get(choice)) for choice in _CHOICES]
        others += _list(schema.get("allOf"))
        for other in filter(None, others):
            inner = self._merged(other, depth + 1)
            theirs, own = inner.get("properties"), found.get("properties")
            found = inner | found
            if isinstance(theirs, dict) and isinstance(own, dict):
                found["properties"] = theirs | own
        return found

    def _referred(self, reference: Any) -> Any:
        found: Any = self._root if isinstance(reference, str) and reference[:1] == "#" else None
        for name in str(reference)[1:].split("/")[1:]:
            own = name.replace("~1", "/").replace("~0", "~")
            found = found.get(own) if isinstance(found, dict) else None
        return found


def _type_of(schema: dict[str, Any]) -> str:
    """The only type of a schema; a text where it has none."""
    said = schema.get("type")
    kinds = [one for one in (said if isinstance(said, list) else [said]) if one in _TYPES]
    if kinds:
        return str(kinds[0])
    if isinstance(schema.get("properties"), dict):
        return "object"
    return "array" if "items" in schema else "string"


def _described(schema: dict[str, Any]) -> dict[str, str]:
    text = schema.get("description")
    return {"description": text[:_LONGEST]} if isinstance(text, str) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


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
