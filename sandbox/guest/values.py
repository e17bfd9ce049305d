"""JSON of what a tool returned, written by hand: what the tool did to `json` does not matter."""

from __future__ import annotations

import binascii
import datetime
import enum
import re
from collections import deque
from collections.abc import Mapping
from json.encoder import encode_basestring
from typing import Any

MAX_DEPTH = 100
_MAX_INTEGER_BITS = 3_321  # a thousand digits
_NOT_IN_TEXT = re.compile("[\x00\ud800-\udfff]")
_DATES = (datetime.date, datetime.time)
_LISTS: tuple[type[Any], ...] = (
    list,
    tuple,
    deque,
    range,
    type({}.keys()),
    type({}.values()),
    type({}.items()),
)


class NotJson(Exception):
    """A value that has no answer in JSON, in words for whoever wrote the tool."""


class _Full(Exception):
    """There is more than may be written."""


def clean(text: str) -> str:
    """The text without NUL and lone surrogates, which PostgreSQL and UTF-8 do not take."""
    return _NOT_IN_TEXT.sub("\ufffd", text)


def to_json(value: Any, limit: int) -> str:
    """A value as JSON; what is too long comes as a string that says so.

    Args:
        value: Anything: models of Pydantic, dataclasses, sets, dates, numpy; else its `str`.
        limit: Bytes of the JSON, roughly.

    Raises:
        NotJson: It is nested too deep, holds itself, or a number that JSON has not.
    """
    if isinstance(value, str) and not isinstance(value, enum.Enum):
        return _text_json(clean(str.__str__(value)), limit)
    writer = _Writer(limit)
    try:
        writer.write(value, 0)
    except _Full:
        return _text_json("".join(writer.pieces), limit)
    return "".join(writer.pieces)


def _text_json(text: str, limit: int) -> str:
    """A text as JSON, of which the escapes may take as much again as the text."""
    most, written = 2 * limit, encode_basestring(_cut(text, limit))
    while len(written) > most:
        limit //= 2
        written = encode_basestring(_cut(text, limit))
    return written


def _cut(text: str, limit: int) -> str:
    if len(text) * 4 <= limit or len(text.encode()) <= limit:
        return text
    kept = text.encode()[:limit].decode(errors="ignore")
    return f"{kept}\n[NOTE: the result was longer than {limit} bytes; the rest is left out]"


class _Writer:
    """Writes one value in pieces, until it has come to its end or its limit."""

    def __init__(self, limit: int) -> None:
        self.pieces: list[str] = []
        self._left = limit
        self._open: set[int] = set()

    def write(self, value: Any, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise NotJson(f"the result is nested more than {MAX_DEPTH} levels deep")
        plain = _plain(value)
        if isinstance(plain, (dict, list)):
            # What holds a thing is known by the thing itself, as its plain form may be new.
            if id(value) in self._open:
                raise NotJson("the result contains itself")
            self._open.add(id(value))
            if isinstance(plain, dict):
                self._write_object(plain, depth)
            else:
                self._write_array(plain, depth)
            self._open.discard(id(value))
        else:
            self._put(_scalar(plain))

    def _write_object(self, items: dict[Any, Any], depth: int) -> None:
        self._put("{")
        for number, (key, value) in enumerate(items.items()):
            self._put(("," if number else "") + encode_basestring(_key(key)) + ":")
            self.write(value, depth + 1)
        self._put("}")

    def _write_array(self, values: list[Any], depth: int) -> None:
        self._put("[")
        for number, value in enumerate(values):
            if number:
                self._put(",")
            self.write(value, depth + 1)
        self._put("]")

    def _put(self, piece: str) -> None:
        self.pieces.append(piece)
        self._left -= len(piece) if piece.isascii() else len(piece.encode())
        if self._left < 0:
            raise _Full


def _scalar(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        if int.bit_length(value) > _MAX_INTEGER_BITS:
            raise NotJson("the result holds an integer of more than 1,000 digits")
        return int.__repr__(value)
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):  # noqa: PLR0124 - NaN
            raise NotJson("the result holds NaN or an infinity, which JSON has not")
        return float.__repr__(value)
    return encode_basestring(clean(str.__str__(value)))


def _key(key: Any) -> str:
    if isinstance(key, str) and not isinstance(key, enum.Enum):
        return clean(str.__str__(key))
    plain = _plain(key)
    return clean(plain if isinstance(plain, str) else str(plain))


def _plain(value: Any) -> Any:  # noqa: PLR0911 - one line for each kind
    """The value as a dict, a list, a text, a number or None."""
    if value is None or type(value) in (str, bool, int, float, dict, list):
        return value
    if isinstance(value, enum.Enum):
        return _plain(value.value)
    if isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, _LISTS):
        return list(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)):
        return _sorted(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return _text(bytes(value))
    if isinstance(value, _DATES):
        return value.isoformat()
    return _foreign(value)


def _foreign(value: Any) -> Any:
    kind = type(value)
    if hasattr(kind, "__dataclass_fields__"):
        fields = kind.__dataclass_fields__
        return {name: getattr(value, name) for name in fields if hasattr(value, name)}
    if callable(getattr(kind, "model_dump", None)):
        return dict(value.model_dump(mode="json"))
    if hasattr(kind, "__fields__") and callable(getattr(kind, "dict", None)):
        return dict(value.dict())
    if kind.__module__.partition(".")[0] == "numpy" and hasattr(value, "tolist"):
        return _plain(value.tolist())
    return str(value)  # decimals, UUIDs, paths, errors, and what nobody knows


def _sorted(values: Any) -> list[Any]:
    try:
        return sorted(values)
    except TypeError:
        return list(values)


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return binascii.b2a_base64(data, newline=False).decode()
