"""Approval requests through the official client: what waits, and every way to answer it."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from letta_client import BadRequestError, ConflictError, Letta
from letta_client.types import AgentState

from tests.support.approvals import (
    INSERT,
    answer,
    approval,
    ask,
    guarded_agent,
    memory_of,
    request_of,
)
from tests.support.product import Product, eventually
from tests.support.provider import HANDLE, FakeProvider, call, do, say, together

TWO = {"calls": [*INSERT["calls"], *call("memory_insert", label="human", new_string="B")["calls"]]}
MIXED = {"calls": [*call("conversation_search", query="zzz")["calls"], *INSERT["calls"]]}


@pytest.fixture
def guarded(client: Letta) -> AgentState:
    return guarded_agent(client)


def test_a_guarded_call_pauses_and_runs_once_it_is_approved(
    client: Letta, guarded: AgentState, provider: FakeProvider
) -> None:
    request = request_of(ask(client, guarded))
    assert request.tool_call.name == "memory_insert"
    assert [one.tool_call_id for one in request.tool_calls] == [request.tool_call.tool_call_id]
    assert request.otid == request.id
    assert memory_of(client, guarded) == "nothing"
    said = answer(client, guarded, approval(request.tool_call.tool_call_id))
    assert [m.message_type for m in said.messages] == ["tool_return_message", "assistant_message"]
    assert said.messages[0].step_id == request.step_id
    assert said.messages[0].status == "success"
    assert said.messages[1].content == "done"
    assert said.stop_reason.stop_reason == "end_turn"
    assert "likes tea" in memory_of(client, guarded)
    assert provider.problems == []


def test_a_denied_call_is_not_made_and_the_model_reads_why(
    client: Letta, guarded: AgentState
) -> None:
    request = request_of(ask(client, guarded))
    call_id = request.tool_call.tool_call_id
    said = answer(client, guarded, approval(call_id, approve=False, reason="too private"))
    assert said.messages[0].status == "error"
    assert said.messages[0].tool_return == (
        "Error: request to call tool denied. User reason: too private"
    )
    assert said.messages[1].content == "done"
    assert memory_of(client, guarded) == "nothing"


@pytest.mark.parametrize("approve", [True, False])
def test_the_older_form_answers_all_that_waits(
    client: Letta, guarded: AgentState, approve: bool
) -> None:
    request = request_of(ask(client, guarded, TWO))
    message: Any = {
        "type": "approval",
        "approve": approve,
        "approval_request_id": request.id,
        "reason": "because",
    }
    said = client.agents.messages.create(guarded.id, messages=[message])
    statuses = [m.status for m in said.messages if m.message_type == "tool_return_message"]
    assert statuses == ["success" if approve else "error"] * 2
    assert ("likes tea" in memory_of(client, guarded)) is approve


def test_the_id_of_the_request_does_for_the_id_of_a_call(
    client: Letta, guarded: AgentState
) -> None:
    request = request_of(ask(client, guarded))
    said = answer(client, guarded, approval(request.id))
    assert said.messages[0].status == "success"


def test_calls_that_need_no_approval_are_shown_first_and_made_with_the_answer(
    client: Letta, guarded: AgentState
) -> None:
    first = ask(client, guarded, MIXED)
    kinds = [message.message_type for message in first.messages]
    assert kinds == ["tool_call_message", "approval_request_message"]
    assert first.messages[0].tool_call.name == "conversation_search"
    request = request_of(first)
    said = answer(client, guarded, approval(request.tool_call.tool_call_id))
    names = {m.name for m in said.messages if m.message_type == "tool_return_message"}
    assert names == {"conversation_search", "memory_insert"}


def test_calls_are_answered_one_by_one_in_any_order(client: Letta, guarded: AgentState) -> None:
    request = request_of(ask(client, guarded, TWO))
    first, second = (one.tool_call_id for one in request.tool_calls)
    left = request_of(answer(client, guarded, approval(second, approve=False)))
    assert [one.tool_call_id for one in left.tool_calls] == [first]
    shown = client.agents.retrieve(guarded.id).pending_approval
    assert [one.tool_call_id for one in shown.tool_calls] == [first]
    again = request_of(answer(client, guarded, approval(second, approve=False)))
    assert again.run_id == left.run_id
    said = answer(client, guarded, approval(first))
    statuses = {
        m.tool_call_id: m.status for m in said.messages if m.message_type == "tool_return_message"
    }
    assert statuses == {first: "success", second: "error"}
    assert "likes tea" in memory_of(client, guarded)


def test_ids_that_do_not_wait_are_refused_and_nothing_is_lost(
    client: Letta, guarded: AgentState
) -> None:
    with pytest.raises(BadRequestError, match="No tool call is currently awaiting approval"):
        answer(client, guarded, approval("call_x"))
    request = request_of(ask(client, guarded))
    call_id = request.tool_call.tool_call_id
    with pytest.raises(BadRequestError, match="Invalid tool call IDs"):
        answer(client, guarded, approval("call_x"))
    with pytest.raises(BadRequestError, match="Invalid tool call IDs"):
        answer(client, guarded, approval(call_id), approval("call_x"))
    assert answer(client, guarded, approval(call_id)).messages[0].status == "success"


def test_the_same_answer_four_times_at_once_is_one_execution_and_one_reply(
    server: Product, guarded: AgentState
) -> None:
    client = server.client()
    request = request_of(ask(client, guarded))
    call_id = request.tool_call.tool_call_id
    barrier = threading.Barrier(4)

    def post(_: int) -> Any:
        own = server.client()
        barrier.wait()
        return answer(own, guarded, approval(call_id))

    with ThreadPoolExecutor(4) as pool:
        replies = list(pool.map(post, range(4)))
    assert len({reply.messages[0].run_id for reply in replies}) == 1
    assert len({reply.model_dump_json() for reply in replies}) == 1
    assert memory_of(client, guarded).count("likes tea") == 1
    late = answer(client, guarded, approval(call_id))
    assert late.model_dump_json() == replies[0].model_dump_json()


def test_another_answer_than_the_one_given_is_a_conflict(
    client: Letta, guarded: AgentState
) -> None:
    request = request_of(ask(client, guarded))
    call_id = request.tool_call.tool_call_id
    answer(client, guarded, approval(call_id))
    with pytest.raises(ConflictError, match="was answered otherwise before"):
        answer(client, guarded, approval(call_id, approve=False))


def test_what_waits_shows_on_the_agent_and_in_the_runs(client: Letta, guarded: AgentState) -> None:
    assert client.agents.retrieve(guarded.id).pending_approval is None
    request = request_of(ask(client, guarded))
    for shown in (
        client.agents.retrieve(guarded.id),
        client.agents.retrieve(guarded.id, include=["agent.pending_approval"]),
        next(one for one in client.agents.list().items if one.id == guarded.id),
    ):
        assert shown.pending_approval.id == request.id
    (run,) = client.runs.list(agent_id=guarded.id, stop_reason="requires_approval").items
    assert run.status == "completed"
    assert (run.metadata or {})["pending_approval"] == request.id
    assert (client.runs.retrieve(run.id).metadata or {})["pending_approval"] == request.id
    answer(client, guarded, approval(request.tool_call.tool_call_id))
    assert client.agents.retrieve(guarded.id).pending_approval is None
    assert "pending_approval" not in (client.runs.retrieve(run.id).metadata or {})


def test_history_tells_of_the_request_and_of_the_answer(client: Letta, guarded: AgentState) -> None:
    request = request_of(ask(client, guarded))
    call_id = request.tool_call.tool_call_id
    answer(client, guarded, approval(call_id, approve=False, reason="no"))
    listed = client.agents.messages.list(guarded.id, order="asc").items
    assert [m.message_type for m in listed] == [
        "system_message",
        "user_message",
        "approval_request_message",
        "approval_response_message",
        "tool_return_message",
        "assistant_message",
    ]
    response: Any = listed[3]
    assert response.approval_request_id == request.id
    assert response.approve is False
    assert response.approvals[0].tool_call_id == call_id
    assert response.approvals[0].reason == "no"
    for kind in ("approval_request_message", "approval_response_message"):
        only = client.agents.messages.list(guarded.id, include_return_message_types=[kind]).items
        assert [m.message_type for m in only] == [kind]
    calls = client.agents.messages.list(
        guarded.id, include_return_message_types=["tool_call_message"]
    )
    assert calls.items == []


def test_a_send_while_an_approval_waits_is_refused(
    server: Product, client: Letta, guarded: AgentState
) -> None:
    request = request_of(ask(client, guarded))
    url = f"{server.url}/v1/agents/{guarded.id}/messages"
    refused = httpx.post(url, json={"input": "hello"})
    assert refused.status_code == 409
    assert refused.headers["x-should-retry"] == "false"
    detail = refused.json()["detail"]
    assert detail["code"] == "PENDING_APPROVAL"
    assert detail["pending_request_id"] == request.id
    assert "waiting for approval on a tool call" in detail["message"]
    streamed = httpx.post(f"{url}/stream", json={"input": "hello"})
    assert streamed.status_code == 200
    assert "event: error" in streamed.text
    assert '"error_type": "internal_error"' in streamed.text
    assert "waiting for approval on a tool call" in streamed.text
    assert streamed.text.endswith("data: [DONE]\n\n")
    runs = client.runs.list(agent_id=guarded.id).items
    assert len(runs) == 1


def test_more_may_be_said_behind_the_answer(
    client: Letta, guarded: AgentState, provider: FakeProvider
) -> None:
    request = request_of(ask(client, guarded))
    messages: Any = [
        {"type": "approval", "approvals": [approval(request.id, approve=False)]},
        {"role": "user", "content": "What now?"},
    ]
    said = client.agents.messages.create(guarded.id, messages=messages)
    assert said.messages[-1].content == "You said: What now?"
    last = provider.prompts[-1]
    assert [m["role"] for m in last[-3:]] == ["assistant", "tool", "user"]
    assert provider.problems == []


def test_an_answer_may_be_followed_by_another_request(client: Letta, guarded: AgentState) -> None:
    request = request_of(ask(client, guarded, INSERT, INSERT))
    second = request_of(answer(client, guarded, approval(request.tool_call.tool_call_id)))
    assert second.id != request.id
    assert second.tool_call.tool_call_id != request.tool_call.tool_call_id
    said = answer(client, guarded, approval(second.tool_call.tool_call_id))
    assert said.messages[-1].content == "done"


def test_a_streamed_request_and_a_streamed_answer(client: Letta, guarded: AgentState) -> None:
    text = do(INSERT, say("all done"))
    for tokens in (False, True):
        stream = client.agents.messages.create(
            guarded.id, input=text, streaming=True, stream_tokens=tokens
        )
        events = list(stream)
        kinds = [event.message_type for event in events]
        assert "tool_call_message" not in kinds
        requests = [e for e in events if e.message_type == "approval_request_message"]
        assert requests[0].tool_call.name == "memory_insert"
        assert len({event.id for event in requests}) == 1
        assert events[-2].stop_reason == "requires_approval"
        message: Any = {"type": "approval", "approvals": [approval(requests[0].id)]}
        answered = client.agents.messages.create(
            guarded.id, messages=[message], streaming=True, stream_tokens=tokens
        )
        kinds = [event.message_type for event in answered]
        assert kinds.index("tool_return_message") < kinds.index("assistant_message")


def test_a_clients_own_tool_is_called_by_the_client(
    client: Letta, agent: AgentState, provider: FakeProvider
) -> None:
    tool: Any = {
        "name": "Bash",
        "description": "Run a command.",
        "parameters": {"type": "object", "properties": {"command": {"type": "string"}}},
    }
    first = ask(client, agent, call("Bash", command="ls"), client_tools=[tool])
    request = request_of(first)
    assert request.tool_call.name == "Bash"
    returned: Any = {
        "type": "approval",
        "approvals": [
            {
                "type": "tool",
                "tool_call_id": request.tool_call.tool_call_id,
                "tool_return": [{"type": "text", "text": "a.txt"}],
                "status": "success",
                "stdout": ["a.txt"],
            }
        ],
    }
    said = client.agents.messages.create(agent.id, messages=[returned])
    assert said.messages[0].tool_return == "a.txt"
    assert said.messages[0].stdout == ["a.txt"]
    assert said.messages[1].content == "done"
    assert "a.txt" in provider.prompts[-1][-1]["content"]
    assert provider.problems == []


def test_a_tool_return_message_answers_as_well(client: Letta, agent: AgentState) -> None:
    request = request_of(ask(client, agent, call("Look"), client_tools=[{"name": "Look"}]))
    message: Any = {
        "type": "tool_return",
        "tool_returns": [
            {
                "type": "tool",
                "tool_call_id": request.tool_call.tool_call_id,
                "tool_return": "nothing there",
                "status": "error",
            }
        ],
    }
    said = client.agents.messages.create(agent.id, messages=[message])
    assert said.messages[0].status == "error"
    assert said.messages[0].tool_return == "nothing there"


def test_queued_messages_wait_behind_an_approval_and_are_answered_after_it(
    server: Product, client: Letta, guarded: AgentState, provider: FakeProvider
) -> None:
    text = do(INSERT, say("done"))
    held = provider.hold(lambda prompt: bool(prompt[-1]["content"] == text))
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(client.agents.messages.create, guarded.id, input=text)
        assert held.reached.wait(20)
        queued = [
            pool.submit(client.agents.messages.create, guarded.id, input=f"n {n}") for n in (1, 2)
        ]
        eventually(lambda: len(client.runs.list(agent_id=guarded.id, active=True).items) == 3)
        held.opened.set()
        request = request_of(first.result(20))
        assert not any(one.done() for one in queued)
        said = answer(client, guarded, approval(request.tool_call.tool_call_id))
        assert said.messages[-1].content == "done"
        replies = [one.result(20).messages[-1].content for one in queued]
    assert replies == ["You said: n 1", "You said: n 2"]
    assert provider.problems == []


@pytest.mark.parametrize(
    "message",
    [
        {"type": "approval"},
        {"type": "approval", "approvals": []},
        {"type": "approval", "approve": True},
        {"type": "approval", "approve": False, "approval_request_id": ""},
        {"type": "approval", "approvals": [{"type": "approval", "approve": True}]},
        {"type": "approval", "approvals": [{"type": "other", "tool_call_id": "x"}]},
        {"type": "tool_return", "tool_returns": []},
    ],
)
def test_an_answer_that_says_nothing_is_422(
    server: Product, guarded: AgentState, message: dict[str, Any]
) -> None:
    url = f"{server.url}/v1/agents/{guarded.id}/messages"
    assert httpx.post(url, json={"messages": [message]}).status_code == 422


@pytest.mark.parametrize(
    "rules",
    [
        [{"type": "run_first", "tool_name": "core_memory_append"}],
        [
            {
                "type": "parent_last_tool",
                "tool_name": "core_memory_append",
                "children": ["memory_insert"],
            }
        ],
    ],
    ids=["run first", "parent"],
)
def test_a_call_that_rules_allow_after_the_one_before_it_waits_for_approval_too(
    client: Letta, rules: Any
) -> None:
    agent = client.agents.create(
        model=HANDLE,
        memory_blocks=[{"label": "human", "value": ""}],
        tools=["core_memory_append", "memory_insert"],
        include_base_tools=False,
        tool_rules=[{"type": "requires_approval", "tool_name": "memory_insert"}, *rules],
    )
    append = call("core_memory_append", label="human", content="x")
    request = request_of(ask(client, agent, together(append, INSERT)))
    assert request.tool_call.name == "memory_insert"
    assert memory_of(client, agent) == ""
    answer(client, agent, approval(request.tool_call.tool_call_id))
    assert memory_of(client, agent) == "x\nlikes tea"


def test_a_guarded_call_that_rules_turn_out_to_allow_is_not_made_without_approval(
    client: Letta,
) -> None:
    conditional = {
        "type": "conditional",
        "tool_name": "core_memory_append",
        "child_output_mapping": {"x": "memory_insert"},
        "default_child": "conversation_search",
    }
    agent = client.agents.create(
        model=HANDLE,
        memory_blocks=[{"label": "human", "value": ""}],
        tools=["core_memory_append", "memory_insert", "conversation_search"],
        include_base_tools=False,
        tool_rules=[{"type": "requires_approval", "tool_name": "memory_insert"}, conditional],
    )
    append = call("core_memory_append", label="human", content="x")
    request = request_of(ask(client, agent, together(append, INSERT), INSERT))
    assert memory_of(client, agent) == "x"
    answer(client, agent, approval(request.tool_call.tool_call_id))
    assert memory_of(client, agent) == "x\nlikes tea"
