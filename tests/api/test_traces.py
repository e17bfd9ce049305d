"""Traces of model calls: what was asked of the provider and what it answered."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from letta_client import APIStatusError, Letta, NotFoundError
from letta_client.types import AgentState, ProviderTrace

from o.ids import new_id
from tests.support.product import Product, eventually
from tests.support.provider import HANDLE, MODEL, FakeProvider, call, do, say

KEY = "sk-a-key-that-is-nobodys-business"
EDIT = call("memory_insert", label="human", new_string="Ada")


@pytest.fixture(scope="module")
def product(provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A product that keeps all traces, and has prices of its own."""
    prices = tmp_path_factory.mktemp("prices") / "prices.json"
    prices.write_text(json.dumps({HANDLE: {"input": 1_000_000, "output": 2_000_000}}))
    env = {
        "O_PRICES": str(prices),
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": provider.url,
        "O_TRACES": "all",
        "O_TRACE_RETENTION_H": "5",
        "O_WORKERS": "1",
    }
    product = Product(tmp_path_factory.mktemp("traces") / "o", env)
    product.start()
    yield product
    product.stop()


@pytest.fixture
def traced(product: Product) -> Letta:
    return product.client(max_retries=0)


@pytest.fixture
def agent_of_traces(traced: Letta) -> AgentState:
    return traced.agents.create(
        model=HANDLE, tags=["seen"], memory_blocks=[{"label": "human", "value": "x"}]
    )


def trace_of(client: Letta, step_id: str) -> ProviderTrace:
    """The trace of a step, which is stored beside its turn."""
    return eventually(lambda: client.steps.trace.retrieve(step_id), what="the trace")


def newest_steps(client: Letta, agent: AgentState) -> list[str]:
    return [step.id for step in client.steps.list(agent_id=agent.id, order="asc")]


@pytest.mark.parametrize("streams", [False, True])
def test_a_trace_shows_what_was_sent_and_received(
    product: Product,
    traced: Letta,
    provider: FakeProvider,
    agent_of_traces: AgentState,
    streams: bool,
) -> None:
    text = do(EDIT, say("noted well"))
    if streams:
        list(
            traced.agents.messages.create(
                agent_of_traces.id, input=text, streaming=True, stream_tokens=True
            )
        )
    else:
        traced.agents.messages.create(agent_of_traces.id, input=text)
    called, said = newest_steps(traced, agent_of_traces)
    trace = trace_of(traced, said)
    assert trace.request_json == provider.requests[-1]
    assert (trace.step_id, trace.agent_id) == (said, agent_of_traces.id)
    assert (trace.agent_tags, trace.call_type) == (["seen"], "agent_step")
    assert trace.llm_config == {"model": MODEL, "handle": HANDLE, "provider_name": "openai"}
    if streams:
        events: Any = trace.response_json["stream"]
        assert events[-1] == "[DONE]"
        assert events[-2]["usage"]["total_tokens"] == 18
    else:
        choices: Any = trace.response_json["choices"]
        assert choices[0]["message"]["content"] == "noted well"
    first = trace_of(traced, called)
    assert first.run_id == trace.run_id
    by_http = httpx.get(f"{product.url}/v1/telemetry/{said}").json()
    assert by_http["request_json"] == trace.request_json
    assert (by_http["attempt"], by_http["status"], by_http["error"]) == (1, 200, None)
    listed = httpx.get(f"{product.url}/v1/runs/{trace.run_id}/trace").json()
    assert [one["step_id"] for one in listed] == [called, said]
    assert httpx.get(f"{product.url}/v1/runs/{trace.run_id}/trace?limit=1").json() == listed[:1]


def test_a_step_costs_what_the_operator_says(
    product: Product, traced: Letta, agent_of_traces: AgentState
) -> None:
    traced.agents.messages.create(agent_of_traces.id, input="hello")
    (step,) = newest_steps(traced, agent_of_traces)
    shown = httpx.get(f"{product.url}/v1/steps/{step}").json()
    assert shown["cost_usd"] == "25.000000000", "11 tokens at 1 dollar, 7 at 2"


