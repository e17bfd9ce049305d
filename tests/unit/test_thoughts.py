"""What the legacy loop adds to calls and takes off again, whole and in pieces."""

import json
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from o.domain.agents import Agent
from o.domain.llm import ReplyDelta
from o.domain.loops import GO_ON, AfterCall, after_call, after_text
from o.domain.messages import ToolCall, ToolReturn
from o.domain.rules.kinds import rule_state
from o.domain.runs import StopReason
from o.domain.thoughts import LegacyDeltas, put_back, take_off
from o.tools.agent_types import base_rules, has_base_rules
from o.tools.model_request import tool_choice, tools_shown

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def agent(agent_type: str = "memgpt_agent", **fields: Any) -> Agent:
    tools = ["send_message", "memory_insert", "memory_finish_edits"]
    return Agent(
        id="agent-1",
        organization_id="org-1",
        name="ada",
        agent_type=agent_type,
        system="",
        model="openai/x",
        tool_names=tools,
        tool_rules=base_rules(tools) if has_base_rules(agent_type) else [],
        created_at=NOW,
        updated_at=NOW,
        **fields,
    )


def called(name: str, heartbeat: bool | None = None) -> ToolCall:
    return ToolCall(id="call_0", name=name, arguments="{}", request_heartbeat=heartbeat)


def returned(call: ToolCall, status: Literal["success", "error"] = "success") -> ToolReturn:
    return ToolReturn(
        tool_call_id=call.id, name=call.name, status=status, content="", duration_ns=1
    )


arguments = st.dictionaries(
    st.text(max_size=4).filter(lambda name: name not in ("thinking", "request_heartbeat")),
    st.text(max_size=6) | st.integers() | st.lists(st.text(max_size=3), max_size=2),
    max_size=3,
)


@given(arguments, st.text(max_size=9), st.booleans(), st.data())
def test_what_streams_is_what_is_stored_wherever_the_pieces_are_cut(
    given: dict[str, Any], thought: str, heartbeat: bool, data: st.DataObject
) -> None:
    asked = {"thinking": thought, **given, "request_heartbeat": heartbeat}
    asked = dict(data.draw(st.permutations(list(asked.items()))))
    whole = json.dumps(asked)
    cuts = data.draw(st.lists(st.integers(0, len(whole)), max_size=6).map(sorted))
    deltas = LegacyDeltas()
    first = ReplyDelta(kind="tool_call", tool_call_id="call_0", name="memory_insert")
    told = deltas.of(first)
    for start, end in pairwise([0, *cuts, len(whole)]):
        told += deltas.of(ReplyDelta(kind="tool_call", text=whole[start:end]))
    calls = [delta for delta in told if delta.kind == "tool_call"]
    assert "".join(delta.text for delta in told if delta.kind == "thought") == thought
    assert json.loads("".join(delta.text for delta in calls)) == given
    assert [delta.name for delta in calls if delta.name] == ["memory_insert"]
    assert calls[0].tool_call_id == "call_0"
    taken, kept_thought = take_off(ToolCall(id="x", name="memory_insert", arguments=whole))
    assert (json.loads(taken.arguments), kept_thought) == (given, thought)
    assert taken.request_heartbeat is heartbeat
    shown = json.loads(put_back(taken.arguments, kept_thought, taken.request_heartbeat))
    assert shown == {name: value for name, value in asked.items() if name != "thinking" or thought}


@pytest.mark.parametrize("broken", ["", "[]", "null", '{"thinking": "a'])
def test_arguments_that_are_no_object_stay_as_they_are(broken: str) -> None:
    call = ToolCall(id="x", name="send_message", arguments=broken)
    assert take_off(call) == (call, "")


@pytest.mark.parametrize(
    ("asked", "expected"),
    [("true", True), (True, True), ("True", True), (False, False), ("no", False), (None, None)],
)
def test_a_heartbeat_may_be_spelled_as_text(asked: object, expected: bool | None) -> None:
    call = ToolCall(id="x", name="y", arguments=json.dumps({"request_heartbeat": asked}))
    assert take_off(call)[0].request_heartbeat is expected


def test_only_pieces_of_the_first_call_are_told_and_text_is_a_thought() -> None:
    deltas = LegacyDeltas()
    assert deltas.of(ReplyDelta(kind="text", text="hm")) == [ReplyDelta(kind="thought", text="hm")]
    assert deltas.of(ReplyDelta(kind="tool_call", call=1, tool_call_id="b", name="b")) == []
    assert deltas.of(ReplyDelta(kind="tool_call", tool_call_id="a", name="a")) == []
    told = deltas.of(ReplyDelta(kind="tool_call", text='{"thinking": "so", "x": 1}'))
    assert "".join(delta.text for delta in told if delta.kind == "thought") == "\nso"


