"""A conversation that is busy: messages wait, are refused, or interrupt; repeats join."""

import json
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import httpx
import psycopg
import pytest
from letta_client import Letta
from letta_client.types import AgentState

from o.storage.database import libpq_url
from tests.support.approvals import ask, guarded_agent, request_of
from tests.support.product import Product, eventually
from tests.support.provider import FakeProvider, Gate


@pytest.fixture
def pool() -> Any:
    with ThreadPoolExecutor(40) as pool:
        yield pool


def hold(provider: FakeProvider, text: str) -> Gate:
    return provider.hold(lambda prompt: bool(prompt[-1]["content"] == text))


def post(server: Product, agent: AgentState, **body: Any) -> httpx.Response:
    url = f"{server.url}/v1/agents/{agent.id}/messages"
    return httpx.post(url, json=body, timeout=60)


def has_open(client: Letta, agent: AgentState, count: int) -> bool:
    return open_runs(client, agent) == count


def open_runs(client: Letta, agent: AgentState) -> int:
    return len(client.runs.list(agent_id=agent.id, active=True).items)


def test_a_full_queue_is_a_conflict_that_names_the_run_in_the_way(
    server: Product,
    client: Letta,
    agent: AgentState,
    provider: FakeProvider,
    pool: ThreadPoolExecutor,
) -> None:
    held = hold(provider, "n 0")
    waiting = []
    for n in range(21):
        waiting.append(pool.submit(post, server, agent, input=f"n {n}"))
        eventually(partial(has_open, client, agent, n + 1))
    assert held.reached.wait(20)
    refused = post(server, agent, input="one too many")
    assert refused.status_code == 409
    assert refused.headers["x-should-retry"] == "false"
    (running,) = client.runs.list(agent_id=agent.id, statuses=["running"]).items
    assert refused.json()["run_id"] == running.id
    assert "Another request is currently being processed" in refused.json()["detail"]
    held.opened.set()
    replies = [one.result(60).json()["messages"][0]["content"] for one in waiting]
    assert replies == [f"You said: n {n}" for n in range(21)]


def test_a_request_may_ask_to_be_refused_when_the_conversation_is_busy(
    server: Product,
    client: Letta,
    agent: AgentState,
    provider: FakeProvider,
    pool: ThreadPoolExecutor,
) -> None:
    assert post(server, agent, input="alone", busy_policy="reject").status_code == 200
    held = hold(provider, "long")
    first = pool.submit(post, server, agent, input="long")
    assert held.reached.wait(20)
    refused = post(server, agent, input="me too", busy_policy="reject")
    assert refused.status_code == 409
    held.opened.set()
    assert first.result(20).status_code == 200
    said = [m.content for m in client.agents.messages.list(agent.id, order="asc").items]
    assert "me too" not in said


def test_of_many_that_ask_at_once_to_be_refused_one_is_taken(
    server: Product,
    client: Letta,
    agent: AgentState,
    provider: FakeProvider,
    pool: ThreadPoolExecutor,
) -> None:
    held = provider.hold(lambda prompt: str(prompt[-1]["content"]).startswith("at once"))
    posts = [
        pool.submit(post, server, agent, input=f"at once {n}", busy_policy="reject")
        for n in range(10)
    ]
    eventually(lambda: sum(one.done() for one in posts) == 9)
    held.opened.set()
    assert sorted(one.result(20).status_code for one in posts) == [200] + [409] * 9


def test_a_request_may_interrupt_what_is_under_way(
    server: Product,
    client: Letta,
    agent: AgentState,
    provider: FakeProvider,
    pool: ThreadPoolExecutor,
) -> None:
    held = hold(provider, "a long story")
    first = pool.submit(post, server, agent, input="a long story")
    assert held.reached.wait(20)
    second = post(server, agent, input="something else", busy_policy="interrupt")
    assert second.json()["messages"][0]["content"] == "You said: something else"
    assert first.result(20).json()["stop_reason"]["stop_reason"] == "cancelled"
    held.opened.set()
    guarded = guarded_agent(client)
    request = request_of(ask(client, guarded))
    third = post(server, guarded, input="never mind", busy_policy="interrupt")
    assert third.json()["messages"][0]["content"] == "You said: never mind"
    assert client.runs.retrieve(request.run_id).status == "cancelled"


def test_an_interrupting_request_that_is_repeated_does_not_cancel_itself(
    server: Product, agent: AgentState, provider: FakeProvider, pool: ThreadPoolExecutor
) -> None:
    body: Any = {
        "messages": [{"role": "user", "content": "again and again", "otid": f"x-{agent.id}"}],
        "busy_policy": "interrupt",
    }
    held = hold(provider, "again and again")
    first = pool.submit(post, server, agent, **body)
    assert held.reached.wait(20)
    second = pool.submit(post, server, agent, **body)
    eventually(lambda: second.running() or second.done())
    held.opened.set()
    assert first.result(20).json() == second.result(20).json()
    assert first.result().json()["stop_reason"]["stop_reason"] == "end_turn"


