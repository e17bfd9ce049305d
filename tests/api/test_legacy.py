"""Agents of the legacy loop: forced calls, inner thoughts, heartbeats, and how they are shown."""

import json
from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from letta_client import APIStatusError, Letta
from letta_client.types import AgentState

from tests.support.product import Product
from tests.support.provider import HANDLE, FakeProvider, call, do, is_heartbeat, say

HELLO = "two words"


def types_of(messages: Sequence[object]) -> list[str]:
    return [message.message_type for message in messages]  # type: ignore[attr-defined]


def think(name: str, *, heartbeat: object = None, **arguments: Any) -> dict[str, Any]:
    """A call as a model of the legacy loop writes it."""
    more = {} if heartbeat is None else {"request_heartbeat": heartbeat}
    return call(name, thinking=f"I use {name}.", **arguments, **more)


@pytest.fixture(params=["memgpt_agent", "memgpt_v2_agent"])
def legacy(client: Letta, request: pytest.FixtureRequest) -> AgentState:
    return client.agents.create(
        agent_type=request.param,
        model=HANDLE,
        memory_blocks=[{"label": "human", "value": "Nothing is known yet."}],
        tools=["memory_insert", "memory_finish_edits"],
    )


def send(client: Letta, agent: AgentState, **body: Any) -> Any:
    return client.agents.messages.create(agent.id, **body)


def listed(client: Letta, agent: AgentState, **view: Any) -> list[Any]:
    return client.agents.messages.list(agent.id, **view).items


def stored(server: Product, agent: AgentState) -> list[tuple[str, str]]:
    """Role and text of everything behind the boot sequence, as the database has it."""
    rows = server.query(
        "SELECT role, coalesce(parts->0->>'text', '') FROM messages "
        "WHERE agent_id = %s AND position > 3 ORDER BY position",
        agent.id,
    )
    return [(role, text) for role, text in rows]


def test_a_new_agent_starts_with_a_boot_sequence_of_four_messages(
    client: Letta, legacy: AgentState
) -> None:
    assert len(legacy.message_ids or []) == 4
    shown = listed(client, legacy, use_assistant_message=False)
    assert types_of(shown) == [
        "system_message",
        "reasoning_message",
        "tool_call_message",
        "tool_return_message",
        "user_message",
    ]
    assert shown[2].tool_call.name == "send_message"
    assert shown[3].tool_return == "Sent message successfully."
    login = json.loads(shown[4].content)
    assert login.keys() == {"type", "last_login", "time"}
    assert login["type"] == "login"
    assert [m.id for m in shown if m.message_type != "reasoning_message"] == legacy.message_ids


def test_send_message_comes_back_as_what_the_agent_says_and_ends_the_turn(
    client: Letta, legacy: AgentState, provider: FakeProvider
) -> None:
    before = len(provider.problems)
    reply = send(client, legacy, input=do(say(HELLO)))
    thought, said = reply.messages
    assert (thought.message_type, thought.reasoning) == ("reasoning_message", "I answer.")
    assert thought.source == "non_reasoner_model"
    assert (said.message_type, said.content) == ("assistant_message", HELLO)
    assert thought.id == said.id
    assert thought.otid != said.otid
    assert thought.step_id == said.step_id
    assert reply.stop_reason.stop_reason == "end_turn"
    assert reply.usage.step_count == 1
    assert provider.problems[before:] == []


def test_the_model_is_shown_what_it_thought_and_a_packed_return(
    client: Letta, legacy: AgentState, provider: FakeProvider
) -> None:
    send(client, legacy, input=do(say(HELLO)))
    send(client, legacy, input="next")
    prompt = provider.prompts[-1]
    boot, told = (m for m in prompt if m["role"] == "assistant")
    for message in (boot, told):
        arguments = json.loads(message["tool_calls"][0]["function"]["arguments"])
        assert list(arguments) == ["thinking", "message"]
    assert arguments == {"thinking": "I answer.", "message": HELLO}
    returned = json.loads(next(m for m in reversed(prompt) if m["role"] == "tool")["content"])
    assert returned.keys() == {"status", "message", "time"}
    assert (returned["status"], returned["message"]) == ("OK", "Sent message successfully.")


