"""The JSON schema of an annotation, read from its syntax tree."""

import ast
from collections.abc import Callable
from typing import Any

from o.tools.signatures.definitions import Definitions, is_none, last_name, literal
from o.tools.signatures.source import not_derived, parse_annotation

Schema = dict[str, Any]

MAX_DEPTH = 24
MAX_PARTS = 2_000
"""Of one schema: types that use each other twice grow like 2 to the power of their number."""

_SCALARS = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}
_ARRAYS = {"list", "List", "set", "Set", "frozenset", "FrozenSet", "Sequence", "Iterable"}
_OBJECTS = {"dict", "Dict", "Mapping", "MutableMapping"}
_TUPLES = {"tuple", "Tuple"}
_WRAPPERS = {"Required", "NotRequired", "Final", "ReadOnly"}

ClassSchema = Callable[[ast.ClassDef, "Annotations"], Schema]
"""The schema of a class of the source: see `models.class_schema`."""


class Annotations:
    """Turns annotations into schemas, knowing what the source defines."""

    def __init__(self, known: Definitions, class_schema: ClassSchema) -> None:
        """Nothing is read yet.

        Args:
            known: What the source defines.
            class_schema: Makes the schema of a class that an annotation names; it is given these
                annotations in turn, for those of its fields.
        """
        self.known = known
        self._class_schema = class_schema
        self._parts = 0
        self._open: list[str] = []

    def schema(self, node: ast.expr) -> Schema:
        """The schema of one annotation.

        Raises:
            InvalidArgument: There is none, or it would be too large or endless.
        """
        self._parts += 1
        if self._parts > MAX_PARTS or len(self._open) > MAX_DEPTH:
            raise not_derived("the types of the arguments are too large or too deep")
        self._open.append("")
        try:
            return self._schema(node)
        finally:
            self._open.pop()

    def _schema(self, node: ast.expr) -> Schema:
        match node:
            case ast.Constant(value=str() as text):
                return self.schema(parse_annotation(text))
            case ast.Constant(value=None):
                return {"type": "null"}
            case ast.BinOp(op=ast.BitOr()):
                return self._union(_alternatives(node))
            case ast.Subscript(value=generic, slice=arguments):
                parts = list(arguments.elts) if isinstance(arguments, ast.Tuple) else [arguments]
                return self._generic(node, last_name(generic), parts)
            case ast.Name() | ast.Attribute() if (name := last_name(node)) is not None:
                return self._named(name)
        raise not_derived(f"the type {_shown(node)} is not supported")

    def _named(self, name: str) -> Schema:
        if name in self.known.classes or name in self.known.aliases:
            return self._defined(name)
        if name in _SCALARS:
            return {"type": _SCALARS[name]}
        if name in _ARRAYS or name in _TUPLES:
            return {"type": "array", "items": {}}
        if name in _OBJECTS:
            return {"type": "object"}
        if name in {"Any", "object"}:
            return {}
        raise not_derived(
            f"the type {name[:80]} has no JSON schema and is not defined in the source; "
            "define it there, or give args_json_schema"
        )

    def _defined(self, name: str) -> Schema:
        if name in self._open:
            raise not_derived(f"the type {name[:80]} refers to itself")
        self._open.append(name)
        try:
            if name in self.known.classes:
                return self._class_schema(self.known.classes[name], self)
            return self.schema(self.known.aliases[name])
        finally:
            self._open.pop()

    def _generic(self, node: ast.expr, name: str | None, parts: list[ast.expr]) -> Schema:
        if name == "Literal":
            return _enumeration([value for part in parts for value in _literal_values(part)])
        if name in {"Optional", "Union"}:
            return self._union(parts)
        if name == "Annotated":
            return self._annotated(parts)
        if name in _WRAPPERS and len(parts) == 1:
            return self.schema(parts[0])
        return self._collection(node, name, parts)

    def _collection(self, node: ast.expr, name: str | None, parts: list[ast.expr]) -> Schema:
        if name in _ARRAYS and len(parts) == 1:
            return {"type": "array", "items": self.schema(parts[0])}
        if name in _TUPLES:
            return self._tuple(parts)
        if name in _OBJECTS and len(parts) == 2:
            values = self.schema(parts[1])
            return {"type": "object"} | ({"additionalProperties": values} if values else {})
        raise not_derived(f"the type {_shown(node)} is not supported")

    def _tuple(self, parts: list[ast.expr]) -> Schema:
        if len(parts) == 2 and isinstance(parts[1], ast.Constant) and parts[1].value is ...:
            return {"type": "array", "items": self.schema(parts[0])}
        kinds: list[Schema] = []
        for part in parts:
            if (kind := self.schema(part)) not in kinds:
                kinds.append(kind)
        items = kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
        return {"type": "array", "items": items, "minItems": len(parts), "maxItems": len(parts)}

    def _union(self, parts: list[ast.expr]) -> Schema:
        """`Optional` is its type: whether None may be left out, the default says."""
        kinds = [part for part in parts if not is_none(part)]
        if len(kinds) != 1:
            raise not_derived("Union is not supported, except with None")
        return self.schema(kinds[0])

    def _annotated(self, parts: list[ast.expr]) -> Schema:
        schema = self.schema(parts[0])
        for note in parts[1:]:
            if (text := described(note)) is not None:
                schema = schema | {"description": text}
        return schema


def described(note: ast.expr | None) -> str | None:
    """The description in a note of `Annotated`, or in a `Field(...)`; None where there is none."""
    match note:
        case ast.Constant(value=str() as text):
            return text
        case ast.Call(keywords=keywords):
            for keyword in keywords:
                value = literal(keyword.value)
                if keyword.arg == "description" and isinstance(value, str):
                    return value
    return None


def _alternatives(node: ast.expr) -> list[ast.expr]:
    """The parts of `a | b | c`, at most a hundred: the tree leans to the left."""
    parts: list[ast.expr] = []
    while isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr) and len(parts) < 100:
        parts.append(node.right)
        node = node.left
    return [node, *reversed(parts)]


def _literal_values(node: ast.expr) -> list[str | int | float | bool]:
    if is_none(node):
        return []
    if (value := literal(node)) is None:
        raise not_derived("Literal takes strings, numbers and booleans only")
    return [value]


def _enumeration(values: list[str | int | float | bool]) -> Schema:
    """Values to choose from, with their type where they have one and the same."""
    if not values:
        raise not_derived("an enumeration has no values")
    types = {type(value).__name__ for value in values}
    shown: Schema = {"type": _SCALARS[types.pop()]} if len(types) == 1 else {}
    return shown | {"enum": values}


def enumeration(values: list[str | int | float | bool]) -> Schema:
    """The schema of an `Enum` by its values."""
    return _enumeration(values)


def _shown(node: ast.expr) -> str:
    """Source of an annotation for an error; not of deep ones, unparsing recurs."""
    name = last_name(node.value) if isinstance(node, ast.Subscript) else last_name(node)
    return name[:80] if name else type(node).__name__
