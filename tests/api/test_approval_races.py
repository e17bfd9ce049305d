"""Approval requests when something else happens at the same time: nothing is lost or undecided."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import psycopg
import pytest
from letta_client import BadRequestError, ConflictError, Letta, NotFoundError
from letta_client.types import AgentState

from o.ids import new_id
from o.storage.database import libpq_url
from tests.support.approvals import (
    GUARDED,
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
from tests.support.provider import FakeProvider, Gate, call, do, last_user_text, say


@pytest.fixture
def guarded(client: Letta) -> AgentState:
    return guarded_agent(client)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def hold_behind_tools(provider: FakeProvider, text: str) -> Gate:
    """Keep the model from its next step once it has been told what its tools returned."""
    return provider.hold(
        lambda prompt: prompt[-1]["role"] == "tool" and last_user_text(prompt) == text
    )


def delete_run(client: Letta, run_id: str) -> None:
    """V1's route, which the client has no method for."""
    client.delete(f"/v1/runs/{run_id}", cast_to=object)


def test_a_run_is_not_deleted_while_another_one_carries_it_on(
    server: Product,
    client: Letta,
    guarded: AgentState,
    provider: FakeProvider,
    pool: ThreadPoolExecutor,
) -> None:
    another = call(GUARDED, label="human", new_string="B")
    request = request_of(ask(client, guarded, another, INSERT))
    held = hold_behind_tools(provider, do(another, INSERT, say("done")))
    answering = pool.submit(answer, client, guarded, approval(request.id))
    assert held.reached.wait(20)
    with pytest.raises(ConflictError, match="carries it on"):
        delete_run(client, request.run_id)
    held.opened.set()
    second = request_of(answering.result(20))
    with pytest.raises(ConflictError, match="waits for approval"):
        delete_run(client, request.run_id)
    answer(client, guarded, approval(second.id))
    for run in client.runs.list(agent_id=guarded.id).items:
        delete_run(client, run.id)
    assert client.runs.list(agent_id=guarded.id).items == []
    left = server.query("SELECT id FROM approvals WHERE agent_id = %s", guarded.id)
    assert left == [], "the requests go with the runs that asked"


def test_a_reset_leaves_what_an_answer_under_way_goes_on_from(
    client: Letta, guarded: AgentState, provider: FakeProvider, pool: ThreadPoolExecutor
) -> None:
    client.agents.messages.create(guarded.id, input="before")
    request = request_of(ask(client, guarded))
    held = hold_behind_tools(provider, do(INSERT, say("done")))
    answering = pool.submit(answer, client, guarded, approval(request.id))
    assert held.reached.wait(20)
    client.agents.messages.reset(guarded.id)
    held.opened.set()
    assert answering.result(20).messages[-1].content == "done"
    listed = client.agents.messages.list(guarded.id, order="asc").items
    assert [m.message_type for m in listed] == [
        "system_message",
        "user_message",
        "approval_request_message",
        "approval_response_message",
        "tool_return_message",
        "assistant_message",
    ]
    client.agents.messages.create(guarded.id, input="next")
    assert provider.problems == []


def test_an_answer_that_is_late_is_never_about_an_older_request(
    server: Product, client: Letta, guarded: AgentState
) -> None:
    first = request_of(ask(client, guarded))
    answer(client, guarded, approval(first.id))
    second = request_of(ask(client, guarded))
    server.query("UPDATE approvals SET expires_at = now() WHERE id = %s", second.id)
    await_rest(client, guarded)
    with pytest.raises(BadRequestError, match="the request was expired"):
        answer(client, guarded, approval(second.id))
    assert memory_of(client, guarded).count("likes tea") == 1


def test_a_clients_own_tool_is_not_made_here_whatever_its_name(
    client: Letta, agent: AgentState
) -> None:
    tool: Any = {"name": GUARDED}
    request = request_of(ask(client, agent, client_tools=[tool]))
    said = answer(client, agent, approval(request.id))
    assert said.messages[0].status == "error"
    assert "the client's own tool" in said.messages[0].tool_return
    assert memory_of(client, agent) == "Nothing is known yet."


def test_an_approved_call_is_refused_when_the_agent_has_lost_the_tool(
    client: Letta, guarded: AgentState
) -> None:
    request = request_of(ask(client, guarded))
    (tool,) = [t for t in client.agents.tools.list(guarded.id) if t.name == GUARDED]
    client.agents.tools.detach(tool.id, agent_id=guarded.id)
    said = answer(client, guarded, approval(request.id))
    assert said.messages[0].status == "error"
    assert f"Cannot call {GUARDED}" in said.messages[0].tool_return
    assert said.messages[-1].content == "done"
    assert memory_of(client, guarded) == "nothing"


