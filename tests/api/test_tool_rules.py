"""Tool rules as clients and models see them: what is offered, forced, refused and filled in."""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from letta_client import Letta
from letta_client.types import AgentState

from tests.support.product import Product
from tests.support.provider import HANDLE, FakeProvider, call, do, is_heartbeat, say, together

INSERT = call("memory_insert", label="human", new_string="x")
APPEND = call("core_memory_append", label="human", content="y")
SEARCH = call("conversation_search", query="z")
FINISH = call("memory_finish_edits")
TOOLS = ["memory_insert", "core_memory_append", "conversation_search", "memory_finish_edits"]
DONE = say("done")

Make = Callable[..., AgentState]


@pytest.fixture
def make(client: Letta) -> Make:
    def make(*rules: Any, agent_type: Any = "letta_v1_agent", **fields: Any) -> AgentState:
        return client.agents.create(
            agent_type=agent_type,
            model=HANDLE,
            memory_blocks=[{"label": "human", "value": ""}],
            tools=TOOLS + (["send_message"] if agent_type != "letta_v1_agent" else []),
            include_base_tools=False,
            tool_rules=rules,
            **fields,
        )

    return make


@pytest.fixture(autouse=True)
def nothing_wrong(provider: FakeProvider) -> Iterator[None]:
    """Every prompt is valid, and no call is forced without tools."""
    before = len(provider.problems)
    yield
    assert provider.problems[before:] == []


def rule(kind: str, tool: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, "tool_name": tool, **fields}


def send(client: Letta, agent: AgentState, *actions: Any, **body: Any) -> Any:
    return client.agents.messages.create(agent.id, input=do(*actions), **body)


def returns(messages: Sequence[Any]) -> list[tuple[str, str]]:
    """Tool and status of each return."""
    return [(m.name, m.status) for m in messages if m.message_type == "tool_return_message"]


def last_return(messages: Sequence[Any]) -> str:
    return str([m for m in messages if m.message_type == "tool_return_message"][-1].tool_return)


def offered(provider: FakeProvider, steps: int) -> list[tuple[list[str], str | None]]:
    """The tools of the last requests, and what was said about their choice."""
    return [
        ([tool["function"]["name"] for tool in body.get("tools", [])], body.get("tool_choice"))
        for body in provider.requests[-steps:]
    ]


def value(client: Letta, agent: AgentState) -> str:
    return client.agents.blocks.retrieve("human", agent_id=agent.id).value


def test_without_rules_every_tool_is_offered_and_none_is_forced(
    client: Letta, make: Make, provider: FakeProvider
) -> None:
    send(client, make(), INSERT, DONE)
    assert offered(provider, 2) == [(TOOLS, None)] * 2


def test_the_first_call_is_forced_and_its_arguments_are_prefilled(
    client: Letta, make: Make, provider: FakeProvider
) -> None:
    agent = make(
        rule("run_first", "memory_insert", args={"new_string": "filled", "insert_line": 0})
    )
    reply = send(client, agent, INSERT, APPEND, DONE)
    assert offered(provider, 3) == [(["memory_insert"], "required"), (TOOLS, None), (TOOLS, None)]
    called = next(m for m in reply.messages if m.message_type == "tool_call_message")
    assert json.loads(called.tool_call.arguments) == {
        "label": "human",
        "new_string": "filled",
        "insert_line": 0,
    }
    assert value(client, agent) == "filled\ny"
    send(client, agent, APPEND, INSERT, DONE)  # a new request begins anew
    assert offered(provider, 3)[0] == (["memory_insert"], "required")


