"""What a tool gave back, as text: in V1's form, without secrets, and within its limit."""

import json
import re
from collections.abc import Mapping
from typing import Any

LEAST_SECRET_CHARS = 6
"""Shorter values are in every other text."""
_LOOKED_AT = 4_096
_CUT_HERE = re.compile(r"(?=\n\[NOTE: |\Z)")
"""Where a sandbox has cut a text, which it does before anybody looks for secrets in it."""


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
        spelled = {how(value): mark for value, mark in known for how in _SPELLINGS}
        self._known = sorted(spelled.items(), key=lambda pair: -len(pair[0]))

    def text(self, text: str) -> str:
        """The text without them."""
        for value, mark in self._known:
            text = text.replace(value, mark)
        return "".join(self._without_beginning(piece) for piece in _CUT_HERE.split(text))

    def _without_beginning(self, piece: str) -> str:
        """A text without the beginning of a secret, of which the rest was cut off behind it."""
        for value, mark in self._known:
            if (at := _beginning(piece, value)) >= 0:
                return piece[:at] + mark
        return piece


def _beginning(text: str, value: str) -> int:
    """Where, at the end of a text, a value begins of which the rest is missing; -1 if none does."""
    at = text.rfind(value[:_LOOKED_AT]) if len(value) > _LOOKED_AT else -1
    if at < 0:
        at = text.find(value[:LEAST_SECRET_CHARS], max(0, len(text) - min(len(value), _LOOKED_AT)))
    while at >= 0 and not value.startswith(text[at:]):
        at = text.find(value[:LEAST_SECRET_CHARS], max(at + 1, len(text) - _LOOKED_AT))
    return at


def _in_json(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)[1:-1]


def _in_ascii_json(value: str) -> str:
    return json.dumps(value)[1:-1]


def _in_repr(value: str) -> str:
    return repr(value)[1:-1]


_SPELLINGS = (str, _in_json, _in_ascii_json, _in_repr)


def text_of(result: Any) -> str:
    """A result for a model to read: text as it is, None as `None`, everything else as JSON."""
    if isinstance(result, str):
        return result
    if result is None:
        return "None"
    return json.dumps(result, ensure_ascii=False)
