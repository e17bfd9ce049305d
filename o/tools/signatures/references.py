"""A JSON schema that clients give for the arguments, with its `$ref`s put in place."""

from typing import Any

from o.tools.signatures.source import not_derived

MAX_DEPTH = 32
MAX_PARTS = 5_000

_MAPS = {"properties", "patternProperties", "dependentSchemas"}
_LISTS = {"anyOf", "allOf", "oneOf", "prefixItems"}
_SCHEMAS = {"items", "additionalProperties", "not", "contains", "propertyNames"}
_LEFT_OUT = {"$defs", "definitions", "$schema", "$id"}


def resolve(schema: dict[str, Any]) -> dict[str, Any]:
    """The same schema without definitions and references; titles, which Pydantic makes, go too.

    Raises:
        InvalidArgument: A reference leads nowhere, outside or to itself, or it is too large.
    """
    resolved: dict[str, Any] = _Resolver(schema).resolved(schema, ())
    return resolved


class _Resolver:
    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root
        self._parts = 0

    def resolved(self, schema: Any, trail: tuple[str, ...], depth: int = 0) -> Any:
        if not isinstance(schema, dict):
            return schema  # true, false, or what a client made of it
        self._parts += 1
        if self._parts > MAX_PARTS or depth > MAX_DEPTH:
            raise not_derived("args_json_schema is too large or too deep")
        schema = self._without_wrapper(schema)
        if isinstance(reference := schema.get("$ref"), str):
            if reference in trail:
                raise not_derived(f"args_json_schema refers to itself at {reference[:80]}")
            beside = {key: value for key, value in schema.items() if key != "$ref"}
            target = self._target(reference) | beside
            return self.resolved(target, (*trail, reference), depth + 1)
        return {
            key: self._value(key, value, trail, depth + 1)
            for key, value in schema.items()
            if key not in _LEFT_OUT and not (key == "title" and isinstance(value, str))
        }

    def _value(self, key: str, value: Any, trail: tuple[str, ...], depth: int) -> Any:
        if key in _MAPS and isinstance(value, dict):
            return {name: self.resolved(part, trail, depth) for name, part in value.items()}
        if key in _LISTS and isinstance(value, list):
            return [self.resolved(part, trail, depth) for part in value]
        if key in _SCHEMAS:
            return self.resolved(value, trail, depth)
        return value

    @staticmethod
    def _without_wrapper(schema: dict[str, Any]) -> dict[str, Any]:
        """`{"allOf": [{"$ref": …}], …}`, as older Pydantic says it, is `{"$ref": …, …}`."""
        match schema:
            case {"allOf": [{"$ref": str() as reference}]}:
                rest = {key: value for key, value in schema.items() if key != "allOf"}
                return {"$ref": reference} | rest
        return schema

    def _target(self, reference: str) -> dict[str, Any]:
        found: Any = self._root
        head, *steps = reference.split("/")
        for step in steps:
            key = step.replace("~1", "/").replace("~0", "~")
            found = found.get(key) if isinstance(found, dict) else None
        if head != "#" or not steps or not isinstance(found, dict):
            raise not_derived(f"args_json_schema refers to {reference[:80]}, which is not in it")
        return found
