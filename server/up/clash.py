"""Whether another distribution owns one of O's top-level names."""

import importlib.metadata
import re
from collections.abc import Iterator

from o.errors import Conflict

OURS = "o-server"
NAMES = ("server", "api", "activities", "migrations", "o", "sandbox", "workflows")
_OURS_IN_RECORD = re.compile(rf"^({'|'.join(NAMES)})(?:/|\.py,)", re.MULTILINE)


def name_clash() -> str | None:
    """One line about who else owns a name of O, None when nobody does."""
    others = dict(_others())
    if not others:
        return None
    whose = ", ".join(f"`{name}` belongs to {other}" for name, other in others.items())
    return f"another distribution owns a package name of O ({whose}): give O its own environment"


def _others() -> Iterator[tuple[str, str]]:
    """The names of ours that are in another distribution, by the list of its files.

    `importlib.metadata.packages_distributions` would read every line of every list.
    """
    for distribution in importlib.metadata.distributions():
        names = set(_OURS_IN_RECORD.findall(distribution.read_text("RECORD") or ""))
        names.update({*(distribution.read_text("top_level.txt") or "").split()}.intersection(NAMES))
        if names and (other := distribution.metadata["Name"]).lower() != OURS:
            yield from ((name, other) for name in sorted(names))


def refuse_name_clash() -> None:
    """Stop before the wrong code runs.

    Raises:
        Conflict: another distribution owns one of the names.
    """
    if (clash := name_clash()) is not None:
        raise Conflict(clash)
