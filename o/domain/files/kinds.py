"""What kinds of files can be read, and how one is told from its name, its type and its bytes."""

import codecs
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

HEAD_BYTES: Final = 8_192
"""As much of a file's beginning as `kind_of` looks at."""

KINDS_IN_WORDS: Final = (
    "text, Markdown, HTML, PDF, Word documents (.docx), CSV, JSON and source code"
)
"""What a refusal says can be read."""


class FileKind(StrEnum):
    """How a file is read, and cut into passages."""

    TEXT = "text"
    MARKDOWN = "markdown"
    HTML = "html"
    PDF = "pdf"
    DOCX = "docx"
    TABLE = "table"
    JSON = "json"
    CODE = "code"


_CODE: Final = """
    py pyi ipynb js mjs cjs jsx ts mts cts tsx java kt kts scala groovy gradle go rs c h cc cpp cxx
    hh hpp hxx cs fs fsx vb swift m mm rb php pl pm lua r jl dart ex exs erl hrl hs elm clj cljs
    lisp el scm ml mli zig nim d pas f90 f95 asm s sh bash zsh fish ps1 bat cmd sql graphql gql
    proto tf tfvars hcl nix cmake mk make dockerfile vue svelte astro css scss sass less yaml yml
    toml ini cfg conf properties env xml xsd xsl xslt svg plist po sol vhdl vhd v sv tcl awk
"""
_BY_EXTENSION: Final[Mapping[str, FileKind]] = {
    **dict.fromkeys(_CODE.split(), FileKind.CODE),
    **dict.fromkeys(("txt", "text", "log", "rst", "adoc", "asciidoc", "tex", "srt"), FileKind.TEXT),
    **dict.fromkeys(("md", "markdown", "mdown", "mkd", "mdx", "qmd", "rmd"), FileKind.MARKDOWN),
    **dict.fromkeys(("html", "htm", "xhtml"), FileKind.HTML),
    **dict.fromkeys(("csv", "tsv", "tab", "psv"), FileKind.TABLE),
    **dict.fromkeys(("json", "jsonl", "ndjson", "geojson", "json5", "jsonc"), FileKind.JSON),
    "pdf": FileKind.PDF,
    "docx": FileKind.DOCX,
    "docm": FileKind.DOCX,
    "dotx": FileKind.DOCX,
}
_BY_TYPE: Final[Mapping[str, FileKind]] = {
    "text/markdown": FileKind.MARKDOWN,
    "text/x-markdown": FileKind.MARKDOWN,
    "text/html": FileKind.HTML,
    "application/xhtml+xml": FileKind.HTML,
    "text/csv": FileKind.TABLE,
    "text/tab-separated-values": FileKind.TABLE,
    "application/json": FileKind.JSON,
    "application/jsonl": FileKind.JSON,
    "application/x-ndjson": FileKind.JSON,
    "application/pdf": FileKind.PDF,
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": FileKind.DOCX,
}
_CODE_TYPES: Final = ("text/x-", "application/x-python", "application/javascript", "text/css")
_BINARY: Final = frozenset({FileKind.PDF, FileKind.DOCX})
_WIDE_MARKS: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)
# What stands in no text: the controls but backspace, tab, line and form feed, return and escape.
_CONTROLS: Final = bytes(set(range(0x20)) - {0x08, 0x09, 0x0A, 0x0C, 0x0D, 0x1B} | {0x7F})
_MOST_CONTROLS: Final = 0.05
_FEWEST_WIDE_ZEROS: Final = 0.5


def kind_of(name: str, media_type: str | None, head: bytes) -> FileKind | None:
    """How a file is to be read; None where it cannot be.

    What its bytes say goes before its name, and that before its type: browsers and clients send
    `application/octet-stream`, or what the extension means on their own machine.

    Args:
        name: As it was uploaded; a path's last part counts.
        media_type: Its Content-Type, with or without parameters.
        head: Its first `HEAD_BYTES` bytes.
    """
    told = _by_name(name) or _by_type(media_type)
    if b"%PDF-" in head[:1_024]:
        return FileKind.PDF
    if head.startswith(b"PK\x03\x04"):
        return FileKind.DOCX if told is FileKind.DOCX or b"word/" in head else None
    if told in _BINARY:
        return told  # it is damaged, and told of when it is read
    return (told or FileKind.TEXT) if looks_like_text(head) else None


def looks_like_text(head: bytes) -> bool:
    """Whether the beginning of a file may be text, in any encoding."""
    if not head or head.startswith(_WIDE_MARKS):
        return True
    if wide_encoding(head) is not None:
        return True
    return len(head) - len(head.translate(None, _CONTROLS)) <= _MOST_CONTROLS * len(head)


def wide_encoding(head: bytes) -> str | None:
    """UTF-16 without a mark, told by where its zeros are; None where it is something else."""
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if odd > _FEWEST_WIDE_ZEROS * len(head) / 2 and even * 20 < odd:
        return "utf-16-le"
    if even > _FEWEST_WIDE_ZEROS * len(head) / 2 and odd * 20 < even:
        return "utf-16-be"
    return None


def _by_name(name: str) -> FileKind | None:
    last = name.replace("\\", "/").rpartition("/")[2].lower()
    _, _, extension = last.rpartition(".")
    return _BY_EXTENSION.get(extension)


def _by_type(media_type: str | None) -> FileKind | None:
    plain = (media_type or "").partition(";")[0].strip().lower()
    found = _BY_TYPE.get(plain)
    return FileKind.CODE if found is None and plain.startswith(_CODE_TYPES) else found
