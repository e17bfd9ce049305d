"""Names of an MCP server's tools, as models take them."""

import hashlib
import re
from collections.abc import Container

MOST_CHARS = 64
"""Of the name of a function: what OpenAI, Anthropic and Gemini take."""

_ODD = re.compile(r"[^a-zA-Z0-9_-]+")


def tool_name(name: str, *, server_id: str, server_name: str, taken: Container[str]) -> str:
    """The name that a tool of a server goes by here.

    Its own one, where models take that and nothing else has it. Otherwise the server's name stands
    before it, and where that is taken too, a mark that is the same each time stands behind.

    Args:
        name: The server's own.
        server_id: Whose tool it is.
        server_name: What the server is called here.
        taken: Names of other tools of the organization.
    """
    plain = _fitting(name, MOST_CHARS)
    for candidate in (plain, _fitting(f"{server_name}_{name}", MOST_CHARS)):
        if candidate not in taken:
            return candidate
    return _marked(plain, f"{server_id}/{name}", MOST_CHARS)


def argument_name(name: str, taken: Container[str]) -> str:
    """The same for the name of an argument."""
    plain = _fitting(name, MOST_CHARS)
    return plain if plain not in taken else _marked(plain, name, MOST_CHARS)


def _fitting(name: str, most: int) -> str:
    fitting = _ODD.sub("_", name) or "_"
    if re.match(r"[0-9-]", fitting):  # Gemini wants a letter or an underscore first
        fitting = f"_{fitting}"
    if not fitting.strip("_-") and name:
        return _marked("tool", name, most)
    return fitting if len(fitting) <= most else _marked(fitting, name, most)


def _marked(name: str, of: str, most: int) -> str:
    digest = hashlib.sha256(of.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{name[: most - 9]}_{digest}"
