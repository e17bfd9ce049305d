"""A run says when it has filled most of its context window."""

from typing import Any

import httpx
from letta_client import Letta
from letta_client.types import AgentState

from tests.support.product import Product
from tests.support.provider import HANDLE, call, costing, do, say
from tests.support.provider import OTHER_HANDLE as UNPRICED

EDIT = call("memory_insert", label="human", new_string="Ada")


def tokens(prompt: int, reply: int = 0) -> dict[str, int]:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": reply,
        "total_tokens": prompt + reply,
    }


def run_of(client: Letta, agent: AgentState, *actions: Any) -> Any:
    client.agents.messages.create(agent.id, input=do(*actions))
    return client.runs.list(agent_id=agent.id).items[0]


def warning_of(client: Letta, run: Any) -> Any:
    return client.runs.retrieve(run.id).metadata.get("context_warning")


def small_agent(client: Letta, window: int = 10_000) -> AgentState:
    return client.agents.create(
        model=HANDLE,
        context_window_limit=window,
        memory_blocks=[{"label": "human", "value": "x"}],
    )


def test_a_run_that_fills_most_of_its_window_says_so(client: Letta) -> None:
    agent = small_agent(client)
    run = run_of(client, agent, costing(say("hi"), **tokens(7_900, 300)))
    warning = warning_of(client, run)
    assert (warning["context_tokens"], warning["context_window"]) == (8_200, 10_000)
    assert warning["percent"] == 82
    assert "82 %" in warning["message"]
    assert run.metadata["context_warning"] == warning  # in lists as well


def test_a_run_with_room_says_nothing(client: Letta) -> None:
    agent = small_agent(client)
    assert warning_of(client, run_of(client, agent, costing(say("hi"), **tokens(7_900)))) is None


def test_the_fullest_step_of_a_run_counts_and_not_the_sum(client: Letta) -> None:
    agent = small_agent(client)
    steps = (costing(EDIT, **tokens(4_000)), costing(EDIT, **tokens(4_400)))
    run = run_of(client, agent, *steps, costing(say("hi"), **tokens(4_100)))
    assert warning_of(client, run) is None, "8 400 in three calls is not 8 400 in one"
    steps = (costing(EDIT, **tokens(4_000)), costing(EDIT, **tokens(8_500)))
    run = run_of(client, agent, *steps, costing(say("hi"), **tokens(4_100)))
    assert warning_of(client, run)["percent"] == 85


def test_a_window_that_was_changed_since_changes_no_warning(client: Letta) -> None:
    agent = small_agent(client)
    run = run_of(client, agent, costing(say("hi"), **tokens(9_000)))
    client.agents.update(agent.id, context_window_limit=100_000)
    assert warning_of(client, run)["percent"] == 90
    assert warning_of(client, run_of(client, agent, costing(say("hi"), **tokens(9_000)))) is None


def test_where_a_provider_reports_nothing_the_count_stands(client: Letta, server: Product) -> None:
    agent, nothing = small_agent(client, 6_000), dict(tokens(0))
    counted = httpx.get(f"{server.url}/v1/agents/{agent.id}/context").json()
    room = int(0.85 * 6_000 - counted["context_window_size_current"])
    said = "harbour " * (room // 4)  # two tokens each, here and where the model is told to say it
    run_of(client, agent, costing(say(said), **nothing))
    warning = warning_of(client, run_of(client, agent, costing(say("hi"), **nothing)))
    assert warning is not None
    assert 4_800 <= warning["context_tokens"] <= 5_400


def test_a_request_that_overrides_the_model_is_measured_by_the_agents_window(
    client: Letta, server: Product
) -> None:
    agent = small_agent(client)
    body = {
        "input": do(costing(say("hi"), **tokens(8_800))),
        "override_model": UNPRICED,
    }
    answer = httpx.post(f"{server.url}/v1/agents/{agent.id}/messages", json=body, timeout=60)
    assert answer.status_code == 200, answer.text
    run = client.runs.list(agent_id=agent.id).items[0]
    assert warning_of(client, run)["context_window"] == 10_000
