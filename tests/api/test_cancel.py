"""Cancelling: by agent, by conversation, by run; whatever is under way stops and stays stopped."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import httpx
import pytest
from letta_client import BadRequestError, ConflictError, Letta, NotFoundError, omit
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
from tests.support.provider import FakeProvider, Gate, call, do, last_user_text, say


def hold(provider: FakeProvider, text: str) -> Gate:
    """Keep the model from answering this message until the gate is opened."""
    return provider.hold(lambda prompt: bool(prompt[-1]["content"] == text))


def has_open(client: Letta, agent: AgentState, count: int) -> bool:
    return len(client.runs.list(agent_id=agent.id, active=True).items) == count


@pytest.fixture
def pool() -> Any:
    with ThreadPoolExecutor(8) as pool:
        yield pool


@pytest.mark.parametrize("how", ["agent", "run", "conversation", "default"])
def test_a_run_that_waits_for_its_model_is_cancelled_at_once_and_leaves_a_clean_history(
    client: Letta,
    server: Product,
    agent: AgentState,
    provider: FakeProvider,
    pool: ThreadPoolExecutor,
    how: str,
) -> None:
    text = f"stop me {how}"
    held = hold(provider, text)
    waiting = pool.submit(client.agents.messages.create, agent.id, input=text)
    assert held.reached.wait(20)
    (run,) = client.runs.list(agent_id=agent.id, active=True).items
    assert run.status == "running"
    match how:
        case "agent":
            result = client.agents.messages.cancel(agent.id)
        case "run":
            result = client.agents.messages.cancel(agent.id, run_ids=[run.id])
        case "conversation":
            result = client.conversations.cancel(run.conversation_id or "")
        case _:
            result = client.conversations.cancel("default", agent_id=agent.id)
    assert result == {run.id: "cancelled"}
    stopped = client.runs.retrieve(run.id)
    assert (stopped.status, stopped.stop_reason) == ("cancelled", "cancelled")
    response = waiting.result(20)
    assert response.stop_reason.stop_reason == "cancelled"
    assert response.messages == []
    held.opened.set()
    after = client.agents.messages.create(agent.id, input="and now?")
    assert after.messages[0].content == "You said: and now?"
    kinds = [m.message_type for m in client.agents.messages.list(agent.id, order="asc").items]
    assert kinds == ["system_message", "user_message", "user_message", "assistant_message"]
    log = server.query("SELECT kind FROM run_events WHERE run_id = %s", run.id)
    assert log == [("closed",)]


def test_the_model_call_of_a_cancelled_run_is_stopped(
    client: Letta, agent: AgentState, provider: FakeProvider, pool: ThreadPoolExecutor
) -> None:
    text = "hang up on me"
    held = hold(provider, text)
    waiting = pool.submit(client.agents.messages.create, agent.id, input=text)
    assert held.reached.wait(20)
    before = provider.hung_up
    client.agents.messages.cancel(agent.id)
    waiting.result(20)
    eventually(lambda: provider.hung_up > before, within_s=10, what="the worker hanging up")
    held.opened.set()


def test_a_stream_ends_with_the_word_cancelled(
    client: Letta, server: Product, agent: AgentState, provider: FakeProvider
) -> None:
    text = do(say("one two three four") | {"pause_s": 0.5})
    url = f"{server.url}/v1/agents/{agent.id}/messages/stream"
    lines: list[str] = []
    with httpx.stream("POST", url, json={"input": text, "stream_tokens": True}, timeout=30) as read:
        for line in read.iter_lines():
            lines.append(line)
            if '"one' in line:
                client.agents.messages.cancel(agent.id)
    told = [line for line in lines if line]
    assert '"stop_reason": "cancelled"' in told[-3]
    assert "usage_statistics" in told[-2]
    assert told[-1] == "data: [DONE]"
    listed = client.agents.messages.list(agent.id, order="asc").items
    assert [m.message_type for m in listed] == ["system_message", "user_message"]


def test_what_waits_is_cancelled_too_and_leaves_nothing_in_history(
    client: Letta, agent: AgentState, provider: FakeProvider, pool: ThreadPoolExecutor
) -> None:
    held = hold(provider, "first in line")
    texts = ["first in line", "second", "third"]
    waiting = []
    for n, text in enumerate(texts, start=1):
        waiting.append(pool.submit(client.agents.messages.create, agent.id, input=text))
        eventually(partial(has_open, client, agent, n))
    assert held.reached.wait(20)
    runs = client.runs.list(agent_id=agent.id, active=True, order="asc").items
    assert client.agents.messages.cancel(agent.id, run_ids=[runs[1].id]) == {
        runs[1].id: "cancelled"
    }
    assert waiting[1].result(20).stop_reason.stop_reason == "cancelled"
    held.opened.set()
    assert waiting[0].result(20).messages[0].content == "You said: first in line"
    assert waiting[2].result(20).messages[0].content == "You said: third"
    said = client.agents.messages.list(agent.id, order="asc").items
    assert [m.content for m in said if m.message_type == "user_message"] == [
        "first in line",
        "third",
    ]


def test_nothing_to_cancel_is_a_conflict_and_a_run_at_rest_is_told_as_failed(
    client: Letta, agent: AgentState
) -> None:
    with pytest.raises(ConflictError, match="No active runs to cancel"):
        client.agents.messages.cancel(agent.id)
    client.agents.messages.create(agent.id, input="hello")
    (run,) = client.runs.list(agent_id=agent.id).items
    assert client.agents.messages.cancel(agent.id, run_ids=[run.id]) == {run.id: "failed"}
    with pytest.raises(NotFoundError):
        client.agents.messages.cancel(agent.id, run_ids=[run.id[:-1] + "x"])
    assert client.runs.retrieve(run.id).status == "completed"


def test_a_run_of_another_agent_is_not_cancelled(client: Letta, agent: AgentState) -> None:
    other = guarded_agent(client)
    ask(client, other)
    (run,) = client.runs.list(agent_id=other.id).items
    with pytest.raises(NotFoundError):
        client.agents.messages.cancel(agent.id, run_ids=[run.id])
    assert client.agents.retrieve(other.id).pending_approval is not None


@pytest.mark.parametrize("named", [True, False])
def test_a_run_that_waits_for_approval_can_be_cancelled(
    client: Letta, provider: FakeProvider, named: bool
) -> None:
    guarded = guarded_agent(client)
    request = request_of(ask(client, guarded))
    run_ids: Any = [request.run_id] if named else omit
    result = client.agents.messages.cancel(guarded.id, run_ids=run_ids)
    assert result == {request.run_id: "cancelled"}
    assert client.agents.retrieve(guarded.id).pending_approval is None
    assert client.runs.retrieve(request.run_id).status == "cancelled"
    listed = client.agents.messages.list(guarded.id, order="asc").items
    assert [m.message_type for m in listed][-3:] == [
        "approval_request_message",
        "approval_response_message",
        "tool_return_message",
    ]
    assert listed[-1].tool_return == (
        "The user cancelled the request, so the tool call was denied."
    )
    after = client.agents.messages.create(guarded.id, input="and now?")
    assert after.messages[0].content == "You said: and now?"
    assert memory_of(client, guarded) == "nothing"
    assert provider.problems == []
    with pytest.raises(BadRequestError, match="No tool call is currently awaiting approval"):
        answer(client, guarded, approval(request.tool_call.tool_call_id))


def test_what_waits_behind_a_cancelled_approval_is_answered(
    client: Letta, provider: FakeProvider, pool: ThreadPoolExecutor
) -> None:
    guarded = guarded_agent(client)
    text = do(INSERT, say("done"))
    held = hold(provider, text)
    first = pool.submit(client.agents.messages.create, guarded.id, input=text)
    assert held.reached.wait(20)
    queued = pool.submit(client.agents.messages.create, guarded.id, input="behind it")
    eventually(lambda: len(client.runs.list(agent_id=guarded.id, active=True).items) == 2)
    held.opened.set()
    request = request_of(first.result(20))
    client.agents.messages.cancel(guarded.id, run_ids=[request.run_id])
    assert queued.result(20).messages[0].content == "You said: behind it"


def test_calls_that_a_cancel_interrupts_get_a_return(
    client: Letta, agent: AgentState, provider: FakeProvider, pool: ThreadPoolExecutor
) -> None:
    text = do(call("memory_insert", label="human", new_string="x"), say("never"))
    held = provider.hold(
        lambda prompt: prompt[-1]["role"] == "tool" and last_user_text(prompt) == text
    )
    waiting = pool.submit(client.agents.messages.create, agent.id, input=text)
    assert held.reached.wait(20)
    client.agents.messages.cancel(agent.id)
    held.opened.set()
    assert waiting.result(20).stop_reason.stop_reason == "cancelled"
    client.agents.messages.create(agent.id, input="next")
    assert provider.problems == []


def test_reset_closes_what_waits_for_approval(client: Letta) -> None:
    guarded = guarded_agent(client)
    request_of(ask(client, guarded))
    assert client.agents.messages.reset(guarded.id).pending_approval is None
    after = client.agents.messages.create(guarded.id, input="hello")
    assert after.messages[0].content == "You said: hello"
