"""Agent files in a form in which two that say the same are equal to the byte."""

import difflib
import json
from typing import Any


def canonical(file: dict[str, Any]) -> str:
    """All that a file says, but for when it was made.

    Passages of one time have no order among them.
    """
    told = {name: part for name, part in file.items() if name != "created_at"}
    told["o_archives"] = [
        archive | {"passages": sorted(archive["passages"], key=json.dumps)}
        for archive in file.get("o_archives", ())
    ]
    return json.dumps(told, indent=1, sort_keys=True, ensure_ascii=False)


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """The lines in which two files differ, some of them; none where they say the same."""
    first, second = (canonical(file).splitlines() for file in (one, other))
    return list(difflib.unified_diff(first, second, lineterm="", n=1))[:60]
