"""Prefilled arguments override the model's, call by call."""

import json
from typing import Any

import pytest

from o.domain.messages import ToolCall, ToolReturn
from o.domain.rules.foresight import Foresight
from o.domain.rules.kinds import Rule, rule_state
from o.domain.rules.prefill import prefilled
from o.domain.runs import ClientTool
from tests.unit import test_context

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
AGENT = test_context.AGENT.model_copy(update={"tool_names": TOOLS, "tool_rules": RULES})


def called(name: str, arguments: str = "{}") -> ToolCall:
    return ToolCall(id="call", name=name, arguments=arguments)


def test_each_call_of_a_reply_finds_the_rules_as_the_one_before_it_leaves_them() -> None:
    foresight = Foresight(AGENT, [], [])
    found = [(foresight.of_next(name).rules, name) for name in ("c", "a", "b", "b")]
    assert [name in rules.allowed for rules, name in found] == [False, True, True, True]
    assert [dict(rules.prefilled.get(name, {})) for rules, name in found] == [
        {},
        {"p": 1},
        {"q": "two"},
        {},
    ]


def test_what_was_called_before_counts() -> None:
    before = ToolReturn(tool_call_id="call", name="a", status="success", content="")
    rules = Foresight(AGENT, [], [before]).of_next("b").rules
    assert json.loads(prefilled(called("b", '{"q": 1, "r": 3}'), rules).arguments) == {
        "q": "two",
        "r": 3,
    }


@pytest.mark.parametrize(
    ("written", "kept"),
    [("", '{"p": 1}'), ("{", "{"), ("[1]", "[1]"), ('{"p": "\u00e9"}', '{"p": 1}')],
)
def test_arguments_that_are_no_object_stay_for_the_tool_to_refuse(written: str, kept: Any) -> None:
    assert prefilled(called("a", written), rule_state(RULES, TOOLS)).arguments == kept


def test_a_call_waits_unless_rules_forbid_it_when_it_will_be_found() -> None:
    guarded = [{"type": "requires_approval", "tool_name": name} for name in "ab"]
    agent = AGENT.model_copy(update={"tool_rules": [*RULES, *guarded]})
    foresight = Foresight(agent, [ClientTool(name="d", description="")], [])
    gates = [(name, foresight.of_next(name).gate) for name in "badbx"]
    assert gates == [
        ("b", None),
        ("a", "approval"),
        ("d", "client"),
        ("b", "approval"),
        ("x", None),
    ]
