"""Cancel, terminate, reset and delete, as Temporal's UI and CLI offer them for every workflow."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from letta_client import Letta
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
from tests.support.provider import FakeProvider, do, say
from tests.support.terminal import list_workflows, temporal, waiting


def thread_of(server: Product, agent: AgentState) -> str:
    """The agent's own conversation, whose id is its workflow's."""
    ((conversation_id,),) = server.query(
        "SELECT id FROM conversations WHERE agent_id = %s", agent.id
    )
    return str(conversation_id)


def press(server: Product, agent: AgentState, button: str, *words: str) -> None:
    """Do to the agent's conversation what Temporal can do to any workflow."""
    thread = thread_of(server, agent)
    done = temporal(server, "workflow", button, "--workflow-id", thread, *words)
    assert done.returncode == 0, done.stderr


def running(server: Product, agent: AgentState) -> list[str]:
    """The executions of the agent's conversation that go on."""
    query = f"WorkflowId = '{thread_of(server, agent)}' AND ExecutionStatus = 'Running'"
    return [one["execution"]["runId"] for one in list_workflows(server, query)]


def assert_goes_on(client: Letta, agent: AgentState) -> None:
    """The agent takes the next message."""
    said = client.agents.messages.create(agent.id, input="and now?")
    assert said.messages[-1].content == "You said: and now?"


def has_hung_up(provider: FakeProvider, before: int) -> bool:
    """Whether a model call was given up since."""
    return provider.hung_up > before


@contextmanager
def in_model_call(
    client: Letta, agent: AgentState, provider: FakeProvider, text: str
) -> Iterator[Future[Any]]:
    """A turn that waits for its model until the block ends."""
    held = provider.hold(lambda prompt: bool(prompt[-1]["content"] == text))
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(client.agents.messages.create, agent.id, input=text)
        try:
            assert held.reached.wait(20)
            yield sent
        finally:
            held.opened.set()


def test_cancel_stops_the_turn_and_all_that_waits_and_the_conversation_goes_on_each_time(
    server: Product, client: Letta, agent: AgentState, provider: FakeProvider
) -> None:
    for time in ("first", "second"):
        before = provider.hung_up
        with in_model_call(client, agent, provider, f"stop me, {time}") as sent:
            behind = client.agents.messages.create_async(agent.id, input="and me")
            press(server, agent, "cancel")
            assert sent.result(20).stop_reason.stop_reason == "cancelled"
            eventually(partial(has_hung_up, provider, before), what="the end of the model call")
            assert client.runs.retrieve(str(behind.id)).status == "cancelled"
        assert_goes_on(client, agent)
    statuses = [str(run.status) for run in client.runs.list(agent_id=agent.id).items]
    assert sorted(statuses) == ["cancelled"] * 4 + ["completed"] * 2


def test_cancel_closes_what_waits_for_approval(server: Product, client: Letta) -> None:
    agent = guarded_agent(client)
    request_of(ask(client, agent))
    press(server, agent, "cancel")
    await_rest(client, agent)
    assert memory_of(client, agent) == "nothing"
    assert server.query("SELECT status FROM approvals WHERE agent_id = %s", agent.id) == [
        ("cancelled",)
    ]
    eventually(lambda: not waiting(server, agent), what="the end of waiting")
    assert_goes_on(client, agent)


def test_cancel_of_a_conversation_that_does_nothing_changes_nothing(
    server: Product, client: Letta, agent: AgentState
) -> None:
    client.agents.messages.create(agent.id, input="hello")
    (before,) = eventually(lambda: running(server, agent), what="the execution")
    press(server, agent, "cancel")
    eventually(lambda: running(server, agent) not in ([before], []), what="the next execution")
    assert_goes_on(client, agent)
    assert [run.status for run in client.runs.list(agent_id=agent.id).items] == ["completed"] * 2


@pytest.mark.parametrize("button", ["terminate", "delete"])
def test_terminate_and_delete_lose_nothing_of_a_turn(
    server: Product, client: Letta, agent: AgentState, provider: FakeProvider, button: str
) -> None:
    text = do(INSERT, say(f"done {button}"))
    with in_model_call(client, agent, provider, text) as sent:
        press(server, agent, button, *(["--yes"] if button == "delete" else []))
    assert sent.result(60).messages[-1].content == f"done {button}"
    assert memory_of(client, agent).count("likes tea") == 1
    assert_goes_on(client, agent)


def test_terminate_loses_nothing_of_what_waits_for_approval(server: Product, client: Letta) -> None:
    agent = guarded_agent(client)
    request = request_of(ask(client, agent))
    (shown,) = eventually(lambda: waiting(server, agent), what="the request")
    press(server, agent, "terminate")
    eventually(lambda: waiting(server, agent) == [shown], within_s=60, what="the request again")
    said = answer(client, agent, approval(request.tool_call.tool_call_id))
    assert said.messages[-1].content == "done"
    assert memory_of(client, agent).count("likes tea") == 1


@pytest.mark.parametrize("to", ["FirstWorkflowTask", "LastWorkflowTask"])
@pytest.mark.parametrize("busy", [True, False])
def test_reset_repeats_nothing_that_is_done(
    server: Product, client: Letta, agent: AgentState, provider: FakeProvider, busy: bool, to: str
) -> None:
    client.agents.messages.create(agent.id, input=do(INSERT, say("noted")))
    reset = ("reset", "--reason", "a test", "--type", to)
    if busy:
        text = do(INSERT, say(f"done {to}"))
        with in_model_call(client, agent, provider, text) as sent:
            press(server, agent, *reset)
        assert sent.result(60).messages[-1].content == f"done {to}"
    else:
        press(server, agent, *reset)
    assert_goes_on(client, agent)
    assert memory_of(client, agent).count("likes tea") == 1 + busy
    assert {run.status for run in client.runs.list(agent_id=agent.id).items} == {"completed"}


def test_deleting_an_agent_stops_its_model_call_and_ends_its_workflow(
    server: Product, client: Letta, agent: AgentState, provider: FakeProvider
) -> None:
    before = provider.hung_up
    with in_model_call(client, agent, provider, "a long story"):
        assert eventually(lambda: running(server, agent), what="the execution")
        thread = thread_of(server, agent)
        client.agents.delete(agent.id)
        eventually(lambda: provider.hung_up > before, what="the end of the model call")
        completed = f"WorkflowId = '{thread}' AND ExecutionStatus = 'Completed'"
        eventually(lambda: list_workflows(server, completed), what="the end of the workflow")
