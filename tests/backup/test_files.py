"""What a backup's file must not let pass: anything that `o backup` did not write to its end."""

import hashlib
import io
import random
import tracemalloc

import pytest

from o.errors import InvalidInput
from server.backup.file import Header, Reader, Table, Totals, Writer

HEADER = Header("1.2.3", "0001", "2026-01-01T00:00:00+00:00", "18.4")
TOTALS = Totals({"agents": 2}, {"agents_seq": (7, True)}, ["00ff00ff00ff00ff"])


def _written(rows: bytes = b"a\tb\nc\td\n") -> bytes:
    out = io.BytesIO()
    writer = Writer(out, HEADER)
    writer.begin(Table("agents", ["id", "name"]))
    writer.add(rows)
    writer.finish(TOTALS)
    return out.getvalue()


def _read(data: bytes) -> list[object]:
    reader = Reader(io.BytesIO(data), "some.backup")
    parts: list[object] = list(reader.parts())
    return [reader.header, *parts, reader.totals.rows]


def test_what_was_written_is_read_again() -> None:
    rows = b"a row\n" * 1_000_000
    header, table, *pieces, totals = _read(_written(rows))
    assert (header, table, totals) == (HEADER, Table("agents", ["id", "name"]), TOTALS.rows)
    assert b"".join(piece for piece in pieces if isinstance(piece, bytes)) == rows
    assert len(_written(rows)) < len(rows) / 50


def test_a_file_that_ends_too_early_is_refused_wherever_it_ends() -> None:
    whole = _written()
    with pytest.raises(InvalidInput, match="is empty"):
        _read(b"")
    for length in range(1, len(whole)):
        with pytest.raises(InvalidInput, match="cut short"):
            _read(whole[:length])


def test_a_file_in_which_any_bit_was_flipped_is_refused() -> None:
    whole = _written()
    chance = random.Random(7)
    for place in range(len(whole)):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << chance.randrange(8)
        with pytest.raises(InvalidInput):
            _read(bytes(flipped))


def test_a_large_row_is_written_and_read_in_pieces_of_which_none_is_large() -> None:
    row = random.Random(7).randbytes(16 << 20)
    out = io.BytesIO(bytes(20 << 20))  # which has its room
    tracemalloc.start()
    try:
        writer = Writer(out, HEADER)
        writer.begin(Table("agents", ["id", "name"]))
        writer.add(row)
        writer.finish(TOTALS)
        out.truncate()
        out.seek(0)
        reading = hashlib.sha256()
        for piece in Reader(out, "some.backup").parts():
            if isinstance(piece, bytes):
                reading.update(piece)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert reading.digest() == hashlib.sha256(row).digest()
    assert peak < 8 << 20


def test_what_is_small_and_unpacks_to_much_comes_in_pieces(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as larger:
        larger.setattr("server.backup.file._PIECE_BYTES", 64 << 20)
        much = _written(bytes(64 << 20))
    assert len(much) < 1 << 20
    sizes = [len(piece) for piece in _read(much) if isinstance(piece, bytes)]
    assert (sum(sizes), max(sizes)) == (64 << 20, 1 << 20)


@pytest.mark.parametrize("keys", [b"12", b"{}"])
def test_a_file_that_says_nonsense_of_itself_is_refused(keys: bytes) -> None:
    whole = _written()
    assert b'"keys": []' in whole
    with pytest.raises(InvalidInput, match="damaged"):
        _read(whole.replace(b'"keys": []', b'"keys": ' + keys))


def test_a_file_with_something_behind_its_end_is_refused() -> None:
    with pytest.raises(InvalidInput, match="damaged"):
        _read(_written() + b"\n")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"PGDMP\x01\x10\x00", "`pg_restore` reads it"),
        (b"--\n-- PostgreSQL database dump\n", "`psql` reads it"),
        (b"\x1f\x8b\x08\x00", "packed by gzip"),
        (b"SQLite format 3\x00", "a database of SQLite"),
        (b"\x00" * 100, "another program's"),
        (b"O backup 2\nwhatever", "has the form 2 of backups, and this release reads 1"),
        (b"O backup one\n", "another program's"),
    ],
)
def test_a_file_of_another_kind_is_refused_with_what_it_is(data: bytes, words: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        _read(data)
    assert words in refused.value.message
    assert "some.backup" in refused.value.message
