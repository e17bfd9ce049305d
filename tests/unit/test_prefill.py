"""Prefilled arguments override the model's, call by call."""

import json
from typing import Any

import pytest

from o.domain.messages import ToolCall, ToolReturn
from o.domain.rules.prefill import Foreseen, prefilled
from o.domain.rules.standing import Rule, standing

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


def test_each_call_of_a_reply_finds_the_rules_as_the_one_before_it_leaves_them() -> None:
    foreseen = Foreseen(RULES, TOOLS, [])
    found = [(foreseen.before(name), name) for name in ("c", "a", "b", "b")]
    assert [name in rules.allowed for rules, name in found] == [False, True, True, True]
    assert [dict(rules.prefilled.get(name, {})) for rules, name in found] == [
        {},
        {"p": 1},
        {"q": "two"},
        {},
    ]


def test_what_was_called_before_counts() -> None:
    before = ToolReturn(tool_call_id="call", name="a", status="success", content="")
    rules = Foreseen(RULES, TOOLS, [before]).before("b")
    assert json.loads(prefilled(called("b", '{"q": 1, "r": 3}'), rules).arguments) == {
        "q": "two",
        "r": 3,
    }


@pytest.mark.parametrize(
    ("written", "kept"),
    [("", '{"p": 1}'), ("{", "{"), ("[1]", "[1]"), ('{"p": "\u00e9"}', '{"p": 1}')],
)
def test_arguments_that_are_no_object_stay_for_the_tool_to_refuse(written: str, kept: Any) -> None:
    assert prefilled(called("a", written), standing(RULES, TOOLS)).arguments == kept