def test_tools_ask_for_thoughts_first_and_for_a_heartbeat_where_the_turn_may_go_on() -> None:
    who, plain = agent(), agent("letta_v1_agent")
    tools = tools_shown(who, "openai/gpt-4o", who.tool_names)
    shown = {tool.name: tool.parameters for tool in tools}
    assert list(shown["memory_insert"]["properties"]) == [
        "thinking",
        "label",
        "new_string",
        "insert_line",
        "request_heartbeat",
    ]
    assert shown["memory_insert"]["required"] == [
        "thinking",
        "label",
        "new_string",
        "request_heartbeat",
    ]
    for name in ("send_message", "memory_finish_edits"):
        assert "request_heartbeat" not in shown[name]["properties"]
    v1 = tools_shown(plain, "openai/gpt-4o", plain.tool_names)
    assert all("thinking" not in tool.parameters["properties"] for tool in v1)


@pytest.mark.parametrize(
    ("handle", "settings", "thinking", "choice"),
    [
        ("openai/gpt-4o", {}, True, "required"),
        ("openai/o3-mini", {}, False, "required"),
        ("openai/gpt-5-mini", {}, False, "required"),
        ("anthropic/claude-x", {}, True, "required"),
        ("anthropic/claude-x", {"thinking": {"type": "disabled"}}, True, "required"),
        ("anthropic/claude-x", {"thinking": {"type": "enabled"}}, False, None),
    ],
)
def test_models_that_reason_by_themselves_are_not_asked_for_thoughts(
    handle: str, settings: dict[str, Any], thinking: bool, choice: str | None
) -> None:
    legacy = agent(model_settings=settings)
    shown = tools_shown(legacy, handle, legacy.tool_names)
    assert all(("thinking" in tool.parameters["properties"]) is thinking for tool in shown)
    assert tool_choice(legacy, handle, must_call=False) == choice
    plain = agent("letta_v1_agent", model_settings=settings)
    assert tool_choice(plain, handle, must_call=False) is None
    assert tool_choice(plain, handle, must_call=True) == choice


def test_an_agent_without_tools_is_not_made_to_call_one() -> None:
    bare = agent().model_copy(update={"tool_names": []})
    assert tool_choice(bare, "openai/gpt-4o", must_call=True) is None


@pytest.mark.parametrize(
    ("call", "failed", "is_last_step", "goes_on", "stop"),
    [
        (called("own_tool", heartbeat=True), False, False, True, None),
        (called("own_tool", heartbeat=False), False, False, False, StopReason.END_TURN),
        (called("own_tool"), False, False, False, StopReason.END_TURN),
        (called("own_tool", heartbeat=False), True, False, True, None),
        (called("own_tool", heartbeat=True), False, True, False, StopReason.MAX_STEPS),
        (called("own_tool"), False, True, False, StopReason.END_TURN),
        (called("memory_insert", heartbeat=False), False, False, True, None),
        (called("send_message"), False, False, False, StopReason.END_TURN),
        (called("send_message", heartbeat=True), False, False, False, StopReason.END_TURN),
        (called("send_message"), True, False, True, None),
        (called("send_message"), True, True, False, StopReason.MAX_STEPS),
    ],
)
def test_what_follows_a_call_in_the_legacy_loop(
    call: ToolCall, failed: bool, is_last_step: bool, goes_on: bool, stop: StopReason | None
) -> None:
    came = [returned(call, "error" if failed else "success")]
    rules = rule_state([], agent().tool_names, came)
    then = after_call(agent(), call, came, rules, is_last_call=True, is_last_step=is_last_step)
    assert (then.heartbeat is not None, then.stop) == (goes_on, stop)


def test_the_v1_loop_goes_on_after_any_call_but_one_with_an_exit_rule() -> None:
    insert, finish = called("memory_insert"), called("memory_finish_edits")
    sleeper, plain = agent("sleeptime_agent"), agent("letta_v1_agent")

    def then(who: Agent, came: list[ToolCall], *, is_last_call: bool) -> AfterCall:
        returns = [returned(call) for call in came]
        rules = rule_state([], who.tool_names, returns)
        return after_call(
            who, came[-1], returns, rules, is_last_call=is_last_call, is_last_step=False
        )

    for who, came, is_last_call in (
        (plain, [insert], True),
        (plain, [finish], True),
        (sleeper, [insert], True),
        (sleeper, [finish], False),
    ):
        assert then(who, came, is_last_call=is_last_call) == GO_ON
    for order in ([finish, insert], [insert, finish]):
        assert then(sleeper, order, is_last_call=True) == AfterCall(stop=StopReason.TOOL_RULE)


def test_what_is_required_comes_before_the_end_in_both_loops() -> None:
    rules = rule_state([{"type": "required_before_exit", "tool_name": "a"}], ["a"])
    said = called("send_message")
    legacy = after_call(
        agent(), said, [returned(said)], rules, is_last_call=True, is_last_step=False
    )
    assert legacy.heartbeat is not None
    assert "ToolRuleViolated: You must call a" in legacy.heartbeat
    finish = called("memory_finish_edits")
    sleeper = agent("sleeptime_agent")
    for is_last_step in (False, True):
        v1 = after_call(
            sleeper, finish, [returned(finish)], rules, is_last_call=True, is_last_step=is_last_step
        )
        assert (v1.heartbeat is None, v1.stop) == (is_last_step, None)
    assert after_text(rules, is_last_step=True) == AfterCall(stop=StopReason.MAX_STEPS)
    assert after_text(rule_state([], ["a"]), is_last_step=False).stop is StopReason.END_TURN
