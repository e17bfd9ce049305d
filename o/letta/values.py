"""Single values of V1's data, which may be of any type: text, lists, times, numbers."""

import json
from datetime import UTC, datetime
from typing import Any

from o.domain.json_bounds import parse_json
from o.domain.text import storable, storable_json

MOST_INTEGER = 2_000_000_000


def text_of(value: Any) -> str | None:
    """A text that can be stored; None for what is none, and for an empty one."""
    return storable(value) if isinstance(value, str) and value else None


def objects_of(value: Any) -> list[dict[str, Any]]:
    """The objects of a list, in order; none where it is no list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def object_of(value: Any) -> dict[str, Any]:
    """An object that can be stored; empty where it is none."""
    return storable_json(value) if isinstance(value, dict) else {}


def texts_of(value: Any) -> list[str]:
    """The texts of a list, in order, each once."""
    if not isinstance(value, list):
        return []
    return list(dict.fromkeys(storable(one) for one in value if isinstance(one, str)))


def count_of(value: Any) -> int | None:
    """A whole number from 1 to two thousand million, None for anything else."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return value if is_number and 1 <= value <= MOST_INTEGER else None


def flag_of(value: Any) -> bool | None:
    """True or False, None for anything else."""
    return value if isinstance(value, bool) else None


def time_of(value: Any) -> datetime | None:
    """A time in UTC; without a zone it is in UTC already. None for what is none."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    try:
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except (OverflowError, ValueError):
        return None


def json_of(text: str) -> Any:
    """The value of a text that is JSON; None where it is none or out of bounds."""
    try:
        return parse_json(text)
    except (ValueError, RecursionError):
        return None


def as_text(value: Any) -> str:
    """Any JSON value as text: a string as it is, the rest as JSON."""
    if isinstance(value, str):
        return storable(value)
    return "" if value is None else json.dumps(storable_json(value), ensure_ascii=False)
