"""Lines of a text that fit a pattern, found while the text comes in pieces; in V1's form."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from o.tools.files import GREP_FILES, GREP_PAGE

MAX_LINE_CHARS = 4_000_000
"""A longer line is searched in parts."""

_SHOWN_CHARS = 500
_SHOWN_FILES = 50
_MAX_CONTEXT = 20
_RULE = "=" * 80


@dataclass
class LineMatch:
    """A line that fits, with those around it; each as it is shown, with its number."""

    number: int
    line: str
    before: list[tuple[int, str]] = field(default_factory=list)
    after: list[tuple[int, str]] = field(default_factory=list)


class FileSearch:
    """The search of one file. It is fed the text from its beginning on.

    Attributes:
        count: How many lines fit.
        matches: Those of the page that is wanted.
    """

    def __init__(self, regex: Any, *, context: int, skip: int, most: int = GREP_PAGE) -> None:
        """Nothing is searched yet.

        Args:
            regex: Of `o.tools.patterns.line_pattern`.
            context: Lines that are shown before and after each match.
            skip: Matches of this file that are counted and not kept.
            most: How many are kept behind them.
        """
        self.count = 0
        self.matches: list[LineMatch] = []
        self._regex = regex
        self._context = max(0, min(context, _MAX_CONTEXT))
        self._skip, self._most = skip, most
        self._carry = ""
        self._line = 1  # the number of the first line that is to come
        self._tail: deque[tuple[int, str]] = deque(maxlen=self._context)
        self._open: list[LineMatch] = []  # those that lack lines behind them

    def feed(self, piece: str, *, is_last: bool = False) -> None:
        """Search a piece, which may begin and end anywhere."""
        text = self._carry + piece
        end = len(text) if is_last else text.rfind("\n") + 1
        if not end and len(text) > MAX_LINE_CHARS:
            end = len(text)
        block, self._carry = text[:end], text[end:]
        if not is_last and block.endswith("\r"):  # of a long line that is cut
            block, self._carry = block[:-1], "\r" + self._carry
        if block:
            self._search(block.replace("\r\n", "\n").encode(errors="replace"))

    def _search(self, block: bytes) -> None:
        self._finish(block)
        found, number, counted, size = self._regex.search, self._line, 0, len(block)
        at = 0
        while at < size and (match := found(block, at)) is not None:
            start = block.rfind(b"\n", 0, match.start()) + 1
            if start >= size:  # behind the last line feed no line begins
                break
            end = block.find(b"\n", match.start())
            end = size if end < 0 else end
            number += block.count(b"\n", counted, start)
            counted = start
            self._note(block, number, start, end, match.start())
            at = end + 1
        last = self._line + block.count(b"\n")
        self._keep_tail(block, last)
        self._line = last

    def _note(self, block: bytes, number: int, start: int, end: int, at: int) -> None:
        self.count += 1
        if not self._skip < self.count <= self._skip + self._most:
            return
        match = LineMatch(number, _excerpt(block[start:end], at - start))
        before = _last_lines(block, start, number, self._context)
        missing = self._context - len(before)
        earlier = [one for one in self._tail if one[0] < number - len(before)]
        match.before = [*(earlier[-missing:] if missing else ()), *before]
        match.after = _next_lines(block, end + 1, number + 1, self._context)
        self.matches.append(match)
        if len(match.after) < self._context:
            self._open.append(match)

    def _finish(self, block: bytes) -> None:
        """Give matches near the end of the last piece the lines that follow them."""
        still_open = []
        for match in self._open:
            first = match.number + len(match.after) + 1
            if first != self._line:  # what follows is the rest of a long line
                continue
            missing = self._context - len(match.after)
            match.after += _next_lines(block, 0, first, missing)
            if len(match.after) < self._context:
                still_open.append(match)
        self._open = still_open

    def _keep_tail(self, block: bytes, next_number: int) -> None:
        if block.endswith(b"\n"):
            self._tail.extend(_last_lines(block, len(block), next_number, self._context))


def grep_report(
    found: Sequence[tuple[str, FileSearch]], *, pattern: str, offset: int, ending: str = ""
) -> str:
    """What a model is told of a search, in V1's form.

    Args:
        found: Names of the files that have matches, with their searches.
        pattern: What was searched for.
        offset: How many matches were passed over.
        ending: What else there is to say.
    """
    total = sum(search.count for _, search in found)
    if not total:
        return f"No matches found for pattern: {pattern!r}{ending}"
    shown = [(name, match) for name, search in found for match in search.matches]
    if not shown:
        return f"There are {total} matches, and none behind the first {offset}.{ending}"
    last = offset + len(shown)
    files = [f"  - {name}: {search.count} matches" for name, search in found[:_SHOWN_FILES]]
    if len(found) > _SHOWN_FILES:
        files.append(f"  - and {len(found) - _SHOWN_FILES} files more")
    parts = [
        f"Found {total} total matches across {len(found)} files "
        f"(showing matches {offset + 1}-{last} of {total})",
        _RULE,
        "\nFiles with matches:",
        *files,
        "",
        *(_shown(name, match) for name, match in shown),
        "",
    ]
    if last < total:
        parts.append(f"To see more matches, call {GREP_FILES} again with offset={last}.")
    else:
        parts.append("No more matches to show.")
    return "\n".join(parts) + ending


def _shown(name: str, match: LineMatch) -> str:
    lines = [f"\n=== {name}:{match.number} ==="]
    lines += [f"  {number}: {line}" for number, line in match.before]
    lines.append(f"> {match.number}: {match.line}")
    lines += [f"  {number}: {line}" for number, line in match.after]
    return "\n".join(lines)


def _last_lines(block: bytes, end: int, number: int, most: int) -> list[tuple[int, str]]:
    """The lines that end ahead of `end`, where line `number` begins."""
    lines: list[tuple[int, str]] = []
    while len(lines) < most and end > 0:
        start = block.rfind(b"\n", 0, end - 1) + 1
        number -= 1
        lines.append((number, _excerpt(block[start : end - 1], 0)))
        end = start
    return lines[::-1]


def _next_lines(block: bytes, start: int, number: int, most: int) -> list[tuple[int, str]]:
    """The lines from `start` on, where line `number` begins."""
    lines: list[tuple[int, str]] = []
    while len(lines) < most and start < len(block):
        end = block.find(b"\n", start)
        end = len(block) if end < 0 else end
        lines.append((number, _excerpt(block[start:end], 0)))
        start, number = end + 1, number + 1
    return lines


def _excerpt(line: bytes, at: int) -> str:
    """A line as it is shown; of a long one what stands around `at`."""
    if len(line) <= _SHOWN_CHARS:
        return line.decode(errors="ignore").rstrip("\r")
    start = max(0, min(at - _SHOWN_CHARS // 4, len(line) - _SHOWN_CHARS))
    end = start + _SHOWN_CHARS
    kept = line[start:end].decode(errors="ignore").rstrip("\r")
    return f"{'…' if start else ''}{kept}{'…' if end < len(line) else ''}"
