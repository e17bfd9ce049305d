"""V1's spelling of tool rules."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic_core import to_json

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


def distinct(rules: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rules in their order, each once: two that are equal say no more than one."""
    return list({_spelled(rule): rule for rule in rules}.values())


def _spelled(rule: dict[str, Any]) -> bytes:
    """The rule as text; what it leaves out is as if it were null."""
    return to_json({name: rule[name] for name in sorted(rule) if rule[name] is not None})