def test_a_call_with_prefilled_arguments_is_streamed_whole(client: Letta, make: Make) -> None:
    agent = make(rule("run_first", "memory_insert", args={"new_string": "filled"}))
    stream = client.agents.messages.create(
        agent.id, input=do(INSERT, APPEND, DONE), streaming=True, stream_tokens=True
    )
    told: dict[str, str] = {}
    for event in stream:
        if event.message_type == "tool_call_message":
            piece: Any = event.tool_call
            told.setdefault(piece.tool_call_id, "")
            told[piece.tool_call_id] += piece.arguments or ""
    assert [json.loads(arguments) for arguments in told.values()] == [
        {"label": "human", "new_string": "filled"},
        {"label": "human", "content": "y"},
    ]


def test_a_call_that_must_not_come_first_is_refused_and_the_turn_goes_on(
    client: Letta, make: Make
) -> None:
    agent = make(rule("run_first", "memory_insert"))
    reply = send(client, agent, APPEND, INSERT, DONE)
    assert returns(reply.messages) == [
        ("core_memory_append", "error"),
        ("memory_insert", "success"),
    ]
    refused = next(m for m in reply.messages if m.message_type == "tool_return_message")
    assert refused.tool_return == (
        "[ToolConstraintError] Cannot call core_memory_append, valid tools include: "
        "[memory_insert]. The first call must be of memory_insert."
    )
    assert value(client, agent) == "x"
    assert reply.messages[-1].content == "done"


def test_a_tool_that_the_agent_lacks_is_refused_in_the_same_words(
    client: Letta, make: Make
) -> None:
    agent = make(rule("run_first", "memory_insert"))
    reply = send(client, agent, call("launch_rocket"), INSERT, call("launch_rocket"), DONE)
    texts = [m.tool_return for m in reply.messages if m.message_type == "tool_return_message"]
    assert texts[0] == (
        "[ToolConstraintError] Cannot call launch_rocket, valid tools include: [memory_insert]."
    )
    assert texts[2] == (
        f"[ToolConstraintError] Cannot call launch_rocket, valid tools include: "
        f"[{', '.join(TOOLS)}]."
    )


def test_children_follow_their_parent_with_prefilled_arguments(
    client: Letta, make: Make, provider: FakeProvider
) -> None:
    nodes = [{"name": "core_memory_append", "args": {"content": "child"}}]
    agent = make(
        rule(
            "constrain_child_tools",
            "memory_insert",
            children=["core_memory_append"],
            child_arg_nodes=nodes,
        )
    )
    reply = send(client, agent, INSERT, SEARCH, APPEND, APPEND, DONE)
    child = (["core_memory_append"], "required")
    assert offered(provider, 5) == [(TOOLS, None), child, child, (TOOLS, None), (TOOLS, None)]
    assert returns(reply.messages)[1] == ("conversation_search", "error")
    assert value(client, agent) == "x\nchild\ny"


def test_a_gated_tool_is_offered_right_after_its_parent_only(
    client: Letta, make: Make, provider: FakeProvider
) -> None:
    agent = make(rule("parent_last_tool", "memory_insert", children=["core_memory_append"]))
    reply = send(client, agent, APPEND, INSERT, APPEND, DONE)
    gated = [name for name in TOOLS if name != "core_memory_append"]
    assert offered(provider, 4) == [
        (gated, None),
        (gated, None),
        (["core_memory_append"], "required"),
        (gated, None),
    ]
    assert [status for _, status in returns(reply.messages)] == ["error", "success", "success"]
    assert value(client, agent) == "x\ny"


def test_what_a_tool_returned_decides_which_comes_next(
    client: Letta, make: Make, provider: FakeProvider
) -> None:
    agent = make(
        rule(
            "conditional",
            "memory_insert",
            child_output_mapping={"x": "core_memory_append"},
            default_child="conversation_search",
            require_output_mapping=False,
        )
    )
    send(client, agent, INSERT, APPEND, INSERT, SEARCH, DONE)
    assert offered(provider, 5) == [
        (TOOLS, None),
        (["core_memory_append"], "required"),
        (TOOLS, None),
        (["conversation_search"], "required"),
        (TOOLS, None),
    ]


