"""Whether another distribution owns one of O's top-level names."""

import importlib.metadata

from o.errors import Conflict

OURS = "o-server"
NAMES = ("server", "api", "activities", "migrations", "o", "workflows")


def name_clash() -> str | None:
    """One line about who else owns a name of O, None when nobody does."""
    owners = importlib.metadata.packages_distributions()
    others = {
        name: other for name in NAMES for other in owners.get(name, ()) if other.lower() != OURS
    }
    if not others:
        return None
    whose = ", ".join(f"`{name}` belongs to {other}" for name, other in others.items())
    return f"another distribution owns a package name of O ({whose}): give O its own environment"


def refuse_name_clash() -> None:
    """Stop before the wrong code runs.

    Raises:
        Conflict: another distribution owns one of the names.
    """
    if (clash := name_clash()) is not None:
        raise Conflict(clash)