def test_an_unknown_policy_is_422(server: Product, agent: AgentState) -> None:
    assert post(server, agent, input="x", busy_policy="shout").status_code == 422


@pytest.mark.parametrize("route", ["", "/stream", "/async", "conversation", "background"])
def test_the_same_otid_is_one_run_on_every_route(
    server: Product, client: Letta, agent: AgentState, route: str
) -> None:
    url = f"{server.url}/v1/agents/{agent.id}/messages{route}"
    body: dict[str, Any] = {"messages": [{"role": "user", "content": "once", "otid": "o-1"}]}
    if route in ("conversation", "background"):
        url = f"{server.url}/v1/conversations/default/messages"
        body |= {"agent_id": agent.id, "background": route == "background"}
    for _ in range(3):
        assert httpx.post(url, json=body, timeout=30).status_code == 200
    eventually(lambda: open_runs(client, agent) == 0)
    assert len(client.runs.list(agent_id=agent.id).items) == 1
    said = [m.content for m in client.agents.messages.list(agent.id, order="asc").items]
    assert said.count("once") == 1


@pytest.mark.parametrize("route", ["", "/stream", "/async", "conversation", "background"])
@pytest.mark.parametrize("policy", ["queue", "reject", "interrupt"])
def test_an_otid_that_was_used_for_another_message_is_409_on_every_route(
    server: Product, client: Letta, agent: AgentState, route: str, policy: str
) -> None:
    url = f"{server.url}/v1/agents/{agent.id}/messages{route}"
    body: dict[str, Any] = {"busy_policy": policy}
    if route in ("conversation", "background"):
        url = f"{server.url}/v1/conversations/default/messages"
        body |= {"agent_id": agent.id, "background": route == "background"}

    def send(content: Any, **more: Any) -> httpx.Response:
        messages = [{"role": "user", "content": content, "otid": "o-1"}]
        current = {"x-stainless-package-version": "1.12.1"}  # others may not stream so
        said = body | {"messages": messages} | more
        return httpx.post(url, json=said, headers=current, timeout=30)

    assert send("the first").status_code == 200
    eventually(lambda: open_runs(client, agent) == 0)
    refused = send("the second")
    assert refused.status_code == 409, refused.text
    assert "otid" in refused.json()["detail"]
    assert refused.headers["x-should-retry"] == "false"
    image = {"type": "url", "url": "https://example.org/cat.png"}
    parts = [{"type": "text", "text": "the first"}, {"type": "image", "source": image}]
    assert send(parts).status_code == 409
    assert send("the first", max_steps=7, streaming=True).status_code == 200, "it joins"
    assert send([{"type": "text", "text": "the first"}]).status_code == 200, "and so does this"
    assert len(client.runs.list(agent_id=agent.id).items) == 1


@pytest.mark.parametrize("route", ["", "/stream", "/async", "conversation"])
def test_a_post_that_the_client_repeats_by_itself_joins_the_run_it_made(
    server: Product, client: Letta, agent: AgentState, route: str
) -> None:
    url = f"{server.url}/v1/agents/{agent.id}/messages{route}"
    body: dict[str, Any] = {"input": "did you get this?"}
    if route == "conversation":
        url = f"{server.url}/v1/conversations/default/messages"
        body |= {"agent_id": agent.id}
    for attempt in range(3):
        headers = {"x-stainless-retry-count": str(attempt), "content-type": "application/json"}
        sent = httpx.post(url, content=json.dumps(body), headers=headers, timeout=30)
        assert sent.status_code == 200
    eventually(lambda: open_runs(client, agent) == 0)
    assert len(client.runs.list(agent_id=agent.id).items) == 1


def test_what_a_client_sends_again_while_the_first_is_on_its_way_to_the_database_joins_it(
    server: Product, agent: AgentState, pool: ThreadPoolExecutor
) -> None:
    url = f"{server.url}/v1/agents/{agent.id}/messages"

    def send(repeats: int) -> httpx.Response:
        headers = {"x-stainless-retry-count": str(repeats)}
        return httpx.post(url, json={"input": "hello?"}, headers=headers, timeout=30)

    def blocked() -> int:
        ((count,),) = server.query(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE application_name = 'o api' AND wait_event_type = 'Lock'"
        )
        return int(count)

    with psycopg.connect(libpq_url(server.state["database_url"])) as holding:
        holding.execute("SELECT FROM agents WHERE id = %s FOR UPDATE", (agent.id,))
        first = pool.submit(send, 0)
        eventually(lambda: blocked() == 1, what="the first request at the database")
        again = [pool.submit(send, n) for n in (1, 2)]
        eventually(lambda: blocked() == 3, what="the repeats waiting for the first")
    replies = [one.result(20).json() for one in (first, *again)]
    assert replies[0]["messages"][-1]["content"] == "You said: hello?"
    assert replies == [replies[0]] * 3
    assert server.query("SELECT count(*) FROM runs WHERE agent_id = %s", agent.id) == [(1,)]