def test_a_trace_holds_no_key_and_no_image(
    product: Product, traced: Letta, agent_of_traces: AgentState
) -> None:
    image = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAA"
    parts: Any = [
        {"type": "text", "text": f"my key is {KEY}"},
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": image},
        },
    ]
    traced.agents.messages.create(agent_of_traces.id, messages=[{"role": "user", "content": parts}])
    (step,) = newest_steps(traced, agent_of_traces)
    trace_of(traced, step)
    ((text,),) = product.query(
        "SELECT request || response || details::text FROM step_traces WHERE step_id = %s", step
    )
    assert KEY not in text
    assert image not in text
    assert "[left out]" in text


def test_a_trace_says_what_was_changed_in_a_request_that_was_made_again(
    product: Product, traced: Letta, agent_of_traces: AgentState
) -> None:
    refused_once = {"fail": 400, "times": 1, "say": "well"}
    traced.agents.messages.create(agent_of_traces.id, input=do(refused_once))
    (step,) = newest_steps(traced, agent_of_traces)
    trace_of(traced, step)
    shown = httpx.get(f"{product.url}/v1/steps/{step}/trace").json()
    assert (shown["status"], shown["error"], shown["exchanges"]) == (200, None, 2)
    assert any("refused" in note for note in shown["notes"])
    assert shown["response_json"]["choices"][0]["message"]["content"] == "well"


def test_a_trace_goes_with_its_run_and_with_its_age(
    product: Product, traced: Letta, agent_of_traces: AgentState
) -> None:
    for text in ("first", "second"):
        traced.agents.messages.create(agent_of_traces.id, input=text)
    first, second = newest_steps(traced, agent_of_traces)
    run_id = trace_of(traced, first).run_id
    trace_of(traced, second)
    httpx.delete(f"{product.url}/v1/runs/{run_id}").raise_for_status()
    with pytest.raises(NotFoundError):
        traced.steps.trace.retrieve(first)
    assert product.query("SELECT FROM step_traces WHERE step_id = %s", first) == []
    product.query(
        "UPDATE step_traces SET created_at = now() - interval '6 hours' WHERE step_id = %s", second
    )
    eventually(lambda: traced.steps.trace.retrieve(second) is None, what="the purge")


def test_the_trace_of_a_failed_call_is_kept_where_nothing_is_said(
    client: Letta, server: Product, provider: FakeProvider, agent: AgentState
) -> None:
    with pytest.raises(APIStatusError):
        client.agents.messages.create(agent.id, input=do({"fail": 400}))
    (step,) = newest_steps(client, agent)
    trace = client.steps.trace.retrieve(step)
    assert trace is not None
    assert trace.request_json["model"] == MODEL
    assert trace.response_json["status"] == 400
    body: Any = trace.response_json["body"]
    assert body["error"]["message"] == "scripted failure"
    shown = httpx.get(f"{server.url}/v1/steps/{step}/trace").json()
    assert shown["error"]["type"] == "llm_bad_request"
    assert shown["status"] == 400


def test_the_trace_of_a_call_that_went_well_is_not_kept_where_nothing_is_said(
    client: Letta, server: Product, agent: AgentState
) -> None:
    client.agents.messages.create(agent.id, input="hello")
    (step,) = newest_steps(client, agent)
    assert client.steps.trace.retrieve(step) is None
    run_id = client.steps.retrieve(step).run_id
    assert httpx.get(f"{server.url}/v1/runs/{run_id}/trace").json() == []


def test_an_unusable_reply_is_a_failure_that_is_traced(client: Letta, agent: AgentState) -> None:
    with pytest.raises(APIStatusError):
        client.agents.messages.create(agent.id, input=do(say(" ")))
    (step,) = newest_steps(client, agent)
    trace = client.steps.trace.retrieve(step)
    assert trace is not None
    assert "choices" in trace.response_json


def test_there_is_no_trace_of_what_is_nobodys(client: Letta, server: Product) -> None:
    with pytest.raises(NotFoundError):
        client.steps.trace.retrieve(new_id("step"))
    for path in (f"/telemetry/{new_id('step')}", f"/runs/{new_id('run')}/trace"):
        assert httpx.get(f"{server.url}/v1{path}").status_code == 404
