r"""The file of a backup: what is in it, in which order, and how damage to it shows.

    O backup 1\n                  the number is the format's
    H  JSON                      what it is a backup of (`Header`)
    T  JSON                      a table follows: its name and columns
    D  rows of it, or parts of    as PostgreSQL's COPY writes them, packed by zlib; often
       a large one
    E  JSON                      what there is in all (`Totals`)
    32 bytes                     SHA-256 of everything before

Each part is a letter, its length in four bytes, and that many bytes. It is written and read from
its beginning to its end, in pieces of a megabyte, so that it may go through a pipe and be of any
size. What lacks its end is none: a backup that was killed, or is cut short.
"""

import hashlib
import json
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, BinaryIO

from pydantic import TypeAdapter, ValidationError

from o.errors import InvalidInput

FORMAT = 1

_BEGINNING = b"O backup "
_FIRST_LINE = re.compile(rb"O backup ([0-9]{1,6})\n")
_FIRST_LINE_BYTES = 16
_PART = struct.Struct(">cI")
_PIECE_BYTES = 1 << 20
_LARGEST_PART_BYTES = 1 << 30
"""PostgreSQL's own limit for a row."""
_DIGEST_BYTES = 32
_LEVEL = 3
_OTHERS = {
    b"PGDMP": "a dump of PostgreSQL: `pg_restore` reads it",
    b"--\n-- PostgreSQL": "a dump of PostgreSQL: `psql` reads it",
    b"\x1f\x8b": "packed by gzip: unpack it first",
    b"\x28\xb5\x2f\xfd": "packed by zstd: unpack it first",
    b"SQLite format 3": "a database of SQLite",
}


@dataclass(frozen=True)
class Header:
    """What a backup is one of.

    Attributes:
        release: The release of O that made it.
        revision: Of the schema.
        created_at: When the snapshot was taken, in ISO 8601.
        postgres: The version of the server that it was taken from.
        keys: The encryption keys themselves, where the operator wanted them in it.
    """

    release: str
    revision: str
    created_at: str
    postgres: str
    keys: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Totals:
    """What a backup holds in all.

    Attributes:
        rows: By table.
        sequences: The last value of each, and whether it was given out.
        sealed_by: Names of the keys by which secrets in it are encrypted.
    """

    rows: dict[str, int] = field(default_factory=dict)
    sequences: dict[str, tuple[int, bool]] = field(default_factory=dict)
    sealed_by: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Table:
    """The table whose rows follow."""

    name: str
    columns: list[str]


class Writer:
    """Writes a backup from its beginning to its end."""

    def __init__(self, out: BinaryIO, header: Header) -> None:
        self._out = out
        self._digest = hashlib.sha256()
        self._rows = bytearray()
        self._put(b"%s%d\n" % (_BEGINNING, FORMAT))
        self._part(b"H", _json(asdict(header)))

    def begin(self, table: Table) -> None:
        """The rows of a table follow."""
        self._flush()
        self._part(b"T", _json(asdict(table)))

    def add(self, rows: bytes | bytearray | memoryview) -> None:
        """Some of its rows, as COPY writes them. A large one goes into several parts."""
        for start in range(0, len(rows), _PIECE_BYTES):
            self._rows += memoryview(rows)[start : start + _PIECE_BYTES]
            if len(self._rows) >= _PIECE_BYTES:
                self._flush()

    def finish(self, totals: Totals) -> None:
        """Only now it is a backup."""
        self._flush()
        self._part(b"E", _json(asdict(totals)))
        self._out.write(self._digest.digest())

    def _flush(self) -> None:
        if self._rows:
            self._part(b"D", zlib.compress(self._rows, _LEVEL))
            self._rows.clear()

    def _part(self, kind: bytes, payload: bytes) -> None:
        self._put(_PART.pack(kind, len(payload)))
        self._put(payload)

    def _put(self, data: bytes) -> None:
        self._digest.update(data)
        self._out.write(data)


