"""What a provider adds to a reply and wants back, gathered from the pieces of the reply."""

import logging
from typing import Any

from pydantic_core import to_json

_TEXTS = ("text", "summary", "thinking")
_ENCRYPTED = "data"
_SIGNED = "signature"
_MOST_BYTES = 4 * 1024 * 1024  # of all pieces; most of it is around what they say
_log = logging.getLogger(__name__)

Fields = dict[str, Any]


class Added:
    """What is added in pieces. Lists of texts grow; of anything else the last piece counts."""

    def __init__(self) -> None:
        self._pieces: list[Fields] = []
        self._bytes = 0

    @property
    def is_any(self) -> bool:
        """Whether anything came."""
        return self._bytes > 0

    def add(self, piece: Fields) -> None:
        """Take a piece."""
        if not piece or self._bytes > _MOST_BYTES:
            return
        self._bytes += len(to_json(piece, fallback=str))
        self._pieces.append(piece)
        if self._bytes > _MOST_BYTES:
            self._pieces.clear()
            _log.warning(
                "what a provider added to its reply is too large to be kept",
                extra={"fields": sorted(piece)},
            )

    def whole(self) -> Fields:
        """All of it; nothing where it was out of bounds."""
        whole: Fields = {}
        lists: dict[str, _Entries] = {}
        for piece in self._pieces:
            for name, value in piece.items():
                if isinstance(value, list):
                    lists.setdefault(name, _Entries()).add(value)
                elif isinstance(value, dict) and isinstance(whole.get(name), dict):
                    whole[name] = whole[name] | value
                else:
                    whole[name] = value
        return whole | {name: entries.whole() for name, entries in lists.items()}


class _Entries:
    """A list that comes in pieces.

    OpenRouter numbers the entries, and sends the signature of one by itself at its end. Without
    numbers a piece belongs to the last entry, while that is not signed.
    """

    def __init__(self) -> None:
        self._entries: list[tuple[Fields, dict[str, list[str]]]] = []
        self._by_number: dict[tuple[str, str], int] = {}

    def add(self, pieces: list[Any]) -> None:
        for piece in pieces:
            place = self._place_of(piece)
            if place is None:
                place = len(self._entries)
                self._entries.append(({}, {}))
            fields, texts = self._entries[place]
            for name, value in piece.items():
                if name in _TEXTS and isinstance(value, str):
                    texts.setdefault(name, []).append(value)
                    fields.setdefault(name, "")
                elif value is not None or name not in fields:
                    fields[name] = value
            if (key := _number_of(piece)) is not None:
                self._by_number[key] = place

    def whole(self) -> list[Fields]:
        return [
            fields | {name: "".join(parts) for name, parts in texts.items()}
            for fields, texts in self._entries
        ]

    def _place_of(self, piece: Fields) -> int | None:
        if not self._entries or _ENCRYPTED in piece:
            return None
        if (key := _number_of(piece)) is not None:
            return self._by_number.get(key)
        last, _ = self._entries[-1]
        is_open = last.get("type") == piece.get("type") and not last.get(_SIGNED)
        return len(self._entries) - 1 if is_open and _ENCRYPTED not in last else None


def _number_of(piece: Fields) -> tuple[str, str] | None:
    number = piece.get("index")
    return None if number is None else (str(piece.get("type")), str(number))
