"""The argument schemas of MCP servers, made such that every model takes them.

Servers send what their libraries generate: references, unions at the top, no type at all. Models
refuse some of it, each its own part, so what is shown is plain: an object with properties, without
references. What gets lost that way is precision, never an argument.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from o.mcp.names import argument_name

_MOST_NODES = 5_000
_MOST_CHARS = 100_000
_MOST_DEPTH = 24
_UNIONS = ("anyOf", "oneOf", "allOf")
_LEFT_OUT = frozenset({"$schema", "$id", "$anchor", "$comment", "$defs", "definitions"})


@dataclass(frozen=True)
class Parameters:
    """What a model is shown of a tool's arguments.

    Attributes:
        schema: An object schema.
        own_names: The server's names of arguments that go by another one here.
    """

    schema: dict[str, Any]
    own_names: dict[str, str]


def parameters_of(input_schema: Mapping[str, Any]) -> Parameters:
    """What a model is shown for a server's `inputSchema`.

    One that is too large to be shown, as when its references multiply, becomes an object of
    anything: the server checks its arguments itself.
    """
    try:
        whole = _Plain(input_schema).of(dict(input_schema), depth=0)
    except _TooLarge:
        return Parameters({"type": "object", "properties": {}}, {})
    properties, required = _merged(whole, depth=0)
    shown: dict[str, Any] = {}
    own_names: dict[str, str] = {}
    for own, schema in properties.items():
        name = argument_name(own, shown)
        shown[name] = schema
        if name != own:
            own_names[name] = own
    here = {own: name for name, own in own_names.items()}
    schema = {"type": "object", "properties": shown}
    if required:
        schema["required"] = [here.get(own, own) for own in properties if own in required]
    if whole.get("additionalProperties") is False and properties:
        schema["additionalProperties"] = False
    if len(json.dumps(schema)) > _MOST_CHARS:
        return Parameters({"type": "object", "properties": {}}, {})
    return Parameters(schema, own_names)


def own_arguments(arguments: Mapping[str, Any], own_names: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call under the names that the server knows."""
    return {str(own_names.get(name, name)): value for name, value in arguments.items()}


class _TooLarge(Exception):
    """The schema has more parts than can be shown."""


class _Plain:
    """A schema with its references replaced by what they refer to."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._nodes = 0

    def of(self, schema: Any, *, depth: int, inside: tuple[str, ...] = ()) -> dict[str, Any]:
        """The schema without references; one that is inside itself, or no schema, is anything."""
        self._nodes += 1
        if self._nodes > _MOST_NODES:
            raise _TooLarge
        if not isinstance(schema, Mapping) or depth > _MOST_DEPTH:
            return {}
        reference = schema.get("$ref")
        if isinstance(reference, str):
            if reference in inside:
                return {"type": "object"}
            rest = {key: value for key, value in schema.items() if key != "$ref"}
            found = {**self._find(reference), **rest}
            return self.of(found, depth=depth + 1, inside=(*inside, reference))
        plain = {}
        for key, value in schema.items():
            if isinstance(key, str) and key not in _LEFT_OUT:
                plain[key] = self._inner(key, value, depth + 1, inside)
        return plain

    def _inner(self, key: str, value: Any, depth: int, inside: tuple[str, ...]) -> Any:
        if key == "properties":
            own = value if isinstance(value, Mapping) else {}
            return {
                str(name): self.of(one, depth=depth, inside=inside) for name, one in own.items()
            }
        if key in _UNIONS or key == "prefixItems":
            parts = value if isinstance(value, list) else []
            return [self.of(one, depth=depth, inside=inside) for one in parts]
        if key in ("items", "additionalProperties", "not") and isinstance(value, Mapping):
            return self.of(value, depth=depth, inside=inside)
        return value

    def _find(self, reference: str) -> Mapping[str, Any]:
        """What a reference within the document names; nothing is ever fetched."""
        if not reference.startswith("#"):
            return {}
        found: Any = self._root
        for part in filter(None, reference[1:].split("/")):
            name = part.replace("~1", "/").replace("~0", "~")
            found = found.get(name) if isinstance(found, Mapping) else None
        return found if isinstance(found, Mapping) else {}


def _merged(schema: Mapping[str, Any], depth: int) -> tuple[dict[str, Any], set[str]]:
    """The properties of an object schema and those required, with those of its unions.

    No model takes a union at the top. What only some of its members require is not required.
    """
    own = schema.get("properties")
    properties: dict[str, Any] = dict(own) if isinstance(own, Mapping) else {}
    listed = schema.get("required")
    required = (
        {one for one in listed if isinstance(one, str)} if isinstance(listed, list) else set()
    )
    if depth < _MOST_DEPTH:
        for union in _UNIONS:
            members = [_merged(one, depth + 1) for one in schema.get(union) or ()]
            for found, _ in members:
                properties = {**found, **properties}
            needs = [needed for _, needed in members]
            if needs:
                required |= set.union(*needs) if union == "allOf" else set.intersection(*needs)
    return properties, required & set(properties)
