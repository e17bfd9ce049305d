"""Inside a sandbox: the global `client` that V1 gives to tools."""

from __future__ import annotations

import os
import re
from typing import Any


def letta_client_for(source: str) -> Any:
    """A `Letta` client of this server's API, or None.

    There is one where the tool's source says the word `client`, the call may use the API, and
    `letta-client` is among the tool's requirements. Importing it takes most of a second, which
    other tools do not pay.
    """
    if "LETTA_API_KEY" not in os.environ or not re.search(r"\bclient\b", source):
        return None
    try:
        from letta_client import Letta  # noqa: PLC0415  see above
    except ImportError:
        return None
    return Letta()
