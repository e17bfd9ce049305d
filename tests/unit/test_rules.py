"""Tool rules hold whatever a model does, and never leave an agent with nothing to do."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from o.domain.messages import ToolReturn
from o.domain.rules.kinds import REFUSED, Rule, RuleState, need_history, rule_state
from o.domain.rules.outputs import is_case

NAMES = ["a", "b", "c", "d", "e"]
LACKED = ["x", "y"]
OUTPUTS = ["yes", "no", "1", "true", '{"ok": true}', ""]


def returned(name: str, content: str = "yes", **fields: Any) -> ToolReturn:
    """The return of a call that was made."""
    values: dict[str, Any] = {"status": "success", "duration_ns": 1} | fields
    return ToolReturn(tool_call_id="call", name=name, content=content, **values)


def refused(rules: RuleState, name: str) -> ToolReturn:
    """The return of a call that the rules forbid."""
    text = rules.refusal(name)
    assert text is not None
    return returned(name, text, status="error", duration_ns=None)


def denied(name: str) -> ToolReturn:
    """The return of a call that a person denied."""
    return returned(name, "Error: denied", status="error", duration_ns=None)


def rule(kind: str, tool: str, **fields: Any) -> Rule:
    return {"type": kind, "tool_name": tool, **fields}


names = st.sampled_from(NAMES + LACKED)
children = st.lists(names, max_size=4)
arguments = st.none() | st.dictionaries(st.sampled_from("pq"), st.integers(), max_size=2)
plain_rules = st.builds(
    rule,
    st.sampled_from(["exit_loop", "continue_loop", "required_before_exit", "requires_approval"]),
    names,
)
first_rules = st.builds(rule, st.just("run_first"), names, args=arguments)
child_rules = st.builds(
    rule,
    st.just("constrain_child_tools"),
    names,
    children=children,
    child_arg_nodes=st.none()
    | st.lists(st.fixed_dictionaries({"name": names, "args": arguments}), max_size=2),
)
parent_rules = st.builds(rule, st.just("parent_last_tool"), names, children=children)
conditional_rules = st.builds(
    rule,
    st.just("conditional"),
    names,
    child_output_mapping=st.dictionaries(st.sampled_from(OUTPUTS), names, max_size=3),
    default_child=st.none() | names,
    require_output_mapping=st.booleans(),
)
count_rules = st.builds(
    rule, st.just("max_count_per_step"), names, max_count_limit=st.integers(1, 3)
)
any_rules = st.lists(
    plain_rules | first_rules | child_rules | parent_rules | conditional_rules | count_rules,
    max_size=6,
)
tool_sets = st.lists(st.sampled_from(NAMES), unique=True, min_size=1)
wishes = st.lists(st.tuples(names, st.sampled_from(OUTPUTS)), max_size=12)


def request(
    rules: Sequence[Rule], tools: Sequence[str], wanted: Sequence[tuple[str, str]]
) -> list[tuple[RuleState, ToolReturn]]:
    """A request whose model wishes for any tool at all: how the rules stood, and what came."""
    history: list[ToolReturn] = []
    told: list[tuple[RuleState, ToolReturn]] = []
    for name, output in wanted:
        now = rule_state(rules, tools, history)
        came = returned(name, output) if now.refusal(name) is None else refused(now, name)
        history.append(came)
        told.append((now, came))
    return told


@given(any_rules, tool_sets, wishes)
def test_some_tool_may_be_called_until_each_has_been_as_often_as_it_may(
    rules: list[Rule], tools: list[str], wanted: list[tuple[str, str]]
) -> None:
    counts: dict[str, int] = dict.fromkeys(tools, 0)
    limits = {r["tool_name"] for r in rules if r["type"] == "max_count_per_step"}
    for now, came in request(rules, tools, wanted):
        assert [tool for tool in tools if tool in now.allowed] == list(now.allowed)
        assert now.shown
        if not now.allowed:
            assert all(counts[tool] and tool in limits for tool in tools)
        counts[came.name] = counts.get(came.name, 0) + came.was_made


@given(any_rules, tool_sets, wishes)
def test_a_call_is_refused_exactly_when_its_tool_is_not_allowed(
    rules: list[Rule], tools: list[str], wanted: list[tuple[str, str]]
) -> None:
    for now, _ in request(rules, tools, wanted):
        for name in NAMES + LACKED:
            text = now.refusal(name)
            assert (text is None) == (name in now.allowed)
            if text is not None:
                valid = ", ".join(now.allowed)
                assert text.startswith(f"{REFUSED} Cannot call {name}, valid tools include: ")
                assert f"[{valid}]." in text


@given(any_rules, tool_sets, wishes)
def test_no_tool_runs_more_often_than_it_may(
    rules: list[Rule], tools: list[str], wanted: list[tuple[str, str]]
) -> None:
    made = [came.name for _, came in request(rules, tools, wanted) if came.was_made]
    for one in rules:
        if one["type"] == "max_count_per_step":
            assert made.count(one["tool_name"]) <= one["max_count_limit"]


@given(any_rules, tool_sets, wishes, st.lists(names, max_size=3))
def test_calls_that_were_not_made_change_nothing_but_what_a_denial_settles(
    rules: list[Rule], tools: list[str], wanted: list[tuple[str, str]], forbidden: list[str]
) -> None:
    history = [came for _, came in request(rules, tools, wanted)]
    before = rule_state(rules, tools, history)
    tried = [refused(before, name) for name in forbidden if name not in before.allowed]
    assert rule_state(rules, tools, history + tried) == before
    after = rule_state(rules, tools, history + [denied(name) for name in forbidden])
    assert (after.allowed, after.must_call) == (before.allowed, before.must_call)
    assert set(after.required) == set(before.required) - set(forbidden)


@given(any_rules, tool_sets, wishes)
def test_rules_about_tools_that_the_agent_lacks_say_nothing(
    rules: list[Rule], tools: list[str], wanted: list[tuple[str, str]]
) -> None:
    about_lacked = [one for one in rules if one["tool_name"] not in tools]
    for now, _ in request(about_lacked, tools, wanted):
        assert now.allowed == tuple(tools)
        assert not now.must_call
        assert not now.required
    spoken = [one for one in rules if one["tool_name"] in tools]
    assert request(rules, tools, wanted) == request(spoken, tools, wanted)


@given(any_rules, tool_sets, wishes)
def test_a_call_is_forced_only_where_a_rule_asks_for_one_and_leaves_a_tool(
    rules: list[Rule], tools: list[str], wanted: list[tuple[str, str]]
) -> None:
    forcing = {"run_first", "constrain_child_tools", "parent_last_tool", "conditional"}
    for now, _ in request(rules, tools, wanted):
        if now.must_call:
            assert now.allowed
            assert any(one["type"] in forcing for one in rules)


@given(any_rules, tool_sets, wishes)
def test_rules_that_need_no_history_are_the_same_with_any(
    rules: list[Rule], tools: list[str], wanted: list[tuple[str, str]]
) -> None:
    if not need_history(rules):
        history = [returned(name, output) for name, output in wanted]
        assert rule_state(rules, tools, history) == rule_state(rules, tools)


@given(st.lists(first_rules, min_size=1, max_size=3), tool_sets, wishes)
def test_a_request_begins_with_a_tool_that_must_run_first(
    rules: list[Rule], tools: list[str], wanted: list[tuple[str, str]]
) -> None:
    first = {one["tool_name"] for one in rules} & set(tools)
    made = [came.name for _, came in request(rules, tools, wanted) if came.was_made]
    assert rule_state(rules, tools).must_call == bool(first)
    if made and first:
        assert made[0] in first


@given(child_rules, tool_sets, wishes)
def test_a_child_follows_its_parent(
    child: Rule, tools: list[str], wanted: list[tuple[str, str]]
) -> None:
    expected = set(child["children"]) & set(tools)
    made = [came.name for _, came in request([child], tools, wanted) if came.was_made]
    for parent, follower in pairwise(made):
        if parent == child["tool_name"] and expected:
            assert follower in expected


@given(parent_rules, tool_sets, wishes)
def test_what_needs_its_parent_is_called_right_after_it_only(
    gate: Rule, tools: list[str], wanted: list[tuple[str, str]]
) -> None:
    parent, gated = gate["tool_name"], set(gate["children"])
    made = [came.name for _, came in request([gate], tools, wanted) if came.was_made]
    if parent in tools and not set(tools) <= gated:
        for before, name in zip(["", *made], made, strict=False):
            assert before == parent or name not in gated


@given(any_rules, tool_sets, wishes)
def test_what_is_required_is_asked_for_until_it_has_run(
    rules: list[Rule], tools: list[str], wanted: list[tuple[str, str]]
) -> None:
    asked = {r["tool_name"] for r in rules if r["type"] == "required_before_exit"} & set(tools)
    made: set[str] = set()
    for now, came in request(rules, tools, wanted):
        assert set(now.required) == asked - made
        if came.was_made:
            made.add(came.name)


def test_limits_that_leave_no_tool_are_dropped_for_the_moment() -> None:
    rules = [
        rule("constrain_child_tools", "a", children=["b"]),
        rule("conditional", "a", child_output_mapping={}, default_child="c"),
    ]
    now = rule_state(rules, ["a", "b", "c"], [returned("a")])
    assert now.allowed == ("a", "b", "c")
    assert not now.must_call


def test_a_child_that_is_used_up_is_neither_forced_nor_allowed() -> None:
    rules = [
        rule("constrain_child_tools", "a", children=["b"]),
        rule("max_count_per_step", "b", max_count_limit=1),
    ]
    now = rule_state(rules, ["a", "b"], [returned("a"), returned("b"), returned("a")])
    assert (now.allowed, now.must_call) == (("a",), False)
    text = now.refusal("b")
    assert text is not None
    assert "b may be called 1 times in one request" in text


def test_a_limit_of_two_allows_two_calls() -> None:
    rules = [rule("max_count_per_step", "a", max_count_limit=2)]
    assert rule_state(rules, ["a", "b"], [returned("a")]).allowed == ("a", "b")
    assert rule_state(rules, ["a", "b"], [returned("a")] * 2).allowed == ("b",)


def test_an_agent_whose_every_tool_is_used_up_is_shown_them_and_may_call_none() -> None:
    rules = [rule("max_count_per_step", "a", max_count_limit=1)]
    now = rule_state(rules, ["a"], [returned("a")])
    assert (now.allowed, now.shown, now.must_call) == ((), ("a",), False)
    assert now.refusal("a") is not None


def test_arguments_are_prefilled_for_the_first_call_and_for_a_child() -> None:
    node = {"name": "b", "args": {"q": 2}}
    rules = [
        rule("run_first", "a", args={"p": 1}),
        rule("constrain_child_tools", "a", children=["b", "c"], child_arg_nodes=[node]),
    ]
    assert rule_state(rules, ["a", "b", "c"]).prefilled == {"a": {"p": 1}}
    assert rule_state(rules, ["a", "b", "c"], [returned("a")]).prefilled == {"b": {"q": 2}}
    later = [returned("a"), returned("b")]
    assert rule_state(rules, ["a", "b", "c"], later).prefilled == {}


@pytest.mark.parametrize(
    ("content", "require", "allowed"),
    [
        ("sun", False, ("b",)),
        ("rain", False, ("c",)),
        ("rain", True, ("a", "b", "c")),
    ],
)
def test_what_a_tool_returned_decides_what_comes_next(
    content: str, require: bool, allowed: tuple[str, ...]
) -> None:
    conditional = rule(
        "conditional",
        "a",
        child_output_mapping={"sun": "b"},
        default_child="c",
        require_output_mapping=require,
    )
    now = rule_state([conditional], ["a", "b", "c"], [returned("a", content)])
    assert (now.allowed, now.must_call) == (allowed, True)


def test_the_reminder_names_what_is_still_required_in_v1s_words() -> None:
    rules = [rule("required_before_exit", name) for name in ("a", "b", "x")]
    assert rule_state(rules, ["a", "b"]).reminder == (
        "ToolRuleViolated: You must call a, b at least once to exit the loop."
    )
    assert rule_state(rules, ["a", "b"], [returned("a"), returned("b")]).required == ()


@pytest.mark.parametrize(
    ("content", "case"),
    [
        ("sunny", "sunny"),
        (" sunny\n", "sunny"),
        ("True", "true"),
        ("true", "True"),
        ("None", "null"),
        ("3", "3.0"),
        ('"sunny"', "sunny"),
        ('{"a": 1, "b": [true]}', '{"b":[true],"a":1}'),
    ],
)
def test_a_return_is_a_case_as_text_or_as_json(content: str, case: str) -> None:
    assert is_case(content, case)


@pytest.mark.parametrize(
    ("content", "case"),
    [
        ("sunny", "Sunny"),
        ("1", "true"),
        ("[1]", "[true]"),
        ('{"a": 1}', '{"a": 2}'),
        ("[1, 2]", "[1]"),
        ("", "null"),
        ('{"status": "sunny"}', "sunny"),
    ],
)
def test_a_return_is_not_a_case_that_differs(content: str, case: str) -> None:
    assert not is_case(content, case)
