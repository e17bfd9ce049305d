"""MCP servers that an agent file brings: who may add them, and which."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from o.ids import new_id
from tests.support import agent_files as files
from tests.support.product import Product

Key = Callable[[str], httpx.Client]
GOOD = {"server_url": "http://127.0.0.1:9/mcp"}


@pytest.fixture
def key(server: Product) -> Key:
    """Makes keys of one user, in an organization of its own."""
    root = httpx.Client(base_url=f"{server.url}/v1/admin", timeout=60)
    org = root.post("/orgs/", json={"name": new_id("af")}).json()["id"]
    user = root.post("/users/", json={"name": "Ada", "organization_id": org}).json()["id"]

    def make(scope: str) -> httpx.Client:
        body = {"name": "of a test", "user_id": user, "scopes": [scope]}
        headers = {"authorization": f"Bearer {root.post('/keys/', json=body).json()['key']}"}
        return httpx.Client(base_url=f"{server.url}/v1", headers=headers, timeout=60)

    return make


def file_of(*tools: str, **server: Any) -> dict[str, Any]:
    """An agent with these tools of one MCP server."""
    kind = {"server_type": "streamable_http", "server_name": "sneak", "id": "mcp_server-0"}
    rows = [
        files.tool(at, name, tool_type="external_mcp", tags=["mcp:sneak"])
        for at, name in enumerate(tools)
    ]
    made = files.agent(tool_ids=[row["id"] for row in rows])
    return files.whole(made, tools=rows, mcp_servers=[kind | server])


def load(client: httpx.Client, file: dict[str, Any]) -> tuple[list[str], str]:
    """The names of the tools of the agent that comes of it, and what is told."""
    sent = {"file": ("a.af", json.dumps(file).encode(), "application/json")}
    answer = client.post("/agents/import", files=sent)
    assert answer.status_code == 200, answer.text
    (agent_id,) = answer.json()["agent_ids"]
    tools = client.get(f"/agents/{agent_id}/tools").json()
    return [one["name"] for one in tools], "\n".join(answer.json()["notes"])


def names_of(client: httpx.Client) -> list[str]:
    """The MCP servers that are there."""
    return [one["server_name"] for one in client.get("/mcp-servers/").json()]


@pytest.mark.parametrize(
    "brought",
    [GOOD, {"server_type": "stdio", "stdio_config": {"command": "sh", "args": ["-c", "id"]}}],
    ids=["http", "stdio"],
)
def test_a_key_that_only_writes_adds_no_server(key: Key, brought: dict[str, Any]) -> None:
    admin, writer = key("admin"), key("write")
    tools, notes = load(writer, file_of("af_remote", **brought))
    assert (tools, names_of(admin)) == ([], [])
    assert "a key of the scope admin (sneak)" in notes
    assert admin.get("/tools/", params={"name": "af_remote"}).json() == []


def test_a_key_that_only_writes_uses_the_tools_of_a_server_that_are_here(key: Key) -> None:
    admin, writer = key("admin"), key("write")
    assert load(admin, file_of("af_remote", **GOOD))[0] == ["af_remote"]
    tools, notes = load(writer, file_of("af_remote", "af_made_up", **GOOD))
    assert (tools, names_of(admin)) == (["af_remote"], ["sneak"])
    assert "left out (af_made_up)" in notes


def test_a_server_that_is_added_is_on_record(key: Key) -> None:
    admin = key("admin")
    load(admin, file_of(**GOOD))
    (added,) = admin.get("/mcp-servers/").json()
    found = admin.get("/admin/audit", params={"what": "mcp_create_mcp_server"}).json()
    assert [one["target_id"] for one in found] == [added["id"]]


@pytest.mark.parametrize(
    ("brought", "words"),
    [
        ({"server_url": "http://10.0.0.1/mcp"}, "config.server_url: 10.0.0.1 is no public address"),
        ({"server_url": "http://[/mcp"}, "config.streamable_http.server_url: "),
        ({"server_url": None}, "config.streamable_http.server_url: "),
        ({"server_type": "stdio", "stdio_config": {"args": ["x"]}}, "config.stdio.command: "),
    ],
)
def test_a_server_that_its_own_route_would_refuse_is_left_out_with_a_word(
    key: Key, brought: dict[str, Any], words: str
) -> None:
    admin = key("admin")
    tools, notes = load(admin, file_of("af_remote", **brought))
    assert (tools, names_of(admin)) == ([], [])
    assert f"An MCP server is left out: {words}" in notes


def test_what_is_stored_of_a_server_is_what_was_judged(key: Key) -> None:
    admin = key("admin")
    brought = {
        "server_name": " sneak ",
        "server_url": f" {GOOD['server_url']} ",
        "stdio_config": {"command": "sh", "args": ["-c", "id"]},
    }
    assert load(admin, file_of("af_remote", **brought))[0] == ["af_remote"]
    (stored,) = admin.get("/mcp-servers/").json()
    assert (stored["server_name"], stored["server_url"]) == ("sneak", GOOD["server_url"])
    assert stored["command"] is None


def test_a_file_adds_a_hundred_servers_and_no_more(key: Key) -> None:
    admin = key("admin")
    load(admin, file_of(**GOOD))
    file = file_of(**GOOD)  # one that is here counts for nothing
    file["mcp_servers"] += [
        file["mcp_servers"][0] | {"id": f"mcp_server-{n}", "server_name": f"s{n}"}
        for n in range(1, 102)
    ]
    sent = {"file": ("a.af", json.dumps(file).encode(), "application/json")}
    answer = admin.post("/agents/import", files=sent)
    assert answer.status_code == 422
    assert "101 new MCP servers" in answer.json()["detail"]
    assert names_of(admin) == ["sneak"]
    file["mcp_servers"].pop()
    load(admin, file)
    assert len(names_of(admin)) == 101