def test_a_request_is_answered_in_its_own_conversation_and_only_while_that_is_there(
    client: Letta, guarded: AgentState
) -> None:
    one, other = (client.conversations.create(agent_id=guarded.id).id for _ in range(2))
    text = do(INSERT, say("done"))
    stream = client.conversations.messages.create(one, input=text)
    (request,) = [m for m in stream if m.message_type == "approval_request_message"]
    given: Any = {
        "type": "approval",
        "approvals": [approval(request.id)],
    }
    for stranger in (other, "default"):
        with pytest.raises(BadRequestError, match="No tool call is currently awaiting approval"):
            client.conversations.messages.create(
                stranger, messages=[given], agent_id=guarded.id, streaming=False
            )
    client.conversations.delete(one)
    with pytest.raises(NotFoundError):
        client.conversations.messages.create(one, messages=[given], streaming=False)
    assert client.agents.retrieve(guarded.id).pending_approval is None
    assert memory_of(client, guarded) == "nothing"


def test_an_interrupting_message_cancels_an_answer_that_has_not_begun(
    server: Product, client: Letta, guarded: AgentState
) -> None:
    answering = new_id("run")
    server.query(
        "INSERT INTO runs (id, organization_id, agent_id, conversation_id, request_key, body_hash, "
        "status, approval_id, created_at) SELECT %s, organization_id, agent_id, id, 'key', 'hash', "
        "'created', %s, now() + interval '1 hour' "  # too young for the sweeper
        "FROM conversations WHERE agent_id = %s",
        answering,
        new_id("message"),
        guarded.id,
    )
    body = {"input": "stop that", "busy_policy": "interrupt"}
    url = f"{server.url}/v1/agents/{guarded.id}/messages"
    said = httpx.post(url, json=body, timeout=30).json()
    assert said["messages"][0]["content"] == "You said: stop that"
    assert client.runs.retrieve(answering).status == "cancelled"


def test_a_request_that_comes_up_while_a_cancel_waits_is_cancelled_too(
    server: Product,
    client: Letta,
    guarded: AgentState,
    provider: FakeProvider,
    pool: ThreadPoolExecutor,
) -> None:
    text = f"hold {guarded.id}"
    held = provider.hold(lambda prompt: bool(prompt[-1]["content"] == text))
    run = client.agents.messages.create_async(guarded.id, input=text)
    assert held.reached.wait(20)
    with psycopg.connect(libpq_url(server.state["database_url"])) as committing:
        committing.execute(
            "UPDATE runs SET status = 'completed', stop_reason = 'requires_approval' WHERE id = %s",
            (run.id,),
        )
        committing.execute(
            "INSERT INTO approvals (id, organization_id, agent_id, conversation_id, run_id, "
            "step_id, step_index, calls, digest) SELECT %s, organization_id, agent_id, "
            "conversation_id, id, %s, 0, '[\"call_1\"]', '' FROM runs WHERE id = %s",
            (new_id("message"), new_id("step"), run.id),
        )
        cancelling = pool.submit(client.agents.messages.cancel, guarded.id)
        eventually(
            lambda: (
                server.query(
                    "SELECT count(*) FROM pg_stat_activity "
                    "WHERE application_name = 'o api' AND wait_event_type = 'Lock'"
                )
                != [(0,)]
            ),
            what="the cancel waiting",
        )
    assert cancelling.result(20) == {run.id: "cancelled"}
    held.opened.set()
    status = server.query("SELECT status FROM approvals WHERE run_id = %s", run.id)
    assert status == [("cancelled",)]


def test_what_is_said_behind_an_answer_that_was_given_before_is_refused_and_not_lost(
    client: Letta, guarded: AgentState
) -> None:
    request = request_of(ask(client, guarded))
    given: Any = {"type": "approval", "approvals": [approval(request.id)]}
    said: Any = {"role": "user", "content": "And now?"}
    other: Any = {"role": "user", "content": "And then?"}

    def send(*messages: Any) -> Any:
        return client.agents.messages.create(guarded.id, messages=list(messages))

    first = send(given, said)
    assert first.messages[-1].content == "You said: And now?"
    for again in ([given, said], [given]):
        assert send(*again).model_dump_json() == first.model_dump_json()
    with pytest.raises(ConflictError, match="send it by itself"):
        send(given, other)
    assert send(other).messages[-1].content == "You said: And then?"


def test_an_agent_that_forgets_is_shown_the_whole_request_behind_an_answer(
    client: Letta, provider: FakeProvider
) -> None:
    forgetful = guarded_agent(client, message_buffer_autoclear=True)
    client.agents.messages.create(forgetful.id, input="long ago")
    request = request_of(ask(client, forgetful, INSERT, INSERT))
    second = request_of(answer(client, forgetful, approval(request.id)))
    answer(client, forgetful, approval(second.id))
    roles = [message["role"] for message in provider.prompts[-1]]
    assert roles == ["system", "user", *["assistant", "tool"] * 2]
    assert last_user_text(provider.prompts[-1]) == do(INSERT, INSERT, say("done"))
