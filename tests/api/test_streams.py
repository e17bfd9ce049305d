"""Streams: V1's order of events, tokens, pings and errors."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from letta_client import APIStatusError, Letta
from letta_client.types import AgentState

from api.answers import polling
from api.answers.watch import RunWatcher
from o.domain.runs import EventKind
from tests.support.product import Product
from tests.support.provider import call, do, say


def frames(server: Product, agent: AgentState, **body: Any) -> list[str]:
    """The raw events, without the blank lines between them."""
    url = f"{server.url}/v1/agents/{agent.id}/messages/stream"
    with httpx.stream("POST", url, json=body, timeout=30) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        return "".join(answer.iter_text()).removesuffix("\n\n").split("\n\n")


def bodies(lines: list[str]) -> list[dict[str, Any]]:
    return [json.loads(line.split("data: ", 1)[1]) for line in lines if "[DONE]" not in line]


def test_step_streaming_sends_a_ping_then_whole_messages_then_the_tail(
    server: Product, agent: AgentState
) -> None:
    text = do(call("memory_insert", label="human", new_string="x"), say("two words"))
    lines = frames(server, agent, input=text)
    assert lines[-1] == "data: [DONE]"
    events = bodies(lines)
    assert [event["message_type"] for event in events] == [
        "ping",
        "tool_call_message",
        "tool_return_message",
        "assistant_message",
        "stop_reason",
        "usage_statistics",
    ]
    assert {event["run_id"] for event in events[:4]} == {events[0]["run_id"]}
    assert events[3]["content"] == "two words"
    assert events[5]["step_count"] == 2


def test_token_streaming_sends_pieces_of_one_message_under_one_id(
    server: Product, agent: AgentState
) -> None:
    action = say("one two three") | {"pause_s": 0.05, "reasoning": "let me think"}
    text = do(call("memory_insert", label="human", new_string="x"), action)
    events = bodies(frames(server, agent, input=text, stream_tokens=True, include_pings=False))
    pieces = [event for event in events if event["message_type"] == "tool_call_message"]
    assert pieces[0]["tool_call"]["name"] == "memory_insert"
    assert len({piece["tool_call"]["tool_call_id"] for piece in pieces}) == 1
    assert all("name" not in piece["tool_call"] for piece in pieces[1:])
    arguments = "".join(piece["tool_call"].get("arguments", "") for piece in pieces)
    assert json.loads(arguments) == {"label": "human", "new_string": "x"}
    thought = next(event for event in events if event["message_type"] == "reasoning_message")
    said = [event for event in events if event["message_type"] == "assistant_message"]
    assert len(said) > 1
    assert "".join(event["content"] for event in said) == "one two three"
    assert {event["id"] for event in said} == {thought["id"]}
    assert {event["otid"] for event in said} != {thought["otid"]}
    whole = [event for event in events if event["message_type"] == "tool_return_message"]
    assert len(whole) == 1
    stored = server.client().agents.messages.list(agent.id).items
    assert stored[-1].id == said[0]["id"]
    assert stored[-1].content == "one two three"
    assert stored[-1].otid == said[0]["otid"]


def test_the_official_client_reads_both_kinds_of_stream(client: Letta, agent: AgentState) -> None:
    for tokens in (False, True):
        stream = client.agents.messages.create(
            agent.id, input="hello there", streaming=True, stream_tokens=tokens
        )
        events = list(stream)
        assert events[0].message_type == "ping"
        text = "".join(str(e.content) for e in events if e.message_type == "assistant_message")
        assert text == "You said: hello there"
        assert [event.message_type for event in events[-2:]] == ["stop_reason", "usage_statistics"]


def test_a_failed_stream_ends_with_an_error_event_and_done(
    server: Product, client: Letta, agent: AgentState
) -> None:
    lines = frames(server, agent, input=do({"fail": 401}), include_pings=False)
    assert lines[-1] == "data: [DONE]"
    assert lines[1].startswith("event: error\n")
    stop, error = bodies(lines)
    assert stop == {"message_type": "stop_reason", "stop_reason": "llm_api_error"}
    assert error["message_type"] == "error_message"
    assert error["error_type"] == "llm_authentication"
    assert error["run_id"].startswith("run-")
    with pytest.raises(APIStatusError):
        list(client.agents.messages.create(agent.id, input=do({"fail": 401}), streaming=True))


def test_only_the_message_types_asked_for_are_shown(server: Product, agent: AgentState) -> None:
    text = do(call("memory_insert", label="human", new_string="x"), say("done"))
    events = bodies(
        frames(
            server,
            agent,
            input=text,
            include_pings=False,
            include_return_message_types=["assistant_message"],
        )
    )
    shown = [event["message_type"] for event in events]
    assert shown == ["assistant_message", "stop_reason", "usage_statistics"]


def test_a_retried_model_attempt_streams_under_a_new_id(server: Product, agent: AgentState) -> None:
    """A worker that dies mid-reply is covered by the kill tests; here the provider hangs up."""
    text = do({"fail": 503, "times": 1, "say": "second try"})
    events = bodies(frames(server, agent, input=text, stream_tokens=True, include_pings=False))
    said = [event for event in events if event["message_type"] == "assistant_message"]
    assert "".join(event["content"] for event in said) == "second try"
    assert len({event["id"] for event in said}) == 1


def test_a_client_that_leaves_does_not_stop_the_run(
    server: Product, client: Letta, agent: AgentState
) -> None:
    url = f"{server.url}/v1/agents/{agent.id}/messages/stream"
    body = {"input": do(say("after you left") | {"delay_s": 0.5})}
    with httpx.stream("POST", url, json=body) as answer:
        next(answer.iter_text())
    client.agents.messages.create(agent.id, input="next")
    contents = [getattr(m, "content", "") for m in client.agents.messages.list(agent.id).items]
    assert "after you left" in contents


def test_a_reply_that_is_too_long_for_a_notice_arrives_whole(
    server: Product, client: Letta, agent: AgentState
) -> None:
    text = "é" * 9_000
    assert client.agents.messages.create(agent.id, input=do(say(text))).messages[0].content == text
    events = bodies(frames(server, agent, input=do(say(text)), include_pings=False))
    assert [e["content"] for e in events if e["message_type"] == "assistant_message"] == [text]


async def test_a_log_is_read_though_each_look_takes_as_long_as_there_is_between_two(
    server: Product, client: Letta, agent: AgentState, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.agents.messages.create(agent.id, input="hello")
    (run,) = client.runs.list(agent_id=agent.id).items
    monkeypatch.setattr(polling, "_LOOK_S", 0.0)
    watcher = RunWatcher(server.state["database_url"], patience_s=10)
    watching = asyncio.create_task(watcher.run())
    async with asyncio.timeout(30):
        events = [event async for batch in watcher.follow(str(run.id)) for event in batch]
    watching.cancel()
    await asyncio.wait({watching})
    assert events[-1].kind is EventKind.CLOSED
