"""JSON that could not be read back is refused where it comes in, whoever sends it."""

import json
from typing import Any

import httpx
import pytest
from letta_client import Letta
from letta_client.types import AgentState

from o.domain.json_bounds import MAX_DEPTH, MAX_VALUES
from tests.support.product import Product
from tests.support.provider import HANDLE, do, say

DEEP = '{"a":' * 201 + "1" + "}" * 201

BODIES = {
    "a block's metadata": ("POST", "/v1/blocks/", '{"label": "x", "value": "", "metadata": %s}'),
    "an agent's metadata": ("POST", "/v1/agents/", f'{{"model": "{HANDLE}", "metadata": %s}}'),
    "model settings": ("PATCH", "/v1/agents/{agent}", '{"model_settings": %s}'),
    "a model's configuration": ("PATCH", "/v1/agents/{agent}", '{"llm_config": %s}'),
    "what a rule fills in": (
        "PATCH",
        "/v1/agents/{agent}",
        '{"tool_rules": [{"type": "run_first", "tool_name": "memory_insert", "args": %s}]}',
    ),
    "a client's tool": (
        "POST",
        "/v1/agents/{agent}/messages",
        '{"input": "hi", "client_tools": [{"name": "x", "parameters": %s}]}',
    ),
    "a conversation's settings": (
        "POST",
        "/v1/conversations/?agent_id={agent}",
        '{"model_settings": %s}',
    ),
    "arguments of a tool": (
        "POST",
        "/v1/agents/{agent}/tools/memory_insert/run",
        '{"args": %s}',
    ),
    "a field that nobody knows": ("POST", "/v1/agents/", f'{{"model": "{HANDLE}", "x": %s}}'),
}


@pytest.fixture
def http(server: Product) -> httpx.Client:
    headers = {"content-type": "application/json"}
    return httpx.Client(base_url=server.url, timeout=30, headers=headers)


@pytest.mark.parametrize("name", BODIES)
def test_json_that_is_too_deep_is_422_with_the_bound(
    http: httpx.Client, agent: AgentState, name: str
) -> None:
    method, path, body = BODIES[name]
    answer = http.request(method, path.format(agent=agent.id), content=body % DEEP)
    assert answer.status_code == 422, answer.text
    assert f"deeper than {MAX_DEPTH} levels" in answer.json()["detail"]
    for listed in ("/v1/blocks/", "/v1/agents/", "/v1/runs/", "/v1/runs/active"):
        assert http.get(listed).status_code == 200


def test_what_is_as_deep_as_may_be_is_read_back(http: httpx.Client) -> None:
    levels = MAX_DEPTH - 1
    metadata = json.loads('{"a":' * levels + "1" + "}" * levels)
    body = {"label": "deep", "value": "", "metadata": metadata}
    block = http.post("/v1/blocks/", content=json.dumps(body)).json()
    assert http.get(f"/v1/blocks/{block['id']}").json()["metadata"] == metadata
    http.delete(f"/v1/blocks/{block['id']}")


def test_too_many_values_are_422_before_they_take_memory(http: httpx.Client) -> None:
    body = '{"label": "x", "value": "", "metadata": {"a": [' + "[]," * MAX_VALUES + "1]}}"
    answer = http.post("/v1/blocks/", content=body)
    assert answer.status_code == 422
    assert f"more than {MAX_VALUES} values" in answer.json()["detail"]


def test_free_json_of_more_than_a_megabyte_is_422(http: httpx.Client) -> None:
    body = {"label": "x", "value": "", "metadata": {"a": "x" * 1_050_000}}
    answer = http.post("/v1/blocks/", content=json.dumps(body))
    assert answer.status_code == 422
    assert "larger than 1048576 bytes" in answer.json()["detail"]


@pytest.mark.parametrize("agent_type", ["letta_v1_agent", "memgpt_v2_agent"])
def test_a_call_with_arguments_that_are_too_deep_fails_and_the_turn_goes_on(
    client: Letta, http: httpx.Client, agent_type: Any
) -> None:
    agent = client.agents.create(
        model=HANDLE, agent_type=agent_type, memory_blocks=[{"label": "human", "value": ""}]
    )
    arguments = f'{{"label": "human", "new_string": {DEEP}}}'
    deep = {"calls": [{"name": "memory_insert", "arguments": arguments}]}
    told = client.agents.messages.create(agent.id, input=do(deep, say("done"))).messages
    returned = next(m for m in told if m.message_type == "tool_return_message")
    assert returned.status == "error"
    assert f"deeper than {MAX_DEPTH} levels" in str(returned.tool_return)
    assert told[-1].content == "done"
    for path in ("/v1/runs/", "/v1/runs/active", f"/v1/agents/{agent.id}/messages"):
        assert http.get(path).status_code == 200
