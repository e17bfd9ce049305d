"""What a file is, is told from its bytes first, then its name, then what its client says."""

import pytest

from o.domain.files.kinds import FileKind, kind_of

_ZIP = b"PK\x03\x04" + bytes(30)


@pytest.mark.parametrize(
    ("name", "media_type", "head", "kind"),
    [
        ("notes.txt", "text/plain", b"hello", FileKind.TEXT),
        ("README.md", "application/octet-stream", b"# hello", FileKind.MARKDOWN),
        ("a/b.c/paper.PDF", None, b"%PDF-1.7", FileKind.PDF),
        ("paper.txt", "text/plain", b"junk before %PDF-1.4", FileKind.PDF),
        ("letter.docx", None, _ZIP, FileKind.DOCX),
        ("letter", "application/octet-stream", _ZIP + b"word/document.xml", FileKind.DOCX),
        ("sheet.xlsx", "application/vnd.ms-excel", _ZIP + b"xl/workbook.xml", None),
        ("data.csv", "application/vnd.ms-excel", b"a,b\n1,2\n", FileKind.TABLE),
        ("data.jsonl", None, b"{}\n{}", FileKind.JSON),
        ("page", "text/html; charset=utf-8", b"<p>", FileKind.HTML),
        ("main.py", None, b"import os", FileKind.CODE),
        ("video.ts", "video/mp2t", b"export const a = 1", FileKind.CODE),
        ("Dockerfile", None, b"FROM scratch", FileKind.CODE),
        ("script", "text/x-python", b"pass", FileKind.CODE),
        ("LICENSE", None, b"Permission is granted", FileKind.TEXT),
        ("wide.txt", None, "wide text".encode("utf-16"), FileKind.TEXT),
        ("wide.txt", None, "wide text".encode("utf-16-le"), FileKind.TEXT),
        ("empty", None, b"", FileKind.TEXT),
        ("picture.txt", "text/plain", b"\x89PNG\r\n\x1a\n" + bytes(40), None),
        ("program", "text/plain", b"\x7fELF\x02\x01\x01" + bytes(40), None),
        ("picture.jpg", "image/jpeg", b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01", None),
        ("legacy.doc", "application/msword", b"\xd0\xcf\x11\xe0\xa1\xb1" + bytes(500), None),
        ("not.pdf", "application/pdf", b"hello", FileKind.PDF),
        ("", "", b"words", FileKind.TEXT),
        ("x" * 5_000 + ".md", "\0", b"words", FileKind.MARKDOWN),
    ],
)
def test_files_are_told_apart(
    name: str, media_type: str | None, head: bytes, kind: FileKind | None
) -> None:
    assert kind_of(name, media_type, head) is kind
