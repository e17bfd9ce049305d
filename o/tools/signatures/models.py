"""The JSON schema of a class in a tool's source: Pydantic models and enumerations."""

import ast
from typing import Any

from o.tools.signatures.annotations import Annotations, Schema, described, enumeration
from o.tools.signatures.definitions import last_name, literal
from o.tools.signatures.docstrings import read_docstring
from o.tools.signatures.source import not_derived

MAX_ANCESTORS = 16

_ENUMS = {"Enum", "StrEnum", "IntEnum"}
_CONSTRAINTS = {
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
    "lt": "exclusiveMaximum",
    "min_length": "minLength",
    "max_length": "maxLength",
    "pattern": "pattern",
}


def class_schema(node: ast.ClassDef, annotations: Annotations) -> Schema:
    """The schema of a class.

    Raises:
        InvalidArgument: It is neither a Pydantic model nor an enumeration.
    """
    line = _ancestry(node, annotations)
    bases = {name for ancestor in line for base in ancestor.bases if (name := last_name(base))}
    if "BaseModel" in bases:
        return _model(line, annotations)
    if bases & _ENUMS:
        return enumeration(
            [
                value
                for statement in node.body
                if isinstance(statement, ast.Assign)
                if (value := literal(statement.value)) is not None
            ]
        )
    kind = "TypedDict" if "TypedDict" in bases else f"the class {node.name[:80]}"
    raise not_derived(f"{kind} is not supported as a type; use a Pydantic model")


def _ancestry(node: ast.ClassDef, annotations: Annotations) -> list[ast.ClassDef]:
    """The class and those of the source that it derives from, the most distant one first."""
    line = [node]
    for ancestor in line:  # grows meanwhile
        for base in ancestor.bases:
            known = annotations.known.classes.get(last_name(base) or "")
            if known is not None and known not in line:
                line.append(known)
        if len(line) > MAX_ANCESTORS:
            raise not_derived(f"the class {node.name[:80]} has too many ancestors")
    return line[::-1]


def _model(line: list[ast.ClassDef], annotations: Annotations) -> Schema:
    properties: dict[str, Any] = {}
    required: dict[str, bool] = {}
    for node in line:
        told = read_docstring(ast.get_docstring(node) or "").arguments
        for field in node.body:
            if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)):
                continue
            name = field.target.id
            if name.startswith("_") or name == "model_config" or _is_class_variable(field):
                continue
            schema = annotations.schema(field.annotation)
            if name in told:
                schema = schema | {"description": told[name]}
            name, schema, needed = _with_value(name, schema, field.value)
            properties[name], required[name] = schema, needed
    schema = {"type": "object", "properties": properties}
    if text := read_docstring(ast.get_docstring(line[-1]) or "").description:
        schema["description"] = text
    return schema | {"required": [name for name, needed in required.items() if needed]}


def _is_class_variable(field: ast.AnnAssign) -> bool:
    annotation = field.annotation
    if isinstance(annotation, ast.Subscript):
        annotation = annotation.value
    return last_name(annotation) == "ClassVar"


def _with_value(name: str, schema: Schema, value: ast.expr | None) -> tuple[str, Schema, bool]:
    """The field's name for clients, its schema with what `Field` adds, whether it is required."""
    if value is None or _is_ellipsis(value):
        return name, schema, True
    if not (isinstance(value, ast.Call) and last_name(value.func) == "Field"):
        return name, schema | _default(value), False
    schema = schema | {
        _CONSTRAINTS[keyword.arg]: limit
        for keyword in value.keywords
        if keyword.arg in _CONSTRAINTS and (limit := literal(keyword.value)) is not None
    }
    if schema.get("type") == "array":
        for old, new in (("minLength", "minItems"), ("maxLength", "maxItems")):
            if old in schema:
                schema[new] = schema.pop(old)
    if (text := described(value)) is not None:
        schema = schema | {"description": text}
    given = {keyword.arg: keyword.value for keyword in value.keywords if keyword.arg}
    alias = literal(given.get("validation_alias")) or literal(given.get("alias"))
    name = alias if isinstance(alias, str) else name
    if "default_factory" in given:
        return name, schema, False
    default = value.args[0] if value.args else given.get("default")
    if default is None or _is_ellipsis(default):
        return name, schema, True
    return name, schema | _default(default), False


def _default(value: ast.expr) -> Schema:
    plain = literal(value)
    return {} if plain is None else {"default": plain}


def _is_ellipsis(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is ...
