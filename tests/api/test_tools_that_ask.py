"""What a tool is given by its call's token, when it asks this server's own API."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from letta_client import Letta
from letta_client.types import AgentState

from o.call_tokens import Call, CallTokens
from o.ids import DEFAULT_ORGANIZATION_ID
from o.secrets import Keyring
from tests.support.product import Product
from tests.support.provider import HANDLE, say

SOURCE = '''
def send_all(x: str) -> str:
    """Send it.

    Args:
        x: What to send.
    """
    return x
'''
GUARD = {"type": "requires_approval", "tool_name": "send_all"}


@pytest.fixture
def tool(server: Product, agent: AgentState) -> Iterator[httpx.Client]:
    """Asks with the token of a call, which the egress proxy would have added."""
    tokens = CallTokens(Keyring(server.data_dir))
    token = tokens.mint(Call(DEFAULT_ORGANIZATION_ID, "job-1", agent.id))
    headers = {"authorization": f"Bearer {token}"}
    with httpx.Client(base_url=f"{server.url}/v1", headers=headers, timeout=60) as asking:
        yield asking


@pytest.fixture
def guarded(client: Letta) -> Iterator[AgentState]:
    """An agent whose own tool waits for a person."""
    tool_id = client.tools.upsert(source_code=SOURCE).id
    made = client.agents.create(model=HANDLE, tool_ids=[tool_id], tool_rules=[GUARD])
    yield made
    client.agents.delete(made.id)
    client.tools.delete(tool_id)


def powers_of(client: Letta, agent: AgentState) -> dict[str, Any]:
    """What an agent's tools may do, and for what they wait."""
    found = client.agents.retrieve(agent.id, include=["agent.tools", "agent.secrets"])
    shown = found.model_dump(include={"tool_rules", "secrets", "approval_timeout_s"})
    return shown | {"tools": [one.name for one in found.tools]}


def test_a_tool_makes_no_tool_by_an_agent_file(
    client: Letta, tool: httpx.Client, guarded: AgentState
) -> None:
    file = tool.get(f"/agents/{guarded.id}/export").text.replace("send_all", "smuggled")
    sent = {"file": ("a.af", file.encode(), "application/json")}
    assert tool.post("/agents/import", files=sent).status_code == 403
    assert client.tools.list(name="smuggled").items == []


def test_a_tool_attaches_takes_and_runs_no_tools(
    client: Letta, tool: httpx.Client, agent: AgentState, guarded: AgentState
) -> None:
    before = powers_of(client, agent), powers_of(client, guarded)
    (send_all,) = client.tools.list(name="send_all").items
    for path, method in {
        f"/agents/{agent.id}/tools/attach/{send_all.id}": "PATCH",
        f"/agents/{guarded.id}/tools/detach/{send_all.id}": "PATCH",
        f"/agents/{guarded.id}/tools/approval/send_all": "PATCH",
        f"/agents/{guarded.id}/tools/send_all/run": "POST",
        f"/agents/{guarded.id}/tools/memory_insert/run/": "POST",
    }.items():
        answer = tool.request(method, path, json={"args": {"x": "y"}, "requires_approval": False})
        assert answer.status_code == 403, (path, answer.text)
    assert (powers_of(client, agent), powers_of(client, guarded)) == before


@pytest.mark.parametrize(
    "said",
    [
        {"tool_rules": []},
        {"tool_ids": []},
        {"tools": ["send_all"]},
        {"approval_timeout_s": 1},
        {"secrets": {}},
        {"tool_exec_environment_variables": {"K": "v"}},
    ],
    ids=lambda said: next(iter(said)),
)
def test_a_tool_says_nothing_of_what_a_person_decides(
    client: Letta, tool: httpx.Client, guarded: AgentState, said: dict[str, Any]
) -> None:
    before, agents = powers_of(client, guarded), tool.get("/agents/count").json()
    new = {"model": HANDLE, "name": "its twin"}
    assert tool.post("/agents/", json=new | said).status_code == 403
    assert tool.get("/agents/count").json() == agents
    if "tools" not in said:  # no field of a change
        answer = tool.patch(f"/agents/{guarded.id}", json={"name": "another"} | said)
        assert answer.status_code == 403
        assert next(iter(said)) in answer.text or "secrets" in answer.text
    assert powers_of(client, guarded) == before


def test_a_tool_makes_and_changes_agents_otherwise(client: Letta, tool: httpx.Client) -> None:
    made = tool.post("/agents/", json={"model": HANDLE, "name": "made by a tool"})
    assert made.status_code == 200, made.text
    path = f"/agents/{made.json()['id']}"
    changed = tool.patch(path, json={"description": "Keeps notes.", "tags": ["notes"]})
    assert changed.json()["description"] == "Keeps notes."
    assert tool.delete(path).status_code == 200


def test_a_tool_has_nothing_posted_for_it(tool: httpx.Client, agent: AgentState) -> None:
    path = f"/agents/{agent.id}/messages/async"
    sent = {"input": json.dumps(say("hello")), "callback_url": "https://example.com/hook"}
    refused = tool.post(path, json=sent)
    assert (refused.status_code, "callback_url" in refused.text) == (403, True)
    assert tool.get("/runs/", params={"agent_id": agent.id}).json() == []
    assert tool.post(path, json=sent | {"callback_url": None}).status_code == 200