def test_a_turn_goes_on_after_a_memory_tool_with_a_heartbeat_that_the_answer_leaves_out(
    server: Product, client: Letta, legacy: AgentState, provider: FakeProvider
) -> None:
    before = len(provider.problems)
    edit = think("memory_insert", heartbeat=False, label="human", new_string="Ada")
    reply = send(client, legacy, input=do(edit, say(HELLO)))
    assert types_of(reply.messages) == [
        "reasoning_message",
        "tool_call_message",
        "tool_return_message",
        "reasoning_message",
        "assistant_message",
    ]
    called, returned = reply.messages[1:3]
    assert json.loads(called.tool_call.arguments) == {"label": "human", "new_string": "Ada"}
    assert returned.tool_return == "Nothing is known yet.\nAda"
    assert reply.stop_reason.stop_reason == "end_turn"
    assert reply.usage.step_count == 2
    kept = stored(server, legacy)
    assert [role for role, _ in kept] == ["user", "assistant", "tool", "user", "assistant", "tool"]
    event = json.loads(kept[3][1])
    assert event.keys() == {"type", "reason", "time"}
    assert event["type"] == "heartbeat"
    assert event["reason"].startswith("[This is an automated system message hidden from the user]")
    shown = listed(client, legacy)
    assert kept[3][1] in [getattr(m, "content", None) for m in shown]
    assert is_heartbeat(provider.prompts[-1][-1])
    asked = json.loads(provider.prompts[-1][-3]["tool_calls"][0]["function"]["arguments"])
    assert list(asked) == ["thinking", "label", "new_string", "request_heartbeat"]
    assert provider.problems[before:] == []


def test_a_call_that_fails_gets_another_step_even_if_it_would_end_the_turn(
    client: Letta, legacy: AgentState
) -> None:
    text = do(think("send_message"), think("launch_rocket", heartbeat=False), say(HELLO))
    reply = send(client, legacy, input=text)
    assert types_of(reply.messages) == [
        *["reasoning_message", "tool_call_message", "tool_return_message"] * 2,
        "reasoning_message",
        "assistant_message",
    ]
    assert [m.status for m in reply.messages if m.message_type == "tool_return_message"] == [
        "error",
        "error",
    ]
    assert "message: Field required" in reply.messages[2].tool_return
    assert reply.usage.step_count == 3


def test_arguments_that_are_not_json_fail_the_call_and_the_turn_goes_on(
    client: Letta, legacy: AgentState, provider: FakeProvider
) -> None:
    before = len(provider.problems)
    broken = {"calls": [{"name": "send_message", "arguments": '{"thinking": "hm", "message'}]}
    reply = send(client, legacy, input=do(broken, say(HELLO)))
    called, returned = reply.messages[:2]
    assert called.tool_call.arguments == broken["calls"][0]["arguments"]
    assert "not valid JSON" in returned.tool_return
    assert reply.messages[-1].content == HELLO
    assert provider.problems[before:] == []


def test_a_turn_ends_after_a_tool_with_an_exit_rule(
    server: Product, client: Letta, legacy: AgentState
) -> None:
    reply = send(client, legacy, input=do(think("memory_finish_edits")))
    assert types_of(reply.messages) == [
        "reasoning_message",
        "tool_call_message",
        "tool_return_message",
    ]
    assert reply.messages[2].tool_return == "None"
    assert reply.stop_reason.stop_reason == "end_turn"
    assert [role for role, _ in stored(server, legacy)] == ["user", "assistant", "tool"]


def test_the_last_step_allowed_ends_the_run_without_a_heartbeat(
    server: Product, client: Letta, legacy: AgentState
) -> None:
    text = do(think("conversation_search", query="x"))
    reply = send(client, legacy, input=text, max_steps=2)
    assert reply.stop_reason.stop_reason == "max_steps"
    assert reply.usage.step_count == 2
    roles = [role for role, _ in stored(server, legacy)]
    assert roles == ["user", "assistant", "tool", "user", "assistant", "tool"]
    assert send(client, legacy, input="on").messages[-1].content


def test_plain_text_fails_the_run_and_the_agent_goes_on(
    client: Letta, legacy: AgentState, provider: FakeProvider
) -> None:
    text = do(say("no call") | {"disobey": True})
    before = provider.asked(text)
    with pytest.raises(APIStatusError) as failure:
        send(client, legacy, input=text)
    assert failure.value.status_code == 500
    error = failure.value.response.json()["error"]
    assert error["type"] == "llm_error"
    assert error["message"] == ("No tool calls found in response, model must make a tool call")
    assert provider.asked(text) - before == 1
    assert send(client, legacy, input=do(say(HELLO))).messages[1].content


