"""Text cut into what passages hold: as large as asked for, and where the text has its joints.

Text that is longer than a section is cut into sections first. What finds the joints looks at all
that is in front of it, again and again, where the next paragraph or word is far away: a book
without blank lines would take minutes, and a line of many megabytes for ever.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate
from typing import Final

from semantic_text_splitter import MarkdownSplitter, TextSplitter

from o.domain.files.kinds import FileKind
from o.domain.files.reading import DEFAULT_CHUNK_TOKENS, Chunks
from o.memory.estimates import estimate

_SECTION_CHARS: Final = 16_000
"""What a chunk never exceeds either: less than any embedding model is given of a text."""

_RUN_CHARS: Final = 1_000
"""What stands together without a blank is cut into pieces once it is longer than this."""

_PIECE_CHARS: Final = 1_500
_MOST_HEADER_SHARE: Final = 4
_BREAKS: Final = (
    re.compile(r"\n[^\S\n]*\n"),
    re.compile(r"\n"),
    re.compile(r"[.!?…]\s|[。！？]"),
    re.compile(r"\s|[，、；]"),
)
_RUN: Final = re.compile(rf"\S{{{_RUN_CHARS}}}")
_BY_LINES: Final = frozenset({FileKind.CODE, FileKind.TABLE, FileKind.JSON})
_AS_MARKDOWN: Final = frozenset({FileKind.MARKDOWN, FileKind.HTML, FileKind.PDF, FileKind.DOCX})


def chunk(text: str, kind: FileKind, *, most_tokens: int = DEFAULT_CHUNK_TOKENS) -> Chunks:
    """Cut a text. The same text is cut alike each time.

    Args:
        text: Of a file, as it was read.
        kind: Code, tables and JSON are cut between lines; what was made Markdown, by its headings.
        most_tokens: Of one chunk, by O's estimate; see `chunk_tokens`.
    """
    header = _header_of(text, most_tokens) if kind is FileKind.TABLE else ""
    left = most_tokens - (estimate(header) if header else 0)
    cut = _by_lines if kind in _BY_LINES else _by_meaning
    spans = [
        span
        for start, end in _sections(text, left)
        for span in cut(text, start, end, left, kind)
        if not text[slice(*span)].isspace()
    ]
    return Chunks(spans, header)


def _sections(text: str, most_tokens: int) -> Iterator[tuple[int, int]]:
    """The text in parts of bounded length, cut where a paragraph, line or sentence ends."""
    for start, end in _parts(text, 0, len(text), _SECTION_CHARS):
        if _RUN.search(text, start, end):
            yield from _parts(text, start, end, max(_PIECE_CHARS, 2 * most_tokens))
        else:
            yield start, end


def _parts(text: str, start: int, end: int, most_chars: int) -> Iterator[tuple[int, int]]:
    while end - start > most_chars:
        cut = _last_break(text, start + most_chars // 2, start + most_chars)
        yield start, cut
        start = cut
    if start < end:
        yield start, end


def _last_break(text: str, start: int, end: int) -> int:
    """The best place to cut between two places: behind the last joint of the largest kind."""
    for pattern in _BREAKS:
        found = None
        for found in pattern.finditer(text, start, end):  # noqa: B007  the last one is wanted
            pass
        if found is not None:
            return found.end()
    return end


def _by_meaning(
    text: str, start: int, end: int, most_tokens: int, kind: FileKind
) -> list[tuple[int, int]]:
    splitter = MarkdownSplitter if kind in _AS_MARKDOWN else TextSplitter
    made = splitter.from_callback(estimate, most_tokens)
    found = made.chunk_indices(text[start:end])
    return [(start + place, start + place + len(part)) for place, part in found]


def _by_lines(
    text: str, start: int, end: int, most_tokens: int, kind: FileKind
) -> list[tuple[int, int]]:
    """Whole lines, as many as have room together; a line that is too long for one is cut."""
    lines = text[start:end].splitlines(keepends=True)
    ends = list(accumulate((len(line) for line in lines), initial=start))
    # The estimate of lines together is that of each, within one token a line.
    sizes = list(accumulate((estimate(line) if len(line) > 1 else 1 for line in lines), initial=0))
    found: list[tuple[int, int]] = []
    first = 0
    while first < len(lines):
        last = bisect_right(sizes, sizes[first] + most_tokens, lo=first) - 1
        if last > first:
            found.append((ends[first], ends[last]))
            first = last
        else:
            found += _by_meaning(text, ends[first], ends[first + 1], most_tokens, kind)
            first += 1
    return found


def _header_of(text: str, most_tokens: int) -> str:
    """The first line of a table, where it leaves most of a chunk to others."""
    line = text[:_SECTION_CHARS].partition("\n")[0] + "\n"
    is_short = estimate(line) * _MOST_HEADER_SHARE <= most_tokens
    return line if is_short and len(line) < len(text) else ""
