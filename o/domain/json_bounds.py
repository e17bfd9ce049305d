"""The bounds of foreign JSON: what a client, a provider or a model sends stays well readable.

What is stored is read by parsers that give up at 200 levels, and shown inside bodies of our own. So
everything that comes in is held to a depth far under that, before it is parsed.
"""

import json
import re
from itertools import accumulate
from typing import Any

MAX_DEPTH = 64
"""Objects and arrays that may lie within each other."""

MAX_VALUES = 200_000
"""Values and keys of one text: each costs some hundred bytes once it is parsed."""

# A string, also one that does not end. Nothing is tried twice, so the time is that of one look.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


class JsonOutOfBounds(ValueError):
    """JSON that is too deep or has too many values; the message says which."""


def check_json_text(text: str | bytes, *, max_values: int = MAX_VALUES) -> None:
    """Refuse JSON that is out of bounds, without parsing it. Whether it is JSON is not looked at.

    Costs nothing to speak of for what has few brackets and commas, 5 ms for a megabyte of others.

    Raises:
        JsonOutOfBounds: It is nested deeper than `MAX_DEPTH` or has more than `max_values` values.
    """
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    opened = raw.count(b"[") + raw.count(b"{")
    if opened <= MAX_DEPTH and raw.count(b",") <= max_values - opened:
        return
    structure = _STRING.sub(b"", raw)
    opened = structure.count(b"[") + structure.count(b"{")
    if opened + structure.count(b",") > max_values:
        raise JsonOutOfBounds(f"the JSON has more than {max_values} values")
    brackets = structure.translate(None, _NOT_BRACKETS)
    if max(accumulate(map(_STEPS.__getitem__, brackets)), default=0) > MAX_DEPTH:
        raise JsonOutOfBounds(f"the JSON is nested deeper than {MAX_DEPTH} levels")


def check_json(value: Any) -> None:
    """The same for JSON that is parsed already.

    Raises:
        JsonOutOfBounds: It is nested deeper than `MAX_DEPTH` or has more than `MAX_VALUES` values.
    """
    level = [value] if isinstance(value, dict | list) else []
    values = 0
    for _ in range(MAX_DEPTH):
        if not level:
            return
        values += sum(map(len, level))
        if values > MAX_VALUES:
            raise JsonOutOfBounds(f"the JSON has more than {MAX_VALUES} values")
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
    if level:
        raise JsonOutOfBounds(f"the JSON is nested deeper than {MAX_DEPTH} levels")


def parse_json(text: str | bytes) -> Any:
    """The value of foreign JSON, such as the arguments of a tool call that a model wrote.

    Line breaks and tabs in strings are taken as they are, because models write them.

    Raises:
        ValueError: It is no JSON, or it is out of bounds (`JsonOutOfBounds`).
    """
    check_json_text(text)
    return json.loads(text, strict=False)
