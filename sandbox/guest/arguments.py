"""JSON arguments as a function of a tool wants them."""

from __future__ import annotations

import enum
import json
import typing
from typing import Any, Callable

_LISTS = (list, set, frozenset, tuple)
_WRITTEN: dict[Any, Any] = {int: int, float: (int, float), bool: bool, list: list, dict: dict}
"""What text is read as, by the type that a parameter is annotated with."""


def bind(
    function: Callable[..., Any], arguments: dict[str, Any], agent_state: Any
) -> tuple[list[Any], dict[str, Any]]:
    """Positional and named arguments of a call.

    A dict becomes the model that the parameter is annotated with, in lists and dicts too.
    `agent_state` and `self` are not the model's to give: the one is the agent's, the other None.
    """
    import inspect  # noqa: PLC0415 - see `tool.get_ready`

    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return [], dict(arguments)
    hints = _hints(function, parameters)
    left = dict(arguments)
    for name, given in (("agent_state", agent_state), ("self", None)):
        left.pop(name, None)
        if name in parameters:
            left[name] = given
    for name, value in left.items():
        if name in hints and name != "agent_state":
            left[name] = coerce(value, hints[name])
    positional: list[Any] = []
    for name, parameter in parameters.items():
        if name not in left:
            continue
        if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
            positional.append(left.pop(name))
        elif parameter.kind is inspect.Parameter.VAR_KEYWORD and isinstance(left[name], dict):
            left.update(left.pop(name))
    return positional, left


def _hints(function: Callable[..., Any], parameters: typing.Mapping[str, Any]) -> dict[str, Any]:
    """Annotations by parameter, those that are written as text too where they can be read."""
    found = {name: one.annotation for name, one in parameters.items()}
    if any(isinstance(annotation, str) for annotation in found.values()):
        try:
            return typing.get_type_hints(function)
        except Exception:
            return {name: one for name, one in found.items() if not isinstance(one, str)}
    return found


def coerce(value: Any, annotation: Any) -> Any:  # noqa: PLR0911 - one line for each kind
    """The value as its annotation's model, where there is one in it; text as what it spells.

    Raises:
        Exception: What the model says of a value that it does not take.
    """
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if isinstance(value, str):
        value = _read(value, origin or annotation)
    if origin is None:
        takes = isinstance(annotation, type) and isinstance(value, dict)
        if takes and callable(getattr(annotation, "model_validate", None)):
            return annotation.model_validate(value)
        if takes and callable(getattr(annotation, "parse_obj", None)):
            return annotation.parse_obj(value)
        if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
            return _member(annotation, value)
        return value
    if isinstance(value, list) and origin in _LISTS and inner:
        return [coerce(one, inner[0]) for one in value]
    if isinstance(value, dict) and origin is dict and len(inner) == 2:
        return {key: coerce(one, inner[1]) for key, one in value.items()}
    if isinstance(origin, type):
        return value
    return _first_that_takes(value, inner)


def _read(text: str, wanted: Any) -> Any:
    """The number, truth, list or dict that a model wrote as text, as V1 reads it; else the text."""
    try:
        kinds = _WRITTEN.get(wanted)
    except TypeError:  # an annotation that cannot be looked up
        return text
    if kinds is None:
        return text
    try:
        value = json.loads(text.lower() if wanted is bool else text)
    except (ValueError, RecursionError):
        return text
    if not isinstance(value, kinds) or isinstance(value, bool) is not (wanted is bool):
        return text
    return value


def _member(kind: type[enum.Enum], value: Any) -> Any:
    """The member of this value, or of this name; the value itself where there is none."""
    for member in kind:
        if value in (member.value, member.name):
            return member
    return value


def _first_that_takes(value: Any, annotations: tuple[Any, ...]) -> Any:
    """For unions, optionals and annotated types."""
    if isinstance(value, str) and str in annotations:
        return value
    refused: Exception | None = None
    for annotation in annotations:
        try:
            taken = coerce(value, annotation)
        except Exception as error:
            refused = refused or error
            continue
        if taken is not value:
            return taken
    if refused is not None and isinstance(value, dict):
        raise refused
    return value
