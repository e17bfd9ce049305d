"""Sends that are answered with the run at once."""

from typing import Any

import httpx
import pytest
from letta_client import APIStatusError, Letta
from letta_client.types import AgentState
from letta_client.types.agents import Run

from o.ids import new_id
from tests.support.product import Product, eventually
from tests.support.provider import FakeProvider, call, do, say
from tests.support.streams import body_of, read, without_pings


def ended(client: Letta, run: Run) -> Run:
    """The run once it is finished."""

    def look() -> Run | None:
        found = client.runs.retrieve(run.id)
        return found if found.completed_at is not None else None

    return eventually(look, what="the end of the run")


def test_an_async_send_answers_at_once_and_the_run_goes_on(
    server: Product, client: Letta, agent: AgentState, provider: FakeProvider
) -> None:
    gate = provider.hold(lambda prompt: prompt[-1].get("content") == "no hurry")
    run = client.agents.messages.create_async(agent.id, input="no hurry")
    assert (run.status, run.agent_id, run.background) == ("created", agent.id, True)
    assert run.metadata == {"run_type": "send_message_async"}
    assert (run.stop_reason, run.completed_at, run.callback_url) == (None, None, None)
    assert gate.reached.wait(20)
    assert client.runs.retrieve(run.id).status == "running"
    mine: dict[str, Any] = {"agent_id": agent.id, "background": True}
    assert [one.id for one in client.runs.list(**mine, active=True)] == [run.id]
    gate.opened.set()
    done = ended(client, run)
    assert (done.status, done.stop_reason) == ("completed", "end_turn")
    assert client.runs.list(**mine, active=True).items == []
    said, answered = client.runs.messages.list(run.id).items
    assert said.content == "no hurry"
    assert answered.content == "You said: no hurry"


def test_a_run_that_waits_its_turn_is_created_until_then(
    client: Letta, agent: AgentState, provider: FakeProvider
) -> None:
    gate = provider.hold(lambda prompt: prompt[-1].get("content") == "the first")
    first = client.agents.messages.create_async(agent.id, input="the first")
    assert gate.reached.wait(20)
    second = client.agents.messages.create_async(agent.id, input="the second")
    states = {run.id: run.status for run in client.runs.list(agent_id=agent.id, active=True)}
    assert states == {first.id: "running", second.id: "created"}
    gate.opened.set()
    assert ended(client, second).status == "completed"
    assert client.runs.retrieve(first.id).status == "completed"


def test_a_repeated_async_send_joins_its_run(
    client: Letta, agent: AgentState, provider: FakeProvider
) -> None:
    message = {"role": "user", "content": "async but once", "otid": new_id("message")[8:]}
    first = client.agents.messages.create_async(agent.id, messages=[message])
    again = client.agents.messages.create_async(agent.id, messages=[message])
    assert again.id == first.id
    done = ended(client, first)
    late = client.agents.messages.create_async(agent.id, messages=[message])
    assert (late.id, late.status) == (first.id, done.status)
    retry = {"x-stainless-retry-count": "1"}
    other = client.agents.messages.create_async(agent.id, input="no otid")
    assert (
        client.agents.messages.create_async(agent.id, input="no otid", extra_headers=retry).id
        == other.id
    )
    assert provider.asked("async but once") == 1


def test_the_stream_of_an_async_run_can_be_read(
    server: Product, client: Letta, agent: AgentState
) -> None:
    text = do(call("memory_insert", label="human", new_string="x"), say("done"))
    run = client.agents.messages.create_async(agent.id, input=text)
    live = without_pings(read(server, f"runs/{run.id}/stream"))
    assert [body_of(frame).get("message_type") for _, frame in live[:-1]] == [
        "tool_call_message",
        "tool_return_message",
        "assistant_message",
        "stop_reason",
        "usage_statistics",
    ]
    assert without_pings(read(server, f"runs/{run.id}/stream")) == live


def test_an_async_run_that_fails_says_why(client: Letta, agent: AgentState) -> None:
    run = client.agents.messages.create_async(agent.id, input=do({"fail": 401}))
    failed = ended(client, run)
    assert (failed.status, failed.stop_reason) == ("failed", "llm_api_error")
    assert isinstance((failed.metadata or {})["error"], str)


def test_what_is_about_streams_is_ignored(
    server: Product, client: Letta, agent: AgentState
) -> None:
    url = f"{server.url}/v1/agents/{agent.id}/messages/async"
    body = {"input": "hello", "streaming": True, "background": False, "include_pings": False}
    answer = httpx.post(url, json=body)
    assert answer.status_code == 200
    assert answer.json()["background"] is True
    assert httpx.post(url, json={"input": "x", "messages": []}).status_code == 422
    assert httpx.post(url, json={"messages": []}).status_code == 422
    assert httpx.post(url, json={"input": "x", "override_model": "no/such"}).status_code == 404


@pytest.mark.parametrize(
    "url",
    ["ftp://host/x", "host/x", "http://", "http://host:99999/", "http://a b/", "http://a\nb/", ""],
)
def test_a_callback_needs_a_url_of_the_web(client: Letta, agent: AgentState, url: str) -> None:
    with pytest.raises(APIStatusError) as refused:
        client.agents.messages.create_async(agent.id, input="hello", callback_url=url)
    assert refused.value.status_code == 422
    assert client.runs.list(agent_id=agent.id).items == []


def test_the_messages_of_an_async_run_are_of_the_types_that_it_asked_for(
    server: Product, client: Letta, agent: AgentState
) -> None:
    text = do(call("memory_insert", label="human", new_string="x"), say("done"))
    wanted: Any = ["tool_return_message", "assistant_message"]
    run = client.agents.messages.create_async(
        agent.id, input=text, include_return_message_types=wanted
    )
    done = ended(client, run)
    assert done.request_config is not None
    assert done.request_config.include_return_message_types == wanted
    shown = client.runs.messages.list(run.id).items
    assert [message.message_type for message in shown] == wanted
    (first,) = client.runs.messages.list(run.id, limit=1).items
    assert first.id == shown[0].id, "what is left out takes no place on a page"
    live = without_pings(read(server, f"runs/{run.id}/stream"))
    kinds = [body_of(frame).get("message_type") for _, frame in live]
    assert kinds[: len(wanted)] == wanted
    everything = client.agents.messages.create_async(agent.id, input="hello")
    ended(client, everything)
    assert [m.message_type for m in client.runs.messages.list(everything.id).items] == [
        "user_message",
        "assistant_message",
    ]
