"""What is on record of turns that waited for an approval: runs, steps, messages, conversations."""

from typing import Any

import httpx
import pytest
from letta_client import ConflictError, Letta
from letta_client.types import AgentState

from tests.support.approvals import INSERT, answer, approval, ask, guarded_agent, request_of
from tests.support.chats import speak
from tests.support.product import Product
from tests.support.provider import do, say


@pytest.fixture
def guarded(client: Letta) -> AgentState:
    return guarded_agent(client)


def kinds(messages: Any) -> list[str]:
    return [message.message_type for message in messages]


def test_each_run_lists_what_it_added_oldest_first(client: Letta, guarded: AgentState) -> None:
    request = request_of(ask(client, guarded))
    messages: Any = [
        {"type": "approval", "approvals": [approval(request.id)]},
        {"role": "user", "content": "And then?"},
    ]
    said = client.agents.messages.create(guarded.id, messages=messages)
    first = client.runs.messages.list(request.run_id).items
    assert kinds(first) == ["user_message", "approval_request_message"]
    second = client.runs.messages.list(str(said.messages[0].run_id)).items
    assert kinds(second) == [
        "approval_response_message",
        "tool_return_message",
        "user_message",
        "assistant_message",
    ]


def test_the_return_of_an_approved_call_belongs_to_the_step_that_asked(
    client: Letta, guarded: AgentState
) -> None:
    request = request_of(ask(client, guarded))
    said = answer(client, guarded, approval(request.id))
    returned, reply = said.messages
    (asking,) = client.runs.steps.list(request.run_id).items
    (answering,) = client.runs.steps.list(returned.run_id).items
    assert (asking.id, asking.stop_reason) == (request.step_id, "requires_approval")
    assert (answering.id, answering.stop_reason) == (reply.step_id, "end_turn")
    of_step = client.steps.messages.list(asking.id).items
    assert kinds(of_step) == [
        "approval_request_message",
        "approval_response_message",
        "tool_return_message",
    ]
    took = client.steps.metrics.retrieve(asking.id)
    assert (took.tool_execution_ns or 0) > 0
    assert said.usage.step_count == 1
    assert said.usage.run_ids is None


def test_steps_are_counted_anew_for_the_answer(client: Letta, guarded: AgentState) -> None:
    request = request_of(ask(client, guarded, INSERT, INSERT, max_steps=1))
    again = request_of(answer(client, guarded, approval(request.id), max_steps=1))
    other: Any = {"calls": [{"name": "conversation_search", "arguments": "{}"}]}
    answer(client, guarded, approval(again.id, approve=False))
    request = request_of(ask(client, guarded, INSERT, other, max_steps=1))
    said = answer(client, guarded, approval(request.id), max_steps=1)
    assert said.stop_reason.stop_reason == "max_steps"
    assert kinds(said.messages) == [
        "tool_return_message",
        "tool_call_message",
        "tool_return_message",
    ]


def test_the_arguments_of_a_request_are_streamed_once_under_its_own_id(
    client: Letta, guarded: AgentState
) -> None:
    action = INSERT | {"say": "I ask first.", "cut": 12, "pause_s": 0.05}
    stream = client.agents.messages.create(
        guarded.id, input=do(action), streaming=True, stream_tokens=True
    )
    pieces: list[Any] = [e for e in stream if e.message_type == "approval_request_message"]
    assert len(pieces) > 1
    told = "".join(piece.tool_call.arguments or "" for piece in pieces)
    assert told == INSERT["calls"][0]["arguments"]
    pending = client.agents.retrieve(guarded.id).pending_approval
    assert {(one.id, one.otid) for one in pieces} == {(pending.id, pending.otid)}
    assert pending.otid == pending.id


@pytest.mark.parametrize("where", ["agents/{agent}/messages/async", "conversations/{own}/messages"])
def test_every_way_to_send_is_refused_while_an_approval_waits(
    server: Product, client: Letta, guarded: AgentState, where: str
) -> None:
    request = request_of(ask(client, guarded))
    own = client.runs.retrieve(request.run_id).conversation_id
    url = f"{server.url}/v1/{where.format(agent=guarded.id, own=own)}"
    refused = httpx.post(url, json={"input": "hello", "streaming": False})
    assert refused.status_code == 409
    assert refused.json()["detail"]["pending_request_id"] == request.id
    assert len(client.runs.list(agent_id=guarded.id).items) == 1


def test_a_conversation_shows_what_it_waits_for(client: Letta, guarded: AgentState) -> None:
    conversation = client.conversations.create(agent_id=guarded.id).id
    (asked, *_) = speak(client, conversation, do(INSERT, say("done")))

    def shown() -> list[dict[str, Any]]:
        listed = client.conversations.list(agent_id=guarded.id)
        return [one.model_dump() for one in (client.conversations.retrieve(conversation), *listed)]

    for one in shown():
        assert one["pending_approval"]["id"] == asked.id
        assert one["pending_approval"]["message_type"] == "approval_request_message"
        # Letta Code looks at the last message of the context for what it has to answer.
        assert one["in_context_message_ids"][-1] == asked.id
    (found,) = client.messages.retrieve(asked.id)
    assert found.message_type == "approval_request_message"
    assert client.agents.retrieve(guarded.id).pending_approval.id == asked.id
    own = client.agents.messages.create(guarded.id, input="the own thread goes on")
    assert own.stop_reason.stop_reason == "end_turn"
    with pytest.raises(ConflictError):
        client.conversations.messages.create(conversation, input="hello", streaming=False)
    message: Any = {"type": "approval", "approvals": [approval(asked.id)]}
    with client.conversations.messages.create(conversation, messages=[message]) as stream:
        assert "tool_return_message" in kinds(stream)
    assert [one["pending_approval"] for one in shown()] == [None, None]


def test_a_half_answered_request_shows_what_is_left_in_its_conversation(
    client: Letta, guarded: AgentState
) -> None:
    two: Any = {"calls": [*INSERT["calls"], *INSERT["calls"]]}
    request = request_of(ask(client, guarded, two))
    first, second = (one.tool_call_id for one in request.tool_calls)
    answer(client, guarded, approval(first, approve=False))
    own = client.runs.retrieve(request.run_id).conversation_id
    left = client.conversations.retrieve(str(own)).model_dump()
    assert [one["tool_call_id"] for one in left["pending_approval"]["tool_calls"]] == [second]
    assert left["in_context_message_ids"][-1] == request.id
    assert (client.agents.retrieve(guarded.id).message_ids or [""])[-1] == request.id
