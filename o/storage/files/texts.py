"""The texts of files, read in pieces: none is held whole, and no transaction is open meanwhile."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from sqlalchemy import text

from o.storage.database import Database

PIECE_CHARS = 250_000
_FILES_AT_ONCE = 32

_BEGINNINGS = text(
    """
    SELECT file_id, left(text, :chars) AS piece, char_length(text) AS total
    FROM file_contents WHERE file_id = ANY(CAST(:ids AS text[]))
    """
)
_PIECE = text(
    """
    SELECT substr(text, :start, :chars) AS piece, char_length(text) AS total
    FROM file_contents WHERE file_id = :file_id
    """
)


@dataclass(frozen=True)
class TextPiece:
    """A part of a file's text; those of one file come one after the other."""

    file_id: str
    text: str
    is_last: bool


async def read_texts(database: Database, file_ids: Sequence[str]) -> AsyncIterator[list[TextPiece]]:
    """The texts of files in the order given, some pieces at a time; those without are left out.

    A file that is replaced while it is read ends early, or goes on with its new text.
    """
    for place in range(0, len(file_ids), _FILES_AT_ONCE):
        ids = list(file_ids[place : place + _FILES_AT_ONCE])
        async with database.quick() as quick:
            rows = await quick.execute(_BEGINNINGS, {"ids": ids, "chars": PIECE_CHARS})
        begun = {row.file_id: row for row in rows.all()}
        pieces: list[TextPiece] = []
        for file_id in ids:
            if (row := begun.pop(file_id, None)) is None:
                continue
            at, is_last = len(row.piece), row.total <= len(row.piece)
            pieces.append(TextPiece(file_id, row.piece, is_last))
            while not is_last:
                yield pieces
                piece, total = await _read_piece(database, file_id, at)
                at += len(piece)
                is_last = not piece or at >= total
                pieces = [TextPiece(file_id, piece, is_last)]
        if pieces:
            yield pieces


async def _read_piece(database: Database, file_id: str, at: int) -> tuple[str, int]:
    values = {"file_id": file_id, "start": at + 1, "chars": PIECE_CHARS}
    async with database.quick() as quick:
        row = (await quick.execute(_PIECE, values)).one_or_none()
    return ("", 0) if row is None else (row.piece, row.total)
