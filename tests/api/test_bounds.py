"""What one request may name at once is bounded, and said so; nothing is dropped in silence."""

from typing import Any

import httpx
import pytest
from letta_client.types import AgentState

from o.domain.blocks import MAX_VALUE_CHARS
from o.ids import new_id
from tests.support.product import Product
from tests.support.provider import HANDLE, call, do, say

MANY = 1_001


@pytest.fixture
def http(server: Product) -> httpx.Client:
    return httpx.Client(base_url=server.url, timeout=60)


BODIES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "blocks of a new agent": (
        "POST",
        "/v1/agents/",
        {
            "model": HANDLE,
            "memory_blocks": [{"label": f"l{n}", "value": "x"} for n in range(3_000)],
        },
    ),
    "block ids": ("POST", "/v1/agents/", {"model": HANDLE, "block_ids": ["block-x"] * MANY}),
    "other block ids": ("PATCH", "/v1/agents/{agent}", {"block_ids": ["block-x"] * MANY}),
    "tool ids": ("PATCH", "/v1/agents/{agent}", {"tool_ids": ["tool-x"] * MANY}),
    "tools": ("POST", "/v1/agents/", {"model": HANDLE, "tools": ["x"] * MANY}),
    "tags": ("PATCH", "/v1/agents/{agent}", {"tags": ["x"] * MANY}),
    "rules": (
        "PATCH",
        "/v1/agents/{agent}",
        {"tool_rules": [{"type": "run_first", "tool_name": "x"}] * MANY},
    ),
    "first messages": (
        "POST",
        "/v1/agents/",
        {"model": HANDLE, "initial_message_sequence": [{"role": "user", "content": "x"}] * MANY},
    ),
    "labels": (
        "POST",
        "/v1/conversations/?agent_id={agent}",
        {"isolated_block_labels": ["x"] * MANY},
    ),
    "client tools": (
        "POST",
        "/v1/agents/{agent}/messages",
        {"input": "x", "client_tools": [{"name": "x"}] * MANY},
    ),
    "runs to cancel": (
        "POST",
        "/v1/agents/{agent}/messages/cancel",
        {"run_ids": [new_id("run")] * MANY},
    ),
}


@pytest.mark.parametrize("name", BODIES)
def test_more_than_can_be_done_at_once_is_422_with_the_limit(
    http: httpx.Client, agent: AgentState, name: str
) -> None:
    method, path, body = BODIES[name]
    answer = http.request(method, path.format(agent=agent.id), json=body)
    assert answer.status_code == 422, answer.text
    assert "at most 1000 items" in answer.json()["detail"]


def test_what_is_just_within_the_bound_is_done(http: httpx.Client) -> None:
    body = {
        "model": HANDLE,
        "memory_blocks": [{"label": f"l{n}", "value": "x"} for n in range(1_000)],
        "initial_message_sequence": [{"role": "user", "content": "x"}] * 1_000,
    }
    made = http.post("/v1/agents/?include=agent.blocks", json=body)
    assert made.status_code == 200, made.text
    agent = f"/v1/agents/{made.json()['id']}"
    assert len(http.get(f"{agent}/core-memory/blocks?limit=1000").json()) == 1_000
    assert http.delete(agent).status_code == 200


def test_a_request_of_many_messages_is_one_turn(http: httpx.Client, agent: AgentState) -> None:
    said = [{"role": "user", "content": str(n)} for n in range(5_000)]
    answer = http.post(f"/v1/agents/{agent.id}/messages", json={"messages": said})
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("path", ["/messages", "/messages/async", "/messages/stream"])
@pytest.mark.parametrize("otid", ["a\0", "a\ud800", "\udfff"])
def test_an_otid_that_cannot_be_told_from_others_is_422(
    http: httpx.Client, server: Product, agent: AgentState, path: str, otid: str
) -> None:
    content = '{"messages": [{"role": "user", "content": "hi", "otid": %s}]}'
    escaped = "".join(f"\\u{ord(char):04x}" for char in otid)
    answer = http.post(
        f"/v1/agents/{agent.id}{path}",
        content=content % f'"{escaped}"',
        headers={"content-type": "application/json"},
    )
    assert answer.status_code == 422
    assert server.query("SELECT count(*) FROM runs WHERE agent_id = %s", agent.id) == [(0,)]


def test_one_otid_with_a_comma_is_not_two_without(http: httpx.Client, agent: AgentState) -> None:
    def send(*otids: str) -> str:
        messages = [{"role": "user", "content": "hi", "otid": otid} for otid in otids]
        answer = http.post(f"/v1/agents/{agent.id}/messages/async", json={"messages": messages})
        run_id: str = answer.json()["id"]
        return run_id

    requests = [("a,b",), ("a", "b"), ("a\\", "b"), ("a\\,b",)]
    runs = [send(*otids) for otids in requests]
    assert len(set(runs)) == 4
    assert [send(*otids) for otids in requests] == runs, "a repeat joins its own"


def test_health_answers_to_head(http: httpx.Client) -> None:
    for path in ("/v1/health/", "/v1/health", "/v1/ready/", "/latest/health/", "/v1/ready"):
        answer = http.head(path)
        assert (answer.status_code, answer.content) == (200, b""), path


def test_a_block_grows_no_further_than_its_bound(http: httpx.Client, agent: AgentState) -> None:
    """A model that inserts without end would make every prompt, and every list, too big to bear."""
    wide = {"context_window_limit": 4_000_000}  # else the block alone overflows the window
    http.patch(f"/v1/agents/{agent.id}", json=wide).raise_for_status()
    path = f"/v1/agents/{agent.id}/core-memory/blocks/human"
    assert http.patch(path, json={"value": "x" * (MAX_VALUE_CHARS + 1)}).status_code == 422
    assert http.patch(path, json={"value": "x" * MAX_VALUE_CHARS}).status_code == 200
    text = do(call("memory_insert", label="human", new_string="more"), say("it is full"))
    answer = http.post(f"/v1/agents/{agent.id}/messages", json={"input": text}).json()
    (returned,) = [
        one for one in answer["messages"] if one["message_type"] == "tool_return_message"
    ]
    assert returned["status"] == "error"
    assert "Nothing was changed" in returned["tool_return"]
    assert len(http.get(path).json()["value"]) == MAX_VALUE_CHARS
