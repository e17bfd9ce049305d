"""Tools of one's own, as tests make them."""

from itertools import count
from typing import Any

from letta_client import Letta
from letta_client.types import Tool

_numbers = count(1)


def fresh_name(kind: str = "roll") -> str:
    """A name that no other test of this process uses."""
    return f"{kind}_{next(_numbers)}"


def source_of(name: str, *, says: str = "Roll a die.") -> str:
    """The source of a tool whose schema can be derived."""
    return (
        f"def {name}(sides: int = 6) -> int:\n"
        f'    """{says}\n\n    Args:\n        sides: How many sides it has.\n    """\n'
        "    return sides\n"
    )


def schema_of(name: str, **properties: Any) -> dict[str, Any]:
    """A schema that a client gives."""
    return {
        "name": name,
        "description": "Do it.",
        "parameters": {"type": "object", "properties": properties, "required": []},
    }


def make_tool(client: Letta, name: str | None = None, **more: Any) -> Tool:
    """A tool that is stored."""
    return client.tools.create(source_code=source_of(name or fresh_name()), **more)
