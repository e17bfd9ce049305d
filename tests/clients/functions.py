"""Functions made into tools, by whichever release of the official client is first on the path.

Run as a script: `functions.py <url of the server>`. Releases that have no
`upsert_from_function` are given the source, as their users do. The tools are printed in JSON.
"""

import inspect
import json
import sys
from collections.abc import Callable
from typing import Any

import letta_client
from letta_client import Letta
from pydantic import BaseModel, Field


class Move(BaseModel):
    """Arguments of `move_piece`, which has no docstring itself."""

    piece: str = Field(description="Which piece.")
    squares: list[int] = Field(default=[], description="Where it goes over.")


def move_piece(piece: str, squares: list[int]) -> str:
    return f"{piece}: {squares}"


def roll_dice(sides: int = 6) -> int:
    """Roll a die.

    Args:
        sides: How many sides it has.
    """
    return sides


def store(client: Letta, function: Callable[..., Any], arguments: type[BaseModel] | None) -> Any:
    """The function as a tool, stored twice."""
    tools: Any = client.tools  # of which release, no type can tell
    given: Any = {} if arguments is None else {"args_schema": arguments}
    if hasattr(tools, "upsert_from_function"):
        made = tools.create_from_function(func=function, tags=["first"], **given)
        again = tools.upsert_from_function(func=function, **given)
        assert made.id == again.id
        return again
    schema: Any = {} if arguments is None else {"args_json_schema": arguments.model_json_schema()}
    source = inspect.getsource(function)
    made = tools.create(source_code=source, tags=["first"], **schema)
    again = tools.upsert(source_code=source, **schema)
    assert made.id == again.id
    return again


def main() -> None:
    """Store the tools, and print them."""
    client = Letta(base_url=sys.argv[1], api_key="unused", max_retries=0)
    tools = [store(client, roll_dice, None), store(client, move_piece, Move)]
    shown = [tool.to_dict() for tool in tools]
    json.dump({"release": letta_client.__version__, "tools": shown}, sys.stdout)


if __name__ == "__main__":
    main()
