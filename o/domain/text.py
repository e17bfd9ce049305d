"""Foreign text made fit to be stored: PostgreSQL takes neither NUL nor lone surrogates."""

import math
from typing import Any

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def storable(text: str) -> str:
    """`text` with NUL and lone surrogates replaced by U+FFFD."""
    if text.isascii() and "\0" not in text:
        return text
    return (
        text.replace("\0", _REPLACEMENT)
        .encode("utf-16", "surrogatepass")
        .decode("utf-16", "replace")
    )


def storable_json(value: Any) -> Any:
    """The same for every string and key inside a JSON value; NaN and infinities become null."""
    match value:
        case str():
            return storable(value)
        case float():
            return value if math.isfinite(value) else None
        case list():
            return [storable_json(item) for item in value]
        case dict():
            return {storable(key): storable_json(item) for key, item in value.items()}
        case _:
            return value


def cut(text: str, limit: int) -> str:
    """The beginning of a text that is longer than `limit` characters, with V1's note behind it."""
    if len(text) <= limit:
        return text
    note = f"{len(text)} characters, of which these are the first {limit}"
    return f"{text[:limit]}... [NOTE: function output was truncated: it had {note}]"
