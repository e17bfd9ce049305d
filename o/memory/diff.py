"""What changed between two texts, in the unified format. Pure, and bounded in what it costs."""

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_MOST_PAIRS = 1_000_000
"""Lines of the one times lines of the other, beyond which they are not compared one by one."""

_Opcode = tuple[str, int, int, int, int]


@dataclass(frozen=True)
class Diff:
    """A difference in the unified format, empty where both texts are equal.

    Attributes:
        is_exact: Whether lines were compared one by one wherever they differ.
    """

    text: str
    is_exact: bool


class _Grouped(difflib.SequenceMatcher[str]):
    """Groups of opcodes that are known already."""

    def __init__(self, opcodes: list[_Opcode]) -> None:
        super().__init__()
        self._known = opcodes

    def get_opcodes(self) -> list[_Opcode]:  # type: ignore[override]
        return self._known


def unified_diff(old: str, new: str, *, names: tuple[str, str], context: int = 3) -> Diff:
    """How `old` becomes `new`, line by line, with `context` lines around each change.

    Lines that begin or end both are set aside first. Where too much is left between them, all of
    it is shown as replaced: that is right too, and says more than is needed.
    """
    before, after = _lines(old), _lines(new)
    start, end = _common(before, after)
    left = before[start : len(before) - end], after[start : len(after) - end]
    is_exact = len(left[0]) * len(left[1]) <= _MOST_PAIRS
    opcodes: list[_Opcode] = [("equal", 0, start, 0, start)] if start else []
    if is_exact:
        found = difflib.SequenceMatcher(None, *left).get_opcodes()
        opcodes += [(tag, start + a, start + b, start + c, start + d) for tag, a, b, c, d in found]
    else:
        opcodes.append(("replace", start, start + len(left[0]), start, start + len(left[1])))
    if end:
        opcodes.append(("equal", len(before) - end, len(before), len(after) - end, len(after)))
    if before == after:
        return Diff("", True)
    shown = [f"--- {names[0]}", f"+++ {names[1]}"]
    for group in _Grouped(opcodes).get_grouped_opcodes(context):
        shown += _hunk(group, before, after)
    return Diff("\n".join(shown), is_exact)


def _lines(text: str) -> list[str]:
    """As patches of blocks know them: a text that ends with a line break has an empty last line."""
    return text.split("\n") if text else []


def _common(before: Sequence[str], after: Sequence[str]) -> tuple[int, int]:
    """How many lines begin both, and how many of the others end both."""
    most = min(len(before), len(after))
    start = 0
    while start < most and before[start] == after[start]:
        start += 1
    end = 0
    while end < most - start and before[-1 - end] == after[-1 - end]:
        end += 1
    return start, end


def _hunk(group: Sequence[_Opcode], before: Sequence[str], after: Sequence[str]) -> Iterator[str]:
    first, last = group[0], group[-1]
    yield f"@@ -{_range(first[1], last[2])} +{_range(first[3], last[4])} @@"
    for tag, old_start, old_end, new_start, new_end in group:
        if tag == "equal":
            yield from (f" {line}" for line in before[old_start:old_end])
            continue
        yield from (f"-{line}" for line in before[old_start:old_end])
        yield from (f"+{line}" for line in after[new_start:new_end])


def _range(start: int, end: int) -> str:
    """Lines as the format counts them: from 1, and those of none by the line before."""
    count = end - start
    if count == 1:
        return str(start + 1)
    return f"{start + 1 if count else start},{count}"
