"""Patches of memory blocks, as `memory_apply_patch` takes them. Pure: text in, text out.

A patch of one block is hunks in the unified format. A patch of several has sections, each with a
header: `*** Add Block: <label>`, `*** Delete Block: <label>` or `*** Update Block: <label>`, the
last with `*** Move to: <label>` below it where the block gets another label. Line numbers in hunk
headers are not looked at: where a hunk goes is what its lines say.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from o.errors import ToolFailed
from o.memory.edits import refuse_line_numbers

_SECTION = re.compile(r"\*\*\* (Add|Delete|Update) Block:\s*(.*)")
_MOVE = re.compile(r"\*\*\* Move to:\s*(.*)")
_FRAME = ("*** Begin Patch", "*** End Patch", "*** End of File")
_FILE_HEADERS = ("--- ", "+++ ")
_KINDS: dict[str, Literal["add", "delete", "update"]] = {
    "Add": "add",
    "Delete": "delete",
    "Update": "update",
}


@dataclass
class Section:
    """What a patch does to one block; `lines` are its hunks, or its lines when it is added."""

    kind: Literal["add", "delete", "update"]
    label: str
    move_to: str | None = None
    lines: list[str] = field(default_factory=list)

    @property
    def added_value(self) -> str:
        """The value of a block that the section adds: its lines that start with '+'."""
        return "\n".join(line[1:] for line in self.lines if line.startswith("+"))


def sections_of(label: str, patch: str) -> list[Section]:
    """What the patch does, block by block; hunks without a header are for `label`.

    Raises:
        ToolFailed: A header names no block, or lines stand before the first header.
    """
    refuse_line_numbers(*(line[1:] for line in patch.split("\n")))
    lines = [line for line in patch.strip("\n").split("\n") if line.strip() not in _FRAME]
    if not any(_SECTION.fullmatch(line.strip()) for line in lines):
        return [Section("update", label, lines=lines)]
    sections: list[Section] = []
    for line in lines:
        header, move = _SECTION.fullmatch(line.strip()), _MOVE.fullmatch(line.strip())
        if header is not None:
            sections.append(Section(_KINDS[header[1]], _named(header[2])))
        elif not sections:
            if line.strip():
                raise ToolFailed(f"The patch has a line before its first header: {line!r}.")
        elif move is not None and sections[-1].kind == "update":
            sections[-1].move_to = _named(move[1])
        else:
            sections[-1].lines.append(line)
    return sections


def apply_hunks(value: str, lines: Sequence[str]) -> str:
    """`value` with the hunks applied, each at the one place where its lines stand.

    A hunk that only adds lines, and has none around them, goes to the end.

    Raises:
        ToolFailed: A line has no sign in front, or a hunk fits nowhere or at several places.
    """
    present = value.split("\n") if value else []
    hunks = _hunks(lines)
    if not hunks:
        raise ToolFailed("The patch changes nothing: it has no line with '+' or '-' in front.")
    for old, new in hunks:
        place = _place(present, old)
        present[place : place + len(old)] = new
    return "\n".join(present)


def _named(label: str) -> str:
    if not label.strip():
        raise ToolFailed("A header of the patch names no block.")
    return label.strip()


def _hunks(lines: Sequence[str]) -> list[tuple[list[str], list[str]]]:
    """Each hunk as the lines that are there and those that are to be."""
    hunks: list[list[str]] = [[]]
    for line in lines:
        if line.startswith("@@"):
            hunks.append([])
        elif len(hunks) > 1 or hunks[0] or not line.startswith(_FILE_HEADERS):
            hunks[-1].append(line)
    parted = [_old_and_new(_without_blank_end(hunk)) for hunk in hunks]
    return [(old, new) for old, new in parted if old != new]


def _without_blank_end(hunk: list[str]) -> list[str]:
    """Blank lines that part sections or hunks are no context."""
    while hunk and not hunk[-1]:
        hunk.pop()
    return hunk


def _old_and_new(hunk: Sequence[str]) -> tuple[list[str], list[str]]:
    old: list[str] = []
    new: list[str] = []
    for line in hunk:
        sign, text = line[:1] or " ", line[1:]
        if sign not in " +-":
            if line.startswith("\\"):  # diff's remark about a missing line break at the end
                continue
            raise ToolFailed(f"A line of a hunk must start with ' ', '+' or '-': {line!r}.")
        if sign in " -":
            old.append(text)
        if sign in " +":
            new.append(text)
    return old, new


def _place(present: Sequence[str], old: Sequence[str]) -> int:
    if not old:
        return len(present)
    last = len(present) - len(old)
    places = [n for n in range(last + 1) if list(present[n : n + len(old)]) == list(old)]
    if len(places) == 1:
        return places[0]
    quoted = "\n".join(old)
    if not places:
        raise ToolFailed(f"A hunk was not found in the block: quote its lines exactly.\n{quoted}")
    raise ToolFailed(f"A hunk fits {len(places)} places: quote more lines around it.\n{quoted}")
