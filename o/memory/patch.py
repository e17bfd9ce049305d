"""Patches of memory blocks, as `memory_apply_patch` takes them. Pure: text in, text out.

A patch of one block is hunks in the unified format. A patch of several has sections, each with a
header: `*** Add Block: <label>`, `*** Delete Block: <label>` or `*** Update Block: <label>`, the
last with `*** Move to: <label>` below it where the block gets another label. Line numbers in hunk
headers are not looked at: where a hunk goes is what its lines say.

Models that write patches of files all day write them as they are used to: `File` stands for
`Block`, a fence around the patch is no part of it, and blanks at the ends of lines do not count
where the lines are not found with them. What a line says otherwise has to be what stands there.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from o.errors import ToolFailed
from o.memory.edits import refuse_line_numbers, with_plain_ends

_MOST_HUNKS = 100
"""Of one block. For each the block is gone through."""
_MOST_SECTIONS = 100
_MOST_PLACES = 10
"""So many are counted where a hunk fits several."""
_SECTION = re.compile(r"\*\*\* (Add|Delete|Update) (?:Block|File):\s*(.*)")
_MOVE = re.compile(r"\*\*\* Move to:\s*(.*)")
_FRAME = ("*** Begin Patch", "*** End Patch", "*** End of File")
_FENCE = "```"
_FILE_HEADERS = ("--- ", "+++ ")
_Hunk = list[tuple[str, str]]
"""Lines, each with its sign in front: ' ' stays, '-' goes, '+' comes."""
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
        ToolFailed: A header names no block, lines stand before the first header, or the sections
            are too many.
    """
    given = patch.replace("\r\n", "\n").strip("\n").split("\n")
    refuse_line_numbers(*(line[1:] for line in given))
    if len(given) > 1 and given[0].startswith(_FENCE) and given[-1].strip() == _FENCE:
        given = given[1:-1]
    lines = [line for line in given if line.strip() not in _FRAME]
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
    if len(sections) > _MOST_SECTIONS:
        raise ToolFailed(f"The patch has {len(sections)} sections, of {_MOST_SECTIONS} at most.")
    return sections


def apply_hunks(value: str, lines: Sequence[str]) -> str:
    """`value` with the hunks applied, each at the one place where its lines stand.

    A hunk that only adds lines, and has none around them, goes to the end.

    Raises:
        ToolFailed: A line has no sign in front, or a hunk fits nowhere or at several places.
    """
    hunks = _hunks(lines)
    if not hunks:
        raise ToolFailed("The patch changes nothing: it has no line with '+' or '-' in front.")
    if len(hunks) > _MOST_HUNKS:
        raise ToolFailed(
            f"The patch has {len(hunks)} hunks for one block, of {_MOST_HUNKS} at most: write the "
            "block anew instead."
        )
    # Each line between two line breaks, so that lines are found in one search of the text.
    text = "\n" if not value else "\n" + with_plain_ends(value) + "\n"
    for hunk in hunks:
        start, end = _place(text, [line for sign, line in hunk if sign != "+"])
        text = text[:start] + _changed(text[start:end], hunk) + text[end:]
    return text[1:-1]


def _named(label: str) -> str:
    if not label.strip():
        raise ToolFailed("A header of the patch names no block.")
    return label.strip()


def _hunks(lines: Sequence[str]) -> list[_Hunk]:
    """The hunks that change anything."""
    hunks: list[list[str]] = [[]]
    for line in lines:
        if line.startswith("@@"):
            hunks.append([])
        elif len(hunks) > 1 or hunks[0] or not line.startswith(_FILE_HEADERS):
            hunks[-1].append(line)
    signed = [_signed(_without_blank_end(hunk)) for hunk in hunks]
    return [hunk for hunk in signed if _lines(hunk, "-") != _lines(hunk, "+")]


def _without_blank_end(hunk: list[str]) -> list[str]:
    """Blank lines that part sections or hunks are no context."""
    while hunk and not hunk[-1]:
        hunk.pop()
    return hunk


def _signed(hunk: Sequence[str]) -> _Hunk:
    signed: _Hunk = []
    for line in hunk:
        sign, text = line[:1] or " ", line[1:]
        if sign in " +-":
            signed.append((sign, text))
        elif not line.startswith("\\"):  # diff's remark about a missing line break at the end
            raise ToolFailed(f"A line of a hunk must start with ' ', '+' or '-': {line!r}.")
    return signed


def _lines(hunk: _Hunk, change: str) -> list[str]:
    """The lines that are there (`-`) or that are to be (`+`)."""
    return [line for sign, line in hunk if sign in (" ", change)]


def _changed(present: str, hunk: _Hunk) -> str:
    """Lines with the hunk applied; those that stay are the block's own, to the last blank."""
    kept = iter(present.split("\n"))
    changed = []
    for sign, line in hunk:
        own = line if sign == "+" else next(kept)
        if sign != "-":
            changed.append(f"{own}\n")
    return "".join(changed)


def _place(text: str, old: Sequence[str]) -> tuple[int, int]:
    """Where the lines stand in a text that has a line break before and behind each of its lines."""
    if not old:
        return len(text), len(text)
    places = _places(text, old)
    if not places:
        places = _loose_places(text, old)
    if len(places) == 1:
        return places[0]
    quoted = "\n".join(old)
    if not places:
        raise ToolFailed(f"A hunk was not found in the block: quote its lines exactly.\n{quoted}")
    many = f"{len(places)} places" if len(places) < _MOST_PLACES else "many places"
    raise ToolFailed(f"A hunk fits {many}: quote more lines around it.\n{quoted}")


def _places(text: str, old: Sequence[str]) -> list[tuple[int, int]]:
    """Up to ten places where the lines stand, from the first one's beginning to the last one's."""
    sought = "\n".join(["", *old, ""])
    places: list[tuple[int, int]] = []
    start = text.find(sought)
    while start >= 0 and len(places) < _MOST_PLACES:
        places.append((start + 1, start + len(sought)))
        start = text.find(sought, start + 1)
    return places


def _loose_places(text: str, old: Sequence[str]) -> list[tuple[int, int]]:
    """The same, whatever blanks stand at the ends of lines."""
    lines = text.split("\n")
    loose = "\n".join(line.rstrip() for line in lines)
    found = _places(loose, [line.rstrip() for line in old])
    if len(found) != 1:
        return found
    before = loose.count("\n", 0, found[0][0])
    start = sum(len(line) + 1 for line in lines[:before])
    return [(start, start + sum(len(line) + 1 for line in lines[before : before + len(old)]))]