def test_a_tool_runs_as_often_as_it_may_and_not_once_more(
    client: Letta, make: Make, provider: FakeProvider
) -> None:
    agent = make(rule("max_count_per_step", "memory_insert", max_count_limit=2))
    reply = send(client, agent, INSERT, INSERT, INSERT, DONE)
    assert [status for _, status in returns(reply.messages)] == ["success", "success", "error"]
    assert "memory_insert may be called 2 times in one request" in last_return(reply.messages)
    assert value(client, agent) == "x\nx"
    assert "memory_insert" not in offered(provider, 1)[0][0]
    again = send(client, agent, INSERT, DONE)
    assert returns(again.messages) == [("memory_insert", "success")]


def test_what_was_called_before_an_approval_pause_counts_after_it(
    client: Letta, make: Make
) -> None:
    agent = make(
        rule("run_first", "memory_insert"),
        rule("max_count_per_step", "memory_insert", max_count_limit=1),
        rule("required_before_exit", "memory_insert"),
        rule("requires_approval", "core_memory_append"),
    )
    request = send(client, agent, INSERT, APPEND, INSERT, DONE).messages[-1]
    answer: Any = {"type": "approval", "approve": True, "approval_request_id": request.id}
    reply = client.agents.messages.create(agent.id, messages=[answer])
    assert returns(reply.messages) == [
        ("core_memory_append", "success"),
        ("memory_insert", "error"),
    ]
    assert "memory_insert may be called 1 times" in last_return(reply.messages)
    assert reply.stop_reason.stop_reason == "end_turn"
    assert value(client, agent) == "x\ny"


def test_a_call_that_is_refused_waits_for_no_approval(client: Letta, make: Make) -> None:
    agent = make(
        rule("run_first", "memory_insert"), rule("requires_approval", "core_memory_append")
    )
    reply = send(client, agent, APPEND, INSERT, DONE)
    assert [status for _, status in returns(reply.messages)] == ["error", "success"]
    assert reply.stop_reason.stop_reason == "end_turn"


def test_calls_of_one_reply_are_counted_one_after_the_other(client: Letta, make: Make) -> None:
    agent = make(rule("max_count_per_step", "memory_insert", max_count_limit=1))
    reply = send(client, agent, together(INSERT, INSERT), DONE)
    assert [status for _, status in returns(reply.messages)] == ["success", "error"]
    assert value(client, agent) == "x"


def test_an_exit_rule_ends_the_turn_but_not_when_its_call_was_refused(
    client: Letta, make: Make
) -> None:
    agent = make(rule("exit_loop", "memory_finish_edits"), rule("run_first", "memory_insert"))
    reply = send(client, agent, FINISH, INSERT, FINISH, DONE)
    assert returns(reply.messages) == [
        ("memory_finish_edits", "error"),
        ("memory_insert", "success"),
        ("memory_finish_edits", "success"),
    ]
    assert reply.stop_reason.stop_reason == "tool_rule"
    assert reply.usage.step_count == 3


def test_plain_text_does_not_end_a_turn_while_a_tool_is_required(
    client: Letta, make: Make, provider: FakeProvider
) -> None:
    agent = make(rule("required_before_exit", "memory_insert"))
    reply = send(client, agent, say("bye"), INSERT, DONE)
    assert [m.message_type for m in reply.messages] == [
        "assistant_message",
        "user_message",
        "tool_call_message",
        "tool_return_message",
        "assistant_message",
    ]
    reminder = json.loads(reply.messages[1].content)
    assert reminder.keys() == {"type", "reason", "time"}
    assert (reminder["type"], reminder["reason"]) == (
        "heartbeat",
        "[This is an automated system message hidden from the user] ToolRuleViolated: "
        "You must call memory_insert at least once to exit the loop.",
    )
    assert reply.stop_reason.stop_reason == "end_turn"
    assert reply.messages[0].step_id == reply.messages[1].step_id
    listed = client.agents.messages.list(agent.id).items
    assert [m.id for m in listed[2:]] == [m.id for m in reply.messages]
    assert is_heartbeat(provider.prompts[-2][-1])


