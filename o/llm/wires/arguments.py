"""The arguments of a tool call, which providers write in more ways than one."""

import json
import re
from collections.abc import Iterator
from typing import Any

from pydantic_core import from_json

from o.domain.text import storable_json

# Blanks are taken off what is found: parts that all take them would try every way to share them.
_FENCE = re.compile(r"\s*+```\w*+(.*?)```\s*+", re.DOTALL)
_FILLED = re.compile(r"\S")
_DEEPEST = 3  # JSON in a text in a text
_NOTHING = ("", "null", "[]", '""')  # the list is PHP's word for an empty object


def whole_arguments(written: str | None) -> str:
    """Arguments as they are kept.

    Of a call without any, some write nothing, null or an empty list. What is an object for people
    is made one: packed into a text once more, after `{}`, twice, in a Markdown fence, with line
    ends in texts. Anything else stays as it was written.
    """
    if not written or written.strip() in _NOTHING:
        return "{}"
    if _is_object(written):
        return written
    found = object_in(written)
    return written if found is None else json.dumps(storable_json(found), ensure_ascii=False)


def object_in(written: str) -> dict[str, Any] | None:
    """The object that arguments mean, None where that is not plain."""
    text = written
    for _ in range(_DEEPEST):
        if fenced := _FENCE.fullmatch(text):
            text = fenced[1].strip()
        try:
            values = list(_values_in(text))
        except (ValueError, RecursionError):
            return None
        filled = [value for value in values if value != {}]
        if not filled:
            return {} if values else None
        if any(value != filled[0] for value in filled):
            return None
        if not isinstance(filled[0], str):
            return filled[0] if isinstance(filled[0], dict) else None
        text = filled[0]
    return None


def _is_object(text: str) -> bool:
    try:
        return isinstance(from_json(text), dict)
    except ValueError:
        pass
    try:  # half a surrogate pair is for others to mend
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _values_in(text: str) -> Iterator[Any]:
    """The values that stand one behind the other.

    Raises:
        ValueError: There is something else.
    """
    decoder = json.JSONDecoder(strict=False)
    at = 0  # the text is never cut: that would copy all the rest of it for each value
    while found := _FILLED.search(text, at):
        value, at = decoder.raw_decode(text, found.start())
        yield value
