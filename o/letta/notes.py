"""What could not be taken over as it was: told once for each kind, with how often and where."""

from dataclasses import dataclass, field


@dataclass
class Notes:
    """Collects what an import has to tell. The same thing is told once, with a count."""

    _found: dict[str, list[str]] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)

    def tell(self, what: str, where: str = "") -> None:
        """Note something.

        Args:
            what: A sentence that is the same for all of its kind, without contents of messages.
            where: The place in the file or the id of the row; of many only the first is kept.
        """
        self._counts[what] = self._counts.get(what, 0) + 1
        self._found.setdefault(what, [where] if where else [])

    def count(self, what: str) -> int:
        """How often something was noted."""
        return self._counts.get(what, 0)

    def lines(self) -> list[str]:
        """All that was noted, in the order in which each kind came first."""
        return [self._line(what, places) for what, places in self._found.items()]

    def _line(self, what: str, places: list[str]) -> str:
        count = self._counts[what]
        if not places:
            return what if count == 1 else f"{what} ({count} times)"
        if count == 1:
            return f"{what} ({places[0]})"
        return f"{what} ({count} times, first at {places[0]})"