def test_only_the_first_of_several_calls_counts(
    client: Letta, legacy: AgentState, provider: FakeProvider
) -> None:
    before = len(provider.problems)
    both = {
        "calls": [
            *think("memory_insert", label="human", new_string="once")["calls"],
            *think("memory_insert", label="human", new_string="twice")["calls"],
        ]
    }
    reply = send(client, legacy, input=do(both, say(HELLO)))
    assert len(reply.messages[1].tool_calls) == 1
    value = client.agents.blocks.retrieve("human", agent_id=legacy.id).value
    assert value == "Nothing is known yet.\nonce"
    assert provider.problems[before:] == []


def test_text_beside_a_call_is_a_thought(client: Letta, legacy: AgentState) -> None:
    action = think("send_message", message=HELLO) | {"say": "Let me see.", "reasoning": "Deep."}
    reply = send(client, legacy, input=do(action))
    assert [(m.source, m.reasoning) for m in reply.messages[:2]] == [
        ("reasoner_model", "Deep."),
        ("non_reasoner_model", "Let me see.\nI use send_message."),
    ]
    assert [m.otid[-1] for m in reply.messages] == [
        reply.messages[0].otid[-1],
        *(f"{int(reply.messages[0].otid[-1], 16) + n:x}" for n in (1, 2)),
    ]


def test_without_use_assistant_message_calls_and_returns_are_shown_as_they_are(
    client: Letta, legacy: AgentState
) -> None:
    reply = send(client, legacy, input=do(say(HELLO)), use_assistant_message=False)
    assert types_of(reply.messages) == [
        "reasoning_message",
        "tool_call_message",
        "tool_return_message",
    ]
    assert json.loads(reply.messages[1].tool_call.arguments) == {"message": HELLO}
    plain = listed(client, legacy, use_assistant_message=False)
    assert plain[-1].message_type == "tool_return_message"
    shown = listed(client, legacy)
    assert (shown[-1].message_type, shown[-1].content) == ("assistant_message", HELLO)
    of_run = client.runs.messages.list(reply.messages[0].run_id).items
    assert [m.message_type for m in of_run][-1] == "tool_return_message"
    spoken = send(client, legacy, input=do(say(HELLO)))
    of_run = client.runs.messages.list(spoken.messages[0].run_id).items
    assert [m.message_type for m in of_run][-1] == "assistant_message"


def test_another_tool_may_be_the_one_that_speaks(client: Letta, legacy: AgentState) -> None:
    search = think("conversation_search", query="what I say")
    view: dict[str, Any] = {
        "assistant_message_tool_name": "conversation_search",
        "assistant_message_tool_kwarg": "query",
    }
    reply = send(client, legacy, input=do(search, say(HELLO)), **view)
    assert types_of(reply.messages) == [
        "reasoning_message",
        "assistant_message",
        "reasoning_message",
        "tool_call_message",
        "tool_return_message",
    ]
    assert reply.messages[1].content == "what I say"
    shown = listed(client, legacy, **view)
    assert [m.content for m in shown if m.message_type == "assistant_message"] == ["what I say"]


def test_conversation_search_finds_what_was_said_by_send_message(
    client: Letta, legacy: AgentState
) -> None:
    send(client, legacy, input=do(say('The "blue" café\nby the sea')))
    search = think("conversation_search", query='"BLUE" café\nby', roles=["assistant"])
    reply = send(client, legacy, input=do(search, say(HELLO)))
    found = json.loads(reply.messages[2].tool_return)
    assert [result["content"] for result in found["results"]] == ['The "blue" café\nby the sea']


@pytest.mark.parametrize("cut", [1, 2, 7, 1_000])
def test_tokens_of_a_message_stream_as_what_is_said(
    server: Product, legacy: AgentState, cut: int
) -> None:
    said = 'Tell "Ada" that\n\u00e9 and 😀 \\ arrived'
    edit = think("memory_insert", label="human", new_string="x") | {"cut": cut}
    last = say(said) | {"thinking": "Now I\ntell.", "cut": cut, "pause_s": 0.002}
    body = {"input": do(edit, last), "stream_tokens": True, "include_pings": False}
    events = stream(server, legacy, body)
    kinds = [(event["message_type"], event.get("id")) for event in events]
    order = [kind for n, kind in enumerate(kinds) if n == 0 or kinds[n - 1] != kind]
    assert [kind for kind, _ in order] == [
        "reasoning_message",
        "tool_call_message",
        "tool_return_message",
        "reasoning_message",
        "assistant_message",
        "stop_reason",
        "usage_statistics",
    ]
    pieces = [e["tool_call"] for e in events if e["message_type"] == "tool_call_message"]
    arguments = "".join(piece.get("arguments", "") for piece in pieces)
    assert json.loads(arguments) == {"label": "human", "new_string": "x"}
    words = [event for event in events if event["message_type"] == "assistant_message"]
    assert "".join(event["content"] for event in words) == said
    assert len({(event["id"], event["otid"]) for event in words}) == 1
    kept = listed(server.client(), legacy)[-2:]
    assert [(m.id, m.otid) for m in kept] == [
        (e["id"], e["otid"]) for e in events[-3:-2] for e in (thought_of(events, e["id"]), e)
    ]
    assert kept[0].reasoning == "Now I\ntell."
    assert kept[1].content == said


