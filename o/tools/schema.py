"""What a model is shown of a Python tool, from its signature and docstring.

By syntax tree alone: nothing of the source is imported or run. The rules are those of V1's
`POST /v1/tools`, whose words for a failure begin with "Failed to derive json schema".
"""

import ast
import re
from typing import Any

from o.domain.text import storable_json
from o.tools.signatures.annotations import Annotations
from o.tools.signatures.definitions import Definitions, Function, definitions
from o.tools.signatures.docstrings import Docstring, read_docstring
from o.tools.signatures.models import class_schema
from o.tools.signatures.references import resolve
from o.tools.signatures.source import not_derived, parse_source

MAX_NAME_CHARS = 48
NOT_FOR_MODELS = frozenset({"self", "agent_state"})
"""Parameters that the server fills."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def derive(
    source: str, name: str | None = None, *, args_json_schema: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The schema of the tool in `source`: `{"name", "description", "parameters"}`.

    Takes up to a second and 100 MB for the largest source that it takes, so it is nothing for
    an event loop.

    Args:
        source: Python.
        name: Which function is the tool; the last public one at the top level where it is None.
        args_json_schema: What the parameters are, of a Pydantic model; in place of the signature.

    Raises:
        InvalidArgument: None can be had, and why.
    """
    known = definitions(parse_source(source))
    function = _chosen(known, name)
    _check_name(function.name)
    docstring = _docstring(function)
    if args_json_schema is not None:
        return _given(function.name, docstring, args_json_schema)
    if docstring is None:
        raise not_derived(f"the function {function.name} has no docstring")
    return _schema(
        function.name,
        docstring.description,
        *_parameters(function, docstring, Annotations(known, class_schema)),
    )


def _schema(
    name: str, description: str, properties: dict[str, Any], required: list[str]
) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties, "required": required}
    shown = {"name": name, "description": description, "parameters": parameters}
    try:
        stored: dict[str, Any] = storable_json(shown)
    except RecursionError:
        raise not_derived("args_json_schema is too deep") from None
    return stored


def _chosen(known: Definitions, name: str | None) -> Function:
    if name is not None:
        if name not in known.functions:
            raise not_derived(f"the source has no function {name[:80]!r} at its top level")
        return known.functions[name]
    if (last := known.last_function) is None:
        raise not_derived("the source has no function at its top level")
    return last


def _check_name(name: str) -> None:
    if len(name) > MAX_NAME_CHARS:
        raise not_derived(f"the name {name[:80]} has more than {MAX_NAME_CHARS} characters")
    if not _NAME.fullmatch(name):
        raise not_derived(f"the name {name!r} has letters that models cannot call it by")


def _docstring(function: Function) -> Docstring | None:
    text = ast.get_docstring(function, clean=False)
    return read_docstring(text) if text and text.strip() else None


def _given(name: str, docstring: Docstring | None, schema: dict[str, Any]) -> dict[str, Any]:
    resolved = resolve(schema)
    properties = resolved.get("properties", {})
    required = resolved.get("required", [])
    if not isinstance(properties, dict) or not isinstance(required, list):
        raise not_derived("args_json_schema is not the schema of an object")
    told = resolved.get("description")
    description = docstring.description if docstring else told if isinstance(told, str) else ""
    needed = {each for each in required if isinstance(each, str)}
    return _schema(name, description, properties, [each for each in properties if each in needed])


def _parameters(
    function: Function, docstring: Docstring, annotations: Annotations
) -> tuple[dict[str, Any], list[str]]:
    properties: dict[str, Any] = {}
    required: list[str] = []
    for parameter, has_default in _arguments(function):
        if parameter.arg in NOT_FOR_MODELS:
            continue
        where = f"the parameter {parameter.arg!r} of {function.name}"
        if parameter.annotation is None:
            raise not_derived(f"{where} has no type annotation")
        schema = annotations.schema(parameter.annotation)
        told = docstring.arguments.get(parameter.arg, schema.get("description"))
        if told is None:
            raise not_derived(f"{where} has no description in the docstring")
        properties[parameter.arg] = schema | {"description": told}
        if not has_default:
            required.append(parameter.arg)
    return properties, required


def _arguments(function: Function) -> list[tuple[ast.arg, bool]]:
    """Each parameter, and whether it has a default."""
    signature = function.args
    named = [parameter for parameter in signature.posonlyargs if parameter.arg != "self"]
    if named or signature.vararg or signature.kwarg:
        raise not_derived(
            f"{function.name} takes arguments that have no name (*args, **kwargs, /); "
            "a model gives all of them by name"
        )
    without = len(signature.args) - len(signature.defaults)
    usual = [(each, index >= without) for index, each in enumerate(signature.args)]
    keyword_only = zip(signature.kwonlyargs, signature.kw_defaults, strict=True)
    return usual + [(each, default is not None) for each, default in keyword_only]
