"""V1's spelling of tools that are run outside of turns."""

from datetime import UTC, datetime
from typing import Any

from pydantic import Field

from api.wire.fields import Json, RequestBody, Text, with_example
from api.wire.messages import envelope, message_time, returned_fields
from api.wire.tool_requests import Requirements, Source, SourceTypeGiven
from api.wire.tool_variables import Values
from o.domain.messages import ToolReturn
from o.ids import new_id

_EXAMPLE = '''def add(a: int, b: int) -> int:
    """Add two numbers.

    Args:
        a: One.
        b: The other.
    """
    return a + b
'''


class RunSourceBody(RequestBody):
    """V1's `ToolRunFromSource`."""

    model_config = with_example(source_code=_EXAMPLE, args={"a": 1, "b": 2})

    source_code: Source
    args: Json
    env_vars: Values | None = None
    name: Text | None = Field(None, max_length=200)
    source_type: SourceTypeGiven = "python"
    args_json_schema: Json | None = None
    json_schema: Json | None = None
    pip_requirements: Requirements | None = None


def run_body(name: str, returned: dict[str, Any]) -> dict[str, Any]:
    """What a function returned, as the message that V1 answers, which no history has."""
    shown = ToolReturn(
        tool_call_id=new_id("call"),
        name=name,
        status=returned["status"],
        content=returned["content"],
        stdout=returned["stdout"] or None,
        stderr=returned["stderr"] or None,
    )
    about = envelope(
        "tool_return_message",
        message_id=new_id("message"),
        date=message_time(datetime.now(UTC)),
        otid=None,
        run_id=None,
        name=name,
    )
    return about | returned_fields(shown)