def test_a_streamed_turn_shows_the_reminder_too(client: Letta, make: Make) -> None:
    agent = make(rule("required_before_exit", "memory_insert"))
    text = do(say("not yet"), INSERT, DONE)
    for tokens in (False, True):
        stream = client.agents.messages.create(
            agent.id, input=text, streaming=True, stream_tokens=tokens, include_pings=False
        )
        kinds = [event.message_type for event in stream]
        assert kinds.count("user_message") == 1
        assert kinds[-2:] == ["stop_reason", "usage_statistics"]


def test_what_is_required_gives_way_to_the_limit_of_steps(
    server: Product, client: Letta, make: Make
) -> None:
    agent = make(rule("required_before_exit", "memory_insert"))
    reply = send(client, agent, say("never"), max_steps=2)
    assert [m.message_type for m in reply.messages] == [
        "assistant_message",
        "user_message",
        "assistant_message",
    ]
    assert reply.stop_reason.stop_reason == "max_steps"
    assert send(client, agent, INSERT, DONE).stop_reason.stop_reason == "end_turn"


def test_an_exit_rule_waits_for_what_is_required(client: Letta, make: Make) -> None:
    agent = make(
        rule("exit_loop", "memory_finish_edits"), rule("required_before_exit", "memory_insert")
    )
    reply = send(client, agent, FINISH, INSERT, FINISH)
    assert [m.message_type for m in reply.messages if m.message_type == "user_message"]
    assert reply.stop_reason.stop_reason == "tool_rule"
    assert reply.usage.step_count == 3


def test_rules_about_tools_that_the_agent_lacks_leave_it_as_it_is(
    client: Letta, make: Make, provider: FakeProvider
) -> None:
    agent = make(
        rule("run_first", "gone"),
        rule("required_before_exit", "gone"),
        rule("parent_last_tool", "gone", children=["memory_insert"]),
        rule("constrain_child_tools", "memory_insert", children=["gone"]),
        rule("conditional", "memory_insert", child_output_mapping={}, default_child="gone"),
    )
    reply = send(client, agent, INSERT, DONE)
    assert offered(provider, 2) == [(TOOLS, None)] * 2
    assert (reply.stop_reason.stop_reason, value(client, agent)) == ("end_turn", "x")


def think(action: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The call as a model of the legacy loop writes it."""
    (one,) = action["calls"]
    arguments = {"thinking": "Hm.", **json.loads(one["arguments"]), **more}
    return call(one["name"], **arguments)


def test_rules_hold_in_the_legacy_loop_too(
    client: Letta, make: Make, provider: FakeProvider
) -> None:
    agent = make(
        rule("run_first", "memory_insert", args={"new_string": "filled"}),
        rule("constrain_child_tools", "memory_insert", children=["core_memory_append"]),
        rule("required_before_exit", "conversation_search"),
        rule("exit_loop", "send_message"),
        agent_type="memgpt_agent",
    )
    quiet = {"request_heartbeat": False}
    reply = send(
        client,
        agent,
        think(INSERT, **quiet),
        think(APPEND, request_heartbeat=True),
        DONE,
        think(SEARCH, request_heartbeat=True),
        DONE,
    )
    names = [names for names, _ in offered(provider, 5)]
    every = [*TOOLS, "send_message"]
    assert names == [["memory_insert"], ["core_memory_append"], every, every, every]
    assert {choice for _, choice in offered(provider, 5)} == {"required"}
    assert value(client, agent) == "filled\ny"
    assert reply.stop_reason.stop_reason == "end_turn"
    assert reply.usage.step_count == 5
    told = json.loads(provider.prompts[-2][-1]["content"])
    assert told["reason"].endswith(
        "You must call conversation_search at least once to exit the loop."
    )
