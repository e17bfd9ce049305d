"""V1's spelling of what a model is asked for outside of any turn: a text, or a tool."""

from typing import Any, Self

from pydantic import BaseModel, Field

from api.wire.fields import Json, RequestBody, Several, Text, with_example
from api.wire.shown import UsageStatistics
from api.wire.tool_requests import Source
from api.wire.tools import ToolBody
from api.wire.turns import usage_fields
from o.domain.llm import ModelReply


class GenerateBody(RequestBody):
    """V1's `GenerateRequest`."""

    model_config = with_example(prompt="Name three rivers of Norway.")

    prompt: Text = Field(min_length=1)
    system_prompt: Text | None = None
    override_model: Text | None = None
    response_schema: Json | None = None


class GeneratedBody(BaseModel):
    """V1's `GenerateResponse`. `model` is the handle; `content` is JSON with a schema."""

    content: str
    model: str
    usage: UsageStatistics

    @classmethod
    def of(cls, content: str, handle: str, reply: ModelReply) -> Self:
        """The answer of one call, which is shown as one step."""
        usage = reply.usage.model_copy(update={"step_count": 1})
        shown = UsageStatistics.model_validate(usage_fields(usage))
        return cls(content=content, model=handle, usage=shown)


class GenerateToolBody(RequestBody):
    """V1's `GenerateToolInput`. `handle` is the model's."""

    model_config = with_example(tool_name="roll_dice", prompt="Rolls a die of so many sides.")

    tool_name: Text = Field(max_length=200)
    prompt: Text = Field(min_length=1)
    handle: Text | None = None
    starter_code: Source | None = None
    validation_errors: Several[Text] = Field(default_factory=list)


class GeneratedToolBody(BaseModel):
    """V1's `GenerateToolOutput`. The tool is not stored: its id is nobody's."""

    tool: ToolBody
    sample_args: dict[str, Any]
    response: str