class Reader:
    """Reads a backup from its beginning to its end.

    Attributes:
        header: What it is a backup of.
        totals: What there is in all, once `parts` has come to its end.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        """Read its beginning.

        Raises:
            InvalidInput: It is no backup, or one that this release cannot read.
        """
        self._file = file
        self._name = name
        self._digest = hashlib.sha256()
        self.totals = Totals()
        self._check_first_line()
        kind, payload = self._part()
        if kind != b"H":
            raise self._damaged()
        self.header = self._read(Header, payload)

    def parts(self) -> Iterator[Table | bytes]:
        """Each table, and behind it pieces of its rows; at the end the checksum is compared.

        Raises:
            InvalidInput: It is damaged or cut short.
        """
        while True:
            kind, payload = self._part()
            if kind == b"T":
                yield self._read(Table, payload)
            elif kind == b"D":
                yield from self._unpacked(payload)
            elif kind == b"E":
                break
            else:
                raise self._damaged()
        digest = self._digest.digest()
        if self._exactly(_DIGEST_BYTES) != digest or self._file.read(1):
            raise self._damaged()
        self.totals = self._read(Totals, payload)

    def _check_first_line(self) -> None:
        first = self._file.readline(_FIRST_LINE_BYTES)
        if (found := _FIRST_LINE.fullmatch(first)) is None:
            raise self._foreign(first)
        if int(found[1]) != FORMAT:
            raise InvalidInput(
                f"{self._name} has the form {int(found[1])} of backups, and this release reads "
                f"{FORMAT}: restore it with the release that made it, or a later one"
            )
        self._digest.update(first)

    def _foreign(self, first: bytes) -> InvalidInput:
        if not first:
            return InvalidInput(f"{self._name} is empty: it is no backup")
        if _BEGINNING.startswith(first) or (
            first.startswith(_BEGINNING) and first[len(_BEGINNING) :].isdigit()
        ):
            return self._cut_short()
        start = first + self._file.read(_FIRST_LINE_BYTES)
        known = [what for mark, what in _OTHERS.items() if start.startswith(mark)]
        what = f"It is {known[0]}" if known else "It is another program's, or its beginning is lost"
        return InvalidInput(f"{self._name} is no backup that `o backup` made. {what}")

    def _part(self) -> tuple[bytes, bytes]:
        head = self._exactly(_PART.size)
        kind, length = _PART.unpack(head)
        if kind not in b"HTDE" or length > _LARGEST_PART_BYTES:
            raise self._damaged()
        payload = self._exactly(length)
        self._digest.update(head)
        self._digest.update(payload)
        return kind, payload

    def _exactly(self, size: int) -> bytes:
        found = self._file.read(size)
        if len(found) < size:
            raise self._cut_short()
        return found

    def _unpacked(self, payload: bytes) -> Iterator[bytes]:
        """In pieces: what somebody has made may be a thousand times as much as it was packed."""
        unpacking = zlib.decompressobj()
        while not unpacking.eof:
            try:
                piece = unpacking.decompress(payload, _PIECE_BYTES)
            except zlib.error:
                raise self._damaged() from None
            payload = unpacking.unconsumed_tail
            if not piece and not payload and not unpacking.eof:
                raise self._damaged()
            if piece:
                yield piece

    def _read(self, kind: type[Any], payload: bytes) -> Any:
        try:
            return TypeAdapter(kind).validate_json(payload)
        except ValidationError:
            raise self._damaged() from None

    def _cut_short(self) -> InvalidInput:
        return InvalidInput(
            f"{self._name} is cut short: the backup was stopped, or not all of it was copied. "
            "Nothing can be restored from it"
        )

    def _damaged(self) -> InvalidInput:
        return InvalidInput(
            f"{self._name} is damaged: it is not what `o backup` wrote. Take another copy of it"
        )


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
