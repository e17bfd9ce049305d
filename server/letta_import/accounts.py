"""What became of every row of a V1 database, and how that is shown."""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from server.letta_import.kind import Item, LeftOut
from server.letta_import.left_out import why_left_out
from server.letta_import.target import Mark

_MOST_TOLD = 50


class Fate(Enum):
    """What becomes of an item; the value is how it is counted."""

    NEW = "new"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    ADOPTED = "here already"
    OVERWRITTEN = "overwritten"
    CHANGED_HERE = "changed here"
    CHANGED_ON_BOTH = "changed here and there"
    DELETED_HERE = "deleted here"
    TAKEN = "its id is taken here"

    @property
    def is_written(self) -> bool:
        """Whether it is written."""
        return self in (Fate.NEW, Fate.UPDATED, Fate.OVERWRITTEN)


_TOLD = {
    Fate.CHANGED_ON_BOTH: "changed here since it was moved, and there too: it stays as it is here "
    "(--overwrite takes V1's)",
    Fate.DELETED_HERE: "deleted here since it was moved: it stays deleted (--overwrite brings it "
    "back)",
    Fate.TAKEN: "something by this id is here that was not moved: it stays as it is "
    "(--overwrite takes V1's)",
}


@dataclass
class Accounts:
    """Counts by table of V1. What they add up to is all that is there, or something is wrong.

    Attributes:
        there: Rows of V1.
        here: Rows of them that stand in O, counted there at the end.
        fates: Rows by what became of them.
        left: Rows that have no place here, by reason.
        told: What a person should know: (kind, id, words).
    """

    there: dict[str, int] = field(default_factory=dict)
    here: dict[str, int] = field(default_factory=dict)
    fates: dict[str, Counter[Fate]] = field(default_factory=lambda: defaultdict(Counter))
    left: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    told: list[tuple[str, str, str]] = field(default_factory=list)

    def leave(self, left: LeftOut) -> None:
        """Note rows that have no place here."""
        if left.count:
            self.left[left.table][left.reason] += left.count
        if left.id is not None:
            self.tell(left.table, left.id, f"left out: {left.reason}")

    def tell(self, kind: str, id_: str, words: str) -> None:
        """Note what a person should know."""
        self.told.append((kind, id_, words))

    def add(self, kind: str, item: Item, fate: Fate, mark: Mark | None) -> None:
        """Note what became of an item.

        One that is as it was is not looked at again: what was left out of it then is told again.
        """
        notes: Mapping[str, Any] = {"left": item.left, "told": item.told}
        if mark is not None and not fate.is_written:
            notes = mark.notes
        for table, count in item.tables.items():
            left = notes.get("left", {}).get(table, {})
            for reason, number in left.items():
                self.left[table][reason] += number
            self.fates[table][fate] += count - sum(left.values())
        for words in notes.get("told", ()):
            self.tell(kind, item.id, words)
        if fate in _TOLD:
            self.tell(kind, item.id, _TOLD[fate])

    @property
    def is_whole(self) -> bool:
        """Whether every row of the tables that were gone through is accounted for."""
        return all(self._unexplained(table) == 0 for table in self._known())

    @property
    def is_agreed(self) -> bool:
        """Whether there was nothing that stayed as it is here although V1 has it otherwise."""
        kept = (Fate.CHANGED_ON_BOTH, Fate.TAKEN)
        return not any(counts[fate] for counts in self.fates.values() for fate in kept)

    def as_dict(self) -> dict[str, Any]:
        """All of it, as `--json` prints it."""
        return {
            "tables": [self._line(table) for table in sorted(self.there)],
            "told": [{"kind": kind, "id": id_, "what": words} for kind, id_, words in self.told],
            "whole": self.is_whole,
            "agreed": self.is_agreed,
        }

    def as_json(self) -> str:
        """The same as text."""
        return json.dumps(self.as_dict(), indent=2, ensure_ascii=False)

    def as_table(self, *, is_dry: bool) -> str:
        """All of it for a person to read; tables without rows are left out."""
        lines = [_columns("table of V1", "there", "here", "moved", "passed", "left out", "why")]
        for table in sorted(self.there):
            if not self.there[table]:
                continue
            line = self._line(table)
            why = [f"{count} {reason}" for reason, count in line["left"].items()]
            why += [f"{count} {fate}" for fate, count in line["fates"].items() if fate in _WORTH]
            if line["unexplained"]:
                why.append(f"{line['unexplained']} NOT ACCOUNTED FOR")
            moved = sum(line["fates"].get(fate.value, 0) for fate in Fate if fate.is_written)
            passed = sum(line["fates"].values()) - moved
            lines.append(
                _columns(
                    table,
                    str(line["there"]),
                    "-" if is_dry or line["here"] is None else str(line["here"]),
                    str(moved),
                    str(passed),
                    str(sum(line["left"].values())),
                    "; ".join(why),
                )
            )
        lines += self._told_lines()
        return "\n".join(lines)

    def _told_lines(self) -> list[str]:
        if not self.told:
            return []
        shown = [f"  {kind} {id_}: {words}" for kind, id_, words in self.told[:_MOST_TOLD]]
        if len(self.told) > _MOST_TOLD:
            shown.append(f"  … and {len(self.told) - _MOST_TOLD} more: --json has them all")
        return ["", "To know:", *shown]

    def _line(self, table: str) -> dict[str, Any]:
        left = dict(self.left.get(table, {}))
        if table not in self._known() and self.there[table]:
            left = {why_left_out(table): self.there[table]}
        return {
            "table": table,
            "there": self.there[table],
            "here": self.here.get(table),
            "fates": {fate.value: n for fate, n in self.fates.get(table, {}).items() if n},
            "left": left,
            "unexplained": self._unexplained(table) if table in self._known() else 0,
        }

    def _known(self) -> set[str]:
        return {*self.fates, *self.left, *self.here}

    def _unexplained(self, table: str) -> int:
        fates, left = self.fates.get(table, Counter()), self.left.get(table, Counter())
        return self.there.get(table, 0) - sum(fates.values()) - sum(left.values())


_WORTH = {
    fate.value
    for fate in (
        Fate.OVERWRITTEN,
        Fate.CHANGED_HERE,
        Fate.CHANGED_ON_BOTH,
        Fate.DELETED_HERE,
        Fate.TAKEN,
    )
}


def _columns(*cells: str) -> str:
    widths = (30, 8, 8, 8, 8, 9)
    numbers = [cell.rjust(width) for cell, width in zip(cells[1:6], widths[1:], strict=True)]
    return "".join([cells[0].ljust(widths[0]), *numbers, "  ", cells[6]]).rstrip()
