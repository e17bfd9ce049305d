"""Fields that servers spell otherwise than the book."""

import json
from typing import Annotated, Any

from pydantic import BeforeValidator, ValidationError, WrapValidator
from pydantic import ValidatorFunctionWrapHandler as Reader


def _or_none(value: Any, read: Reader) -> Any:
    """What only adds to a reply does not spoil it, however it is spelled."""
    try:
        return read(value)
    except ValidationError:
        return None


def _as_json_text(value: Any) -> Any:
    """Some servers give the value itself where its JSON belongs."""
    return (
        value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    )


def _as_list(value: Any) -> Any:
    """Some servers give null for a list, or in one, or the only item in its place."""
    if isinstance(value, list):
        return [item for item in value if item is not None]
    return [] if value is None else [value]


Maybe = WrapValidator(_or_none)
"""Marks a field that is None where it cannot be read."""

JsonText = Annotated[str | None, BeforeValidator(_as_json_text)]
"""JSON as text."""

AsList = BeforeValidator(_as_list)
"""Marks a list without its nulls."""

Extra = Annotated[dict[str, Any] | None, Maybe]
Extras = Annotated[list[dict[str, Any]] | None, Maybe]
"""What a provider adds to a reply, in its own words."""
