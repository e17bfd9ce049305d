"""Lists of a file that are too long to be held, such as histories: they wait for it on disk."""

import json
import re
import secrets
from collections.abc import Iterable, Iterator
from tempfile import SpooledTemporaryFile
from typing import Any

_HELD_BYTES = 1024 * 1024
_PIECE_BYTES = 64 * 1024
_LINE = "\n" + 8 * " "
_LAST_LINE = b"\n" + 6 * b" "
"""How far entries are indented: a list is of a thing, and that is in a list of the document."""


class LongLists:
    """The long lists of one document, which are filled one after the other.

    They take room where temporary files are, until this is closed.
    """

    def __init__(self) -> None:
        self._file = SpooledTemporaryFile(max_size=_HELD_BYTES)  # noqa: SIM115
        self._starts: list[int] = []
        self._mark = secrets.token_hex(16)  # which stands in no document otherwise

    def begin(self) -> str:
        """Begin a list. What is returned stands for it in the document."""
        self._starts.append(self._file.tell())
        return f"{self._mark}-{len(self._starts) - 1}"

    def add(self, entries: Iterable[Any]) -> None:
        """Add to the list that was begun last; not for the event loop, since it takes its time."""
        for entry in entries:
            self._file.write(f",{_LINE}{_as_json(entry).replace(chr(10), _LINE)}".encode())

    def written(self, document: Any) -> Iterator[bytes]:
        """The document as JSON with its lists, in pieces. Nothing may be added any more."""
        self._starts.append(self._file.tell())
        parts = re.split(f'"{self._mark}-(\\d+)"', _as_json(document))
        return self._pieces(parts)

    def close(self) -> None:
        """Free the room on disk. Nothing can be added or read any more."""
        self._file.close()

    def _pieces(self, parts: list[str]) -> Iterator[bytes]:
        """Of what stands between the lists, and in between the number of each list."""
        yield parts[0].encode()
        for number, behind in zip(parts[1::2], parts[2::2], strict=True):
            yield from self._list(int(number))
            yield behind.encode()

    def _list(self, number: int) -> Iterator[bytes]:
        start, end = self._starts[number : number + 2]
        if start == end:
            yield b"[]"
            return
        yield b"["
        start += 1  # no comma is ahead of the first
        self._file.seek(start)
        while start < end:
            piece = self._file.read(min(_PIECE_BYTES, end - start))
            start += len(piece)
            yield piece
        yield _LAST_LINE + b"]"


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)
