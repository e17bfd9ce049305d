"""Exported, wiped and imported again, an agent with every kind of content is the same agent."""

import json
import threading
import time
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from letta_client import Letta

from tests.letta.test_file_fuzz import ODD, PLACES, changed
from tests.support import agent_files as files
from tests.support.agent_files import Files, everything
from tests.support.canonical import differences
from tests.support.product import Product, eventually
from tests.support.provider import FakeProvider, call, do, say, together


@pytest.fixture
def http(server: Product) -> Files:
    return Files(server.url)


def said(client: Letta, agent_id: str, text: str) -> None:
    client.agents.messages.create(agent_id, input=text)


def wipe(server: Product, http: Files, agent_ids: list[str]) -> None:
    """Delete all that the file has made."""
    for agent_id in agent_ids:
        for block in http.http.get(f"/v1/agents/{agent_id}/core-memory/blocks").json():
            http.http.delete(f"/v1/blocks/{block['id']}")
        assert http.http.delete(f"/v1/agents/{agent_id}").status_code == 200
    for kind, named in (("folders", "name"), ("tools", "name"), ("mcp-servers", "server_name")):
        for one in _every(http, f"/v1/{kind}/"):
            if one[named].startswith(("af_", "af-")):
                assert http.http.delete(f"/v1/{kind}/{one['id']}").is_success
    for one in _every(http, "/v1/identities/"):
        if one["identifier_key"].startswith("af-"):
            assert http.http.delete(f"/v1/identities/{one['id']}").is_success
    gone = "SELECT 1 FROM agents WHERE id = ANY(%s)"
    eventually(lambda: not server.query(gone, agent_ids), what="the purge")


def _every(http: Files, path: str) -> list[dict[str, Any]]:
    """All that a list has, which may be more than a page; some lists know no cursor."""
    found: dict[str, dict[str, Any]] = {}
    while True:
        after = {"after": next(reversed(found))} if found else {}
        page = http.http.get(path, params={"limit": "200"} | after).json()
        new = {one["id"]: one for one in page if one["id"] not in found}
        if not new:
            return list(found.values())
        found |= new


def read_whole(http: Files, agent_id: str) -> dict[str, Any]:
    """The file, once its documents are read."""

    def settled() -> dict[str, Any] | None:
        found = http.export(agent_id)
        done = all(one["processing_status"] in ("completed", "error") for one in found["files"])
        return found if done else None

    return eventually(settled, what="reading")


def test_an_agent_with_everything_comes_back_as_it_was(
    server: Product, client: Letta, http: Files, provider: FakeProvider
) -> None:
    file = everything()
    first_ids = http.load(file, secrets='{"TOKEN": "t"}')["agent_ids"]
    lived = first_ids[0]
    said(
        client,
        lived,
        do(together(call("af_all", n=1), call("conversation_search", query="x")), say("ok")),
    )
    conversation = client.conversations.create(agent_id=lived, summary="Aside")
    client.conversations.messages.create(conversation.id, input="psst", streaming=False)
    fork = http.http.post(
        "/v1/conversations/", params={"agent_id": lived}, json={"isolated_block_labels": ["human"]}
    )
    assert fork.status_code == 200, fork.text
    forked = http.http.post(f"/v1/conversations/{conversation.id}/fork", json={})
    assert forked.status_code == 200, forked.text
    client.agents.passages.create(lived, text="Ada likes tea.", tags=["taste", "drink"])
    first = read_whole(http, lived)
    assert len(first["agents"]) == 2
    assert len(first["o_conversations"]) == 3
    assert first["groups"][0]["manager_config"]["manager_agent_id"] == "agent-0"
    assert [one["server_name"] for one in first["mcp_servers"]] == ["af-server"]
    assert [one["identifier_key"] for one in first["o_identities"]] == ["af-user-1"]
    assert any("o_copy_of" in json.dumps(one) for one in first["o_conversations"])
    wipe(server, http, first_ids)
    again = http.load(first)
    second = read_whole(http, again["agent_ids"][0])
    assert not (found := differences(first, second)), "\n".join(found)
    said(client, again["agent_ids"][0], do(say("still here")))
    assert provider.problems == []


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(PLACES), st.sampled_from(ODD))
def test_whatever_stands_in_a_file_is_no_fault_of_the_server(
    http: Files, path: tuple[Any, ...], value: Any
) -> None:
    answer = http.send(changed(path, value))
    assert answer.status_code in (200, 422), answer.text
    if answer.status_code == 200:
        for agent_id in answer.json()["agent_ids"]:
            assert http.http.get(f"/v1/agents/{agent_id}/export").status_code == 200


def test_a_large_file_keeps_nobody_waiting(server: Product, http: Files) -> None:
    said = "word " * 400
    many = [files.message(n, "user" if n % 2 else "assistant", said) for n in range(1, 8_000)]
    head = files.message(0, "system", "You are Ada.")
    shown = [head["id"], *(one["id"] for one in many[-50:])]
    file = files.whole(files.agent(messages=[head, *many], in_context_message_ids=shown))
    done: list[dict[str, Any]] = []
    sender = threading.Thread(target=lambda: done.append(http.load(file)))
    sender.start()
    waits: list[float] = []
    with httpx.Client(base_url=server.url, timeout=60) as other:
        while sender.is_alive():
            began = time.monotonic()
            assert other.get("/v1/health/").status_code == 200
            waits.append(time.monotonic() - began)
    sender.join()
    assert sorted(waits)[len(waits) // 2] < 0.5
    assert max(waits) < 5
    told = http.export(done[0]["agent_ids"][0])["agents"][0]
    assert len(told["messages"]) == 8_000
    assert len(told["in_context_message_ids"]) == 51
