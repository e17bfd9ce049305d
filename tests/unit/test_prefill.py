"""Prefilled arguments override the model's, call by call."""

import json
from typing import Any

import pytest

from o.domain.messages import ToolCall, ToolReturn
from o.domain.prefill import prefill
from o.domain.rules import Rule

TOOLS = ["a", "b", "c"]
RULES: list[Rule] = [
    {"type": "run_first", "tool_name": "a", "args": {"p": 1}},
    {
        "type": "constrain_child_tools",
        "tool_name": "a",
        "children": ["b"],
        "child_arg_nodes": [{"name": "b", "args": {"q": "two"}}],
    },
]


def called(name: str, arguments: str = "{}") -> ToolCall:
    return ToolCall(id="call", name=name, arguments=arguments)


def test_each_call_of_a_reply_is_filled_in_as_the_one_before_it_leaves_the_rules() -> None:
    wanted = [called("c", '{"p": 5}'), called("a", '{"p": 5, "r": 3}'), called("b"), called("b")]
    refused, first, child, free = prefill(RULES, TOOLS, [], wanted)
    assert (refused, free) == (wanted[0], wanted[3])
    assert json.loads(first.arguments) == {"p": 1, "r": 3}
    assert json.loads(child.arguments) == {"q": "two"}


def test_what_was_called_before_counts() -> None:
    before = ToolReturn(tool_call_id="call", name="a", status="success", content="", duration_ns=1)
    (child,) = prefill(RULES, TOOLS, [before], [called("b")])
    assert json.loads(child.arguments) == {"q": "two"}


@pytest.mark.parametrize(
    ("written", "kept"),
    [("", '{"p": 1}'), ("{", "{"), ("[1]", "[1]"), ('{"p": "\u00e9"}', '{"p": 1}')],
)
def test_arguments_that_are_no_object_stay_for_the_tool_to_refuse(written: str, kept: Any) -> None:
    (filled,) = prefill(RULES, TOOLS, [], [called("a", written)])
    assert filled.arguments == kept
