"""What cannot be read is not passed over where something follows from what is there."""

import httpx
import pytest
from letta_client import APIStatusError, ConflictError, Letta
from letta_client.types import AgentState

from tests.api.test_unreadable_rows import spoil
from tests.support.approvals import answer, approval, ask, await_rest, guarded_agent, request_of
from tests.support.product import Product, eventually
from tests.support.provider import FakeProvider, last_user_text


def waiting(server: Product, client: Letta, column: str = "decisions") -> tuple[AgentState, str]:
    """An agent whose conversation waits for an answer to a request that cannot be read."""
    agent = guarded_agent(client)
    request = request_of(ask(client, agent))
    spoil(server, "approvals", column, request.id)
    return agent, request.id


def status_of(server: Product, request_id: str) -> str:
    ((status,),) = server.query("SELECT status FROM approvals WHERE id = %s", request_id)
    return str(status)


def goes_on(client: Letta, agent: AgentState, provider: FakeProvider) -> None:
    """The conversation takes messages again, and its history is one that a model takes."""
    reply = client.agents.messages.create(agent.id, input="and now?")
    assert reply.messages[-1].content == "You said: and now?"
    assert provider.problems == []


@pytest.mark.parametrize("column", ["decisions", "calls"])
def test_an_approval_request_that_cannot_be_read_is_told_of_and_can_be_cancelled(
    server: Product, client: Letta, provider: FakeProvider, column: str
) -> None:
    agent, request_id = waiting(server, client, column)
    with pytest.raises(ConflictError):
        client.agents.messages.create(agent.id, input="hello?")
    with pytest.raises(APIStatusError) as refused:
        answer(client, agent, approval(request_id))
    assert "cannot be read" in refused.value.message
    client.agents.messages.cancel(agent.id)
    assert status_of(server, request_id) == "cancelled"
    goes_on(client, agent, provider)


def test_an_approval_request_that_cannot_be_read_is_cancelled_when_its_time_is_over(
    server: Product, client: Letta, provider: FakeProvider
) -> None:
    agent, request_id = waiting(server, client)
    server.query("UPDATE approvals SET expires_at = now() WHERE id = %s", request_id)
    eventually(lambda: status_of(server, request_id) == "cancelled", what="its end")
    await_rest(client, agent)
    goes_on(client, agent, provider)


def test_an_approval_request_that_cannot_be_read_does_not_keep_a_reset(
    server: Product, client: Letta, provider: FakeProvider
) -> None:
    agent, request_id = waiting(server, client)
    client.agents.messages.reset(agent.id, timeout=20)
    assert status_of(server, request_id) == "cancelled"
    goes_on(client, agent, provider)


def test_a_run_that_cannot_be_read_does_not_keep_the_request_that_it_ended_with(
    server: Product, client: Letta, provider: FakeProvider
) -> None:
    agent = guarded_agent(client)
    request_id = request_of(ask(client, agent)).id
    server.query(
        "UPDATE runs SET options = (repeat('[', 300) || repeat(']', 300))::jsonb "
        "WHERE agent_id = %s",
        agent.id,
    )
    client.agents.messages.cancel(agent.id)
    assert status_of(server, request_id) == "cancelled"
    goes_on(client, agent, provider)


def test_a_run_that_is_named_and_cannot_be_read_is_cancelled(
    server: Product, client: Letta, agent: AgentState, provider: FakeProvider
) -> None:
    gate = provider.hold(lambda prompt: last_user_text(prompt) == "held for a cancel")
    first = client.agents.messages.create_async(agent.id, input="held for a cancel")
    assert gate.reached.wait(20)
    bad = client.agents.messages.create_async(agent.id, input="bad")
    spoil(server, "runs", "options", bad.id)
    assert client.agents.messages.cancel(agent.id, run_ids=[bad.id]) == {bad.id: "cancelled"}
    assert server.query("SELECT status FROM runs WHERE id = %s", bad.id) == [("cancelled",)]
    assert client.agents.messages.cancel(agent.id, run_ids=[bad.id]) == {bad.id: "failed"}
    gate.opened.set()
    eventually(lambda: client.runs.retrieve(first.id).status == "completed", what="the other")


def test_no_prompt_is_compiled_without_a_block_that_cannot_be_read(
    server: Product, client: Letta, agent: AgentState
) -> None:
    def recompile() -> httpx.Response:
        return httpx.post(f"{server.url}/v1/agents/{agent.id}/recompile", timeout=20)

    assert recompile().status_code == 200
    block = client.agents.blocks.retrieve("human", agent_id=agent.id)
    spoil(server, "blocks", "metadata", block.id)
    answered = recompile()
    assert answered.status_code == 500
    assert "cannot be read" in answered.json()["detail"]
