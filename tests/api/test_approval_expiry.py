"""What becomes of an approval request that nobody answers."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from letta_client import BadRequestError, Letta
from letta_client.types import AgentState

from tests.support.approvals import (
    INSERT,
    answer,
    approval,
    ask,
    await_rest,
    guarded_agent,
    memory_of,
    request_of,
)
from tests.support.product import Product, eventually
from tests.support.provider import FakeProvider, call, do, say
from tests.support.terminal import update

TWO = {"calls": [*INSERT["calls"], *call("memory_insert", label="human", new_string="B")["calls"]]}


@pytest.fixture(scope="module")
def impatient(
    provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Product]:
    """A product whose approval requests wait for a second unless the agent says otherwise."""
    env = {
        "OPENAI_API_KEY": "sk-test",
        "OPENAI_BASE_URL": provider.url,
        "O_APPROVAL_TIMEOUT_S": "1",
        "O_WORKERS": "1",
        "O_SWEEP_INTERVAL_S": "0.2",
    }
    product = Product(tmp_path_factory.mktemp("impatient") / "o", env)
    product.start()
    yield product
    product.stop()


@pytest.fixture(scope="module")
def client(impatient: Product) -> Letta:
    return impatient.client(max_retries=0)


def returns_of(client: Letta, agent: AgentState) -> list[Any]:
    kind = "tool_return_message"
    return client.agents.messages.list(
        agent.id, include_return_message_types=[kind], order="asc"
    ).items


def test_a_request_that_nobody_answers_is_denied_and_the_agent_goes_on(
    impatient: Product, client: Letta, provider: FakeProvider
) -> None:
    agent = guarded_agent(client)
    request = request_of(ask(client, agent))
    await_rest(client, agent)
    listed = client.agents.messages.list(agent.id, order="asc").items
    assert [m.message_type for m in listed][-4:] == [
        "approval_request_message",
        "approval_response_message",
        "tool_return_message",
        "assistant_message",
    ]
    response, returned, last = listed[-3:]
    assert response.approve is False
    assert "in time" in (response.reason or "")
    assert returned.status == "error"
    assert returned.tool_return.endswith("Nobody answered the approval request in time.")
    assert last.content == "done"
    assert memory_of(client, agent) == "nothing"
    assert impatient.query(
        "SELECT status, decided_by FROM approvals WHERE id = %s", request.id
    ) == [("expired", "expiry")]
    assert provider.problems == []


def test_an_answer_that_comes_late_is_refused_wherever_it_comes(
    impatient: Product, client: Letta
) -> None:
    agent = guarded_agent(client)
    request = request_of(ask(client, agent))
    await_rest(client, agent)
    call_id = request.tool_call.tool_call_id
    for approve in (True, False):
        with pytest.raises(BadRequestError, match="the request was expired"):
            answer(client, agent, approval(call_id, approve=approve))
    thread = client.runs.retrieve(request.run_id).conversation_id or ""
    with pytest.raises(AssertionError, match="No tool call is currently awaiting approval"):
        update(impatient, thread, "decide", tool_call_id=call_id, approve=True)
    after = client.agents.messages.create(agent.id, input="and now?")
    assert after.messages[-1].content == "You said: and now?"
    assert memory_of(client, agent) == "nothing"


def test_messages_that_wait_behind_it_are_answered_after_it(
    client: Letta, provider: FakeProvider
) -> None:
    agent = guarded_agent(client)
    text = do(INSERT, say("done"))
    held = provider.hold(lambda prompt: bool(prompt[-1]["content"] == text))
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(client.agents.messages.create, agent.id, input=text)
        assert held.reached.wait(20)
        queued = []
        for n in range(2):
            queued.append(pool.submit(client.agents.messages.create, agent.id, input=f"n {n}"))
            eventually(partial(_has_open, client, agent, n + 2), what="the queue")
        held.opened.set()
        request_of(first.result(20))
        replies = [one.result(30).messages[-1].content for one in queued]
    assert replies == ["You said: n 0", "You said: n 1"]
    said = [m.content for m in client.agents.messages.list(agent.id, order="asc").items[-5:]]
    assert said == ["done", "n 0", "You said: n 0", "n 1", "You said: n 1"]
    assert provider.problems == []


def _has_open(client: Letta, agent: AgentState, count: int) -> bool:
    return len(client.runs.list(agent_id=agent.id, active=True).items) == count


def test_only_what_nobody_answered_is_denied(client: Letta) -> None:
    agent = guarded_agent(client, extra_body={"approval_timeout_s": 5})
    request = request_of(ask(client, agent, TWO))
    first, second = (one.tool_call_id for one in request.tool_calls)
    request_of(answer(client, agent, approval(second)))
    await_rest(client, agent)
    assert {one.tool_call_id: one.status for one in returns_of(client, agent)} == {
        first: "error",
        second: "success",
    }
    assert memory_of(client, agent) == "nothing\nB"


def test_an_agent_may_wait_longer_than_the_server_says(impatient: Product, client: Letta) -> None:
    patient = guarded_agent(client, extra_body={"approval_timeout_s": 600})
    assert client.agents.retrieve(patient.id).approval_timeout_s == 600  # type: ignore[attr-defined]
    request = request_of(ask(client, patient))
    hasty = guarded_agent(client)
    ask(client, hasty)
    await_rest(client, hasty)
    assert client.agents.retrieve(patient.id).pending_approval.id == request.id
    said = answer(client, patient, approval(request.tool_call.tool_call_id))
    assert said.messages[-1].content == "done"
    assert "likes tea" in memory_of(client, patient)


def test_a_clients_own_tool_that_never_returns_is_given_up(
    client: Letta, provider: FakeProvider
) -> None:
    agent = guarded_agent(client)
    request_of(ask(client, agent, call("Look"), client_tools=[{"name": "Look"}]))
    await_rest(client, agent)
    (returned,) = returns_of(client, agent)
    assert returned.status == "error"
    assert provider.problems == []
