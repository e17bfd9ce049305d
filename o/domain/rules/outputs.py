"""How a tool's return is compared with the cases of a conditional tool rule."""

from typing import Any

from o.domain.json_bounds import parse_json

_PYTHON_WORDS = {"true": True, "false": False, "none": None, "null": None}


def is_case(content: str, case: str) -> bool:
    """Whether a return is the case that a rule names.

    Texts are compared as they are, spaces around them aside; values as JSON compares them, so
    that `1.0` is `1` and the order of an object's names does not matter. `True`, `true` and
    `None`, `null` are the same, because tools in Python return the one and rules hold the other.
    """
    if content.strip() == case.strip():
        return True
    ours, theirs = _value(content), _value(case)
    return _same(ours, theirs)


def _value(text: str) -> Any:
    text = text.strip()
    if text.lower() in _PYTHON_WORDS:
        return _PYTHON_WORDS[text.lower()]
    try:
        return parse_json(text)
    except ValueError:
        return text


def _same(one: Any, other: Any) -> bool:
    """Equal as JSON: in Python alone, True would be 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)
