"""V1's spelling of tool rules."""

from typing import Annotated, Literal

from pydantic import Field

from api.wire.fields import Json, RequestBody, Text


class _Rule(RequestBody):
    tool_name: Text = Field(min_length=1)
    prompt_template: Text | None = None


class _Plain(_Rule):
    type: Literal["exit_loop", "continue_loop", "required_before_exit", "requires_approval"]


class _RunFirst(_Rule):
    type: Literal["run_first"]
    args: Json | None = None


class _ChildArguments(RequestBody):
    name: Text
    args: Json | None = None


class _Children(_Rule):
    type: Literal["constrain_child_tools"]
    children: list[Text]
    child_arg_nodes: list[_ChildArguments] | None = None


class _Parent(_Rule):
    type: Literal["parent_last_tool"]
    children: list[Text]


class _Conditional(_Rule):
    type: Literal["conditional"]
    default_child: Text | None = None
    child_output_mapping: dict[Text, Text]
    require_output_mapping: bool = False


class _MaxCount(_Rule):
    type: Literal["max_count_per_step"]
    max_count_limit: int = Field(ge=1)


ToolRuleBody = Annotated[
    _Plain | _RunFirst | _Children | _Parent | _Conditional | _MaxCount,
    Field(discriminator="type"),
]
"""One of V1's tool rules, told apart by `type`."""
