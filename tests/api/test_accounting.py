"""What was used and what it cost: of steps and runs, and summed up for an organization."""

from typing import Any

import httpx
import pytest
from letta_client import APIStatusError, Letta
from letta_client.types import AgentState

from o.ids import new_id
from tests.support.product import Product, eventually
from tests.support.provider import (
    HANDLE,
    MODEL,
    OTHER_HANDLE,
    FakeProvider,
    call,
    costing,
    do,
    say,
)

TOKENS = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
EDIT = call("memory_insert", label="human", new_string="Ada")


def get(server: Product, path: str, **query: Any) -> Any:
    answer = httpx.get(f"{server.url}/v1{path}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def used(server: Product, agent: AgentState, **query: Any) -> Any:
    return get(server, "/usage", agent_id=agent.id, **query)


def test_a_step_says_what_it_used_and_cost(
    client: Letta, server: Product, agent: AgentState
) -> None:
    details = {
        "prompt_tokens_details": {"cached_tokens": 60},
        "completion_tokens_details": {"reasoning_tokens": 5},
        "cost": 0.000123,
    }
    client.agents.messages.create(agent.id, input=do(costing(say("hi"), **TOKENS, **details)))
    (step,) = client.steps.list(agent_id=agent.id)
    assert (step.provider_name, step.model, step.api_model_handle) == ("openai", MODEL, HANDLE)
    assert (step.prompt_tokens, step.completion_tokens, step.total_tokens) == (100, 20, 120)
    assert (step.cached_input_tokens, step.reasoning_tokens) == (60, 5)
    shown = get(server, f"/steps/{step.id}")
    assert shown["prompt_tokens_details"]["cached_tokens"] == 60
    assert shown["cost_usd"] == "0.000123000"
    client.agents.messages.create(agent.id, input="no price")
    assert get(server, "/steps/", agent_id=agent.id)[0]["cost_usd"] is None


def test_a_step_says_which_provider_it_asked(
    client: Letta, server: Product, provider: FakeProvider
) -> None:
    body = {"name": "mine", "provider_type": "openai", "api_key": "k", "base_url": provider.url}
    made = httpx.post(f"{server.url}/v1/providers/", json=body).json()
    agent = client.agents.create(model=f"mine/{MODEL}")
    client.agents.messages.create(agent.id, input="hello")
    (step,) = client.steps.list(agent_id=agent.id)
    assert (step.provider_id, step.provider_name) == (made["id"], "mine")
    assert step.provider_category == "byok"
    assert client.steps.metrics.retrieve(step.id).provider_id == made["id"]
    httpx.delete(f"{server.url}/v1/providers/{made['id']}")
    assert client.steps.retrieve(step.id).provider_name == "mine"


def test_a_run_costs_what_its_steps_cost(client: Letta, server: Product, agent: AgentState) -> None:
    priced = costing(EDIT, **TOKENS, cost=0.25), costing(say("noted"), **TOKENS, cost=1.5)
    reply = client.agents.messages.create(agent.id, input=do(*priced))
    usage = get(server, f"/runs/{reply.messages[0].run_id}/usage")
    assert (usage["cost_usd"], usage["unpriced_steps"]) == ("1.750000000", 0)
    assert client.runs.usage.retrieve(str(reply.messages[0].run_id)).total_tokens == 240
    reply = client.agents.messages.create(agent.id, input=do(priced[0], say("noted")))
    usage = get(server, f"/runs/{reply.messages[0].run_id}/usage")
    assert (usage["cost_usd"], usage["unpriced_steps"]) == ("0.250000000", 1)
    reply = client.agents.messages.create(agent.id, input="no price")
    usage = get(server, f"/runs/{reply.messages[0].run_id}/usage")
    assert (usage["cost_usd"], usage["unpriced_steps"]) == (None, 1)


def test_usage_is_summed_up_by_agent_model_and_day(
    client: Letta, server: Product, agent: AgentState
) -> None:
    text = do(costing(EDIT, **TOKENS, cost=0.25), say("noted"))
    client.agents.messages.create(agent.id, input=text)
    client.agents.messages.create(agent.id, input="hi", override_model=OTHER_HANDLE)
    found = used(server, agent)
    assert found["groups"] == []
    assert found["total"] == {
        "calls": 3,
        "prompt_tokens": 122,
        "completion_tokens": 34,
        "total_tokens": 156,
        "cached_input_tokens": 0,
        "cache_write_tokens": 0,
        "reasoning_tokens": 0,
        "cost_usd": "0.250000000",
        "unpriced_calls": 2,
    }
    by_model = used(server, agent, group_by="model")["groups"]
    assert [(g["key"], g["calls"], g["cost_usd"]) for g in by_model] == [
        (HANDLE, 2, "0.250000000"),
        (OTHER_HANDLE, 1, None),
    ]
    first = used(server, agent, group_by="model", limit=1)
    assert ([g["key"] for g in first["groups"]], first["has_more"]) == ([HANDLE], True)
    (by_agent,) = used(server, agent, group_by="agent")["groups"]
    assert by_agent == found["total"] | {"key": agent.id}
    (by_day,) = used(server, agent, group_by="day")["groups"]
    today = server.query("SELECT (now() AT TIME ZONE 'UTC')::date::text")[0][0]
    assert by_day["key"] == today
    assert used(server, agent, model=HANDLE)["total"]["calls"] == 2
    assert used(server, agent, model=MODEL)["total"]["calls"] == 2
    assert used(server, agent, model="x")["total"]["cost_usd"] is None
    assert used(server, agent, end="2020-01-01")["total"]["calls"] == 0
    assert used(server, agent, start="2999-01-01T00:00:00Z")["total"]["calls"] == 0
    everything = get(server, "/usage", group_by="agent", limit=1000)
    assert everything["total"]["calls"] >= 3
    assert agent.id in {group["key"] for group in everything["groups"]}


def test_what_was_used_stays_when_runs_and_agents_are_deleted(
    client: Letta, server: Product, agent: AgentState
) -> None:
    priced = do(costing(say("hi"), **TOKENS, cost=0.5))
    first = client.agents.messages.create(agent.id, input=priced)
    client.agents.messages.create(agent.id, input=priced)
    before = used(server, agent, group_by="day")
    run_url = f"{server.url}/v1/runs/{first.messages[0].run_id}"
    httpx.delete(run_url).raise_for_status()
    assert used(server, agent, group_by="day") | {"start": ""} == before | {"start": ""}
    client.agents.delete(agent.id)
    eventually(
        lambda: not server.query("SELECT FROM agents WHERE id = %s", agent.id), what="the purge"
    )
    assert used(server, agent, group_by="day") | {"start": ""} == before | {"start": ""}


def test_a_reply_that_cannot_be_used_is_counted_and_its_run_is_not_charged(
    client: Letta, server: Product, agent: AgentState
) -> None:
    empty = costing(say(" "), **TOKENS, cost=0.125)
    with pytest.raises(APIStatusError):
        client.agents.messages.create(agent.id, input=do(empty))
    total = used(server, agent)["total"]
    assert (total["calls"], total["total_tokens"], total["cost_usd"]) == (1, 120, "0.125000000")
    (step,) = client.steps.list(agent_id=agent.id)
    assert (step.status, step.total_tokens) == ("failed", 0)
    assert get(server, f"/runs/{step.run_id}/usage")["total_tokens"] == 0


def test_a_refused_call_costs_nothing_that_is_known(
    client: Letta, server: Product, agent: AgentState
) -> None:
    with pytest.raises(APIStatusError):
        client.agents.messages.create(agent.id, input=do({"fail": 400}))
    assert used(server, agent)["total"]["calls"] == 0
    (step,) = client.steps.list(agent_id=agent.id)
    assert get(server, f"/steps/{step.id}")["cost_usd"] is None


def test_usage_of_what_is_nobodys_is_none(server: Product) -> None:
    total = get(server, "/usage", agent_id=new_id("agent"))["total"]
    assert (total["calls"], total["cost_usd"]) == (0, None)


@pytest.mark.parametrize(
    ("query", "status"),
    [({"group_by": "x"}, 422), ({"limit": 0}, 422), ({"start": "x"}, 400), ({"end": "x"}, 400)],
)
def test_a_question_that_is_none_is_refused(
    server: Product, query: dict[str, Any], status: int
) -> None:
    assert httpx.get(f"{server.url}/v1/usage", params=query).status_code == status
