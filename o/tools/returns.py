"""What a tool gave back, as text: in V1's form, without secrets, and within its limit."""

import json
from collections.abc import Mapping
from typing import Any

LEAST_SECRET_CHARS = 6
"""Shorter values are in every other text."""


class Redaction:
    """Takes the values of secrets out of what a tool returned or printed."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        """Nothing is looked at yet.

        Args:
            secrets: Value by name; those that are very short stay.
        """
        named = ((value, f"[secret {name}]") for name, value in secrets.items())
        known = [(value, mark) for value, mark in named if len(value) >= LEAST_SECRET_CHARS]
        # As it stands in JSON and in a `repr`, too; longest first, because one may hold another.
        spelled = {how(value): mark for value, mark in known for how in (str, _in_json, _in_repr)}
        self._known = sorted(spelled.items(), key=lambda pair: -len(pair[0]))

    def text(self, text: str) -> str:
        """The text without them."""
        for value, mark in self._known:
            text = text.replace(value, mark)
        return text


def _in_json(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)[1:-1]


def _in_repr(value: str) -> str:
    return repr(value)[1:-1]


def text_of(result: Any) -> str:
    """A result for a model to read: text as it is, None as `None`, everything else as JSON."""
    if isinstance(result, str):
        return result
    if result is None:
        return "None"
    return json.dumps(result, ensure_ascii=False)