def test_a_message_of_escapes_alone_streams_in_one_piece_and_holds_nobody_up(
    server: Product, legacy: AgentState
) -> None:
    said = "\n" * 300_000
    last = say(said) | {"thinking": "Much.", "cut": len(said) * 4}
    events = stream(server, legacy, {"input": do(last), "stream_tokens": True})
    words = [e["content"] for e in events if e["message_type"] == "assistant_message"]
    assert "".join(words) == said
    assert [e["stop_reason"] for e in events if e["message_type"] == "stop_reason"] == ["end_turn"]


def thought_of(events: list[dict[str, Any]], message_id: str) -> dict[str, Any]:
    thoughts = [e for e in events if e["message_type"] == "reasoning_message"]
    mine = [e for e in thoughts if e["id"] == message_id]
    assert "".join(e["reasoning"] for e in mine) == "Now I\ntell."
    assert len({e["otid"] for e in mine}) == 1
    return mine[0]


def test_tokens_of_a_call_that_speaks_stream_as_a_call_when_the_client_wants_that(
    server: Product, legacy: AgentState
) -> None:
    body = {
        "input": do(say(HELLO)),
        "stream_tokens": True,
        "include_pings": False,
        "use_assistant_message": False,
    }
    events = stream(server, legacy, body)
    pieces = [e["tool_call"] for e in events if e["message_type"] == "tool_call_message"]
    assert pieces[0]["name"] == "send_message"
    assert json.loads("".join(p.get("arguments", "") for p in pieces)) == {"message": HELLO}
    assert [e["tool_return"] for e in events if e["message_type"] == "tool_return_message"] == [
        "Sent message successfully."
    ]


def test_a_step_stream_shows_whole_messages(server: Product, legacy: AgentState) -> None:
    events = stream(server, legacy, {"input": do(say(HELLO)), "include_pings": False})
    assert [event["message_type"] for event in events] == [
        "reasoning_message",
        "assistant_message",
        "stop_reason",
        "usage_statistics",
    ]
    assert events[1]["content"] == HELLO
    assert events[2]["stop_reason"] == "end_turn"


def test_a_stream_of_plain_text_ends_with_v1s_error(server: Product, legacy: AgentState) -> None:
    text = do(say("no call") | {"disobey": True})
    body = {"input": text, "stream_tokens": True, "include_pings": False}
    events = stream(server, legacy, body)
    assert events[-1]["message_type"] == "error_message"
    assert events[-1]["error_type"] == "llm_error"
    assert events[-1]["message"].startswith("No tool calls found in response")


def stream(server: Product, agent: AgentState, body: dict[str, Any]) -> list[dict[str, Any]]:
    """What comes over the wire, without the closing `[DONE]`."""
    url = f"{server.url}/v1/agents/{agent.id}/messages/stream"
    with httpx.stream("POST", url, json=body, timeout=30) as answer:
        lines = [line for line in answer.iter_lines() if line.startswith("data: ")]
    assert lines[-1] == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]


@pytest.mark.parametrize(("heartbeat", "steps"), [(True, 2), ("true", 2), (False, 1), (None, 1)])
def test_without_rules_the_heartbeat_alone_decides(
    server: Product, client: Letta, heartbeat: object, steps: int
) -> None:
    agent = client.agents.create(
        agent_type="memgpt_v2_agent", model=HANDLE, include_base_tool_rules=False
    )
    search = think("conversation_search", heartbeat=heartbeat, query="x")
    reply = send(client, agent, input=do(search, say(HELLO)))
    assert reply.usage.step_count == steps
    assert reply.stop_reason.stop_reason == "end_turn"
    assert reply.messages[-1].message_type == (
        "assistant_message" if steps == 2 else "tool_return_message"
    )
    heartbeats = [text for role, text in stored(server, agent) if '"heartbeat"' in text]
    assert len(heartbeats) == steps - 1
