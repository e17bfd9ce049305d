"""The events of a connection to an MCP server."""

import asyncio
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from letta_client import Letta

from api.answers.connecting import connection_stream
from o.domain.mcp import McpServer, McpTool
from o.ids import new_id
from tests.mcp.hostile import hostile_server
from tests.support.organizations import new_key
from tests.support.product import MCP_FOLDERS, Product

SECRET = "sk-mcp-0123456789abcdef"


@pytest.fixture(scope="module")
def http(server: Product) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{server.url}/v1", timeout=100) as http:
        yield http


class Made:
    """Servers of a test, which go when it is over."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http
        self.ids: list[str] = []

    def __call__(self, url: str, kind: str = "streamable_http", **more: Any) -> str:
        config = {"mcp_server_type": kind, "server_url": url, **more}
        name = f"connecting {new_id('mcp_server')}"
        body = {"server_name": name, "config": config}
        made = self._http.post("/mcp-servers/", json=body)
        assert made.status_code == 200, made.text
        self.ids.append(made.json()["id"])
        return self.ids[-1]


@pytest.fixture
def make(http: httpx.Client) -> Iterator[Made]:
    made = Made(http)
    yield made
    for server_id in made.ids:
        http.delete(f"/mcp-servers/{server_id}")


def events(http: httpx.Client, server_id: str) -> list[dict[str, Any]]:
    """What is told of a connection, to its end."""
    answer = http.get(f"/mcp-servers/connect/{server_id}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    lines = [line for line in answer.text.split("\n\n") if line and not line.startswith(":")]
    assert lines[-1] == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]


@pytest.mark.parametrize("transport", ["streamable-http", "sse"])
def test_a_connection_is_told_of_with_the_servers_tools(
    http: httpx.Client, client: Letta, mcp_server: Callable[..., str], make: Made, transport: str
) -> None:
    server_id = make(mcp_server(transport), transport.replace("-", "_"), auth_token=SECRET)
    before = client.mcp_servers.tools.list(server_id)
    attempt, success = events(http, server_id)
    assert attempt["event"] == "connection_attempt"
    assert success["event"] == "success"
    assert attempt["server_name"] == success["server_name"]
    tools = {tool["name"]: tool for tool in success["tools"]}
    assert {"add", "weather", "who.am/I"} <= tools.keys(), "by the server's own names"
    assert tools["add"]["description"] == "Add two numbers."
    assert tools["add"]["inputSchema"]["required"] == ["a", "b"]
    assert client.mcp_servers.tools.list(server_id) == before, "nothing is stored"
    assert SECRET not in json.dumps([attempt, success])


def test_a_server_over_stdio_is_connected_to(http: httpx.Client, make: Made) -> None:
    more = {
        "command": "python3",
        "args": [f"{MCP_FOLDERS[1]}/mcp_server.py", "stdio"],
        "env": {"PYTHONPATH": MCP_FOLDERS[0]},
    }
    assert [one["event"] for one in events(http, make("", "stdio", **more))] == [
        "connection_attempt",
        "success",
    ]


@pytest.mark.parametrize("kind", ["streamable_http", "sse"])
async def test_a_server_that_asks_for_oauth_is_told_of_as_such(
    server: Product, make: Made, kind: str
) -> None:
    async with hostile_server() as hostile, httpx.AsyncClient(timeout=100) as asking:
        server_id = await _made(make, f"{hostile.url}/unauthorized", kind)
        answer = await asking.get(f"{server.url}/v1/mcp-servers/connect/{server_id}")
        told = [json.loads(line[6:]) for line in answer.text.split("\n\n") if line[6:7] == "{"]
        names = [one["event"] for one in told]
        assert names == ["connection_attempt", "oauth_required", "error"]
        for one in told[1:]:
            assert "auth_token" in one["message"]
            assert f"/v1/mcp-servers/{server_id}" in one["message"]
            assert "no OAuth" in one["message"]


@pytest.mark.parametrize(
    ("way", "words"),
    [
        ("sse", "405"),
        ("html", "neither JSON"),
        ("garbage", "cannot be read"),
        ("half", "broke off"),
        ("redirect", "redirects"),
        ("version", "no version of MCP"),
        ("cursors", "does not end"),
        ("too_many", "more than 2000 tools"),
        ("no_list", "no list of tools"),
        ("plain_401", "401"),
    ],
)
async def test_a_server_that_cannot_be_connected_to_is_an_error_in_words(
    server: Product, make: Made, way: str, words: str
) -> None:
    async with hostile_server() as hostile, httpx.AsyncClient(timeout=100) as asking:
        kind = "sse" if way == "sse" else "streamable_http"
        server_id = await _made(make, f"{hostile.url}/{way}", kind)
        answer = await asking.get(f"{server.url}/v1/mcp-servers/connect/{server_id}")
        told = [json.loads(line[6:]) for line in answer.text.split("\n\n") if line[6:7] == "{"]
        assert [one["event"] for one in told] == ["connection_attempt", "error"]
        assert words in told[1]["message"]
        assert answer.text.endswith("data: [DONE]\n\n")


async def _made(make: Made, url: str, kind: str = "streamable_http") -> str:
    """A server, made while the loop of this test serves it."""
    return await asyncio.to_thread(make, url, kind)


def test_what_is_not_there_is_not_connected_to(http: httpx.Client) -> None:
    assert http.get(f"/mcp-servers/connect/{new_id('mcp_server')}").status_code == 404
    assert http.get("/mcp-servers/connect/7").status_code == 422
    assert http.get("/mcp-servers/connect/").status_code in (404, 422)
    assert http.post(f"/mcp-servers/connect/{new_id('mcp_server')}").status_code == 405


def test_an_address_that_was_let_through_before_is_judged_again(
    server: Product, http: httpx.Client, mcp_server: Callable[..., str], make: Made
) -> None:
    server_id = make(mcp_server("streamable-http"))
    server.query(
        "UPDATE mcp_servers SET server_url = 'http://169.254.169.254/mcp' WHERE id = %s", server_id
    )
    _, error = events(http, server_id)
    assert (error["event"], "not public" in error["message"]) == ("error", True)


def test_a_token_that_cannot_be_read_any_more_is_to_be_set_again(
    server: Product, http: httpx.Client, mcp_server: Callable[..., str], make: Made
) -> None:
    server_id = make(mcp_server("streamable-http"), auth_token=SECRET)
    server.query("UPDATE mcp_servers SET secrets = 'o1:x:y' WHERE id = %s", server_id)
    _, error = events(http, server_id)
    assert (error["event"], "set it again" in error["message"]) == ("error", True)


def test_a_key_that_only_reads_connects_to_nobody(
    server: Product, http: httpx.Client, mcp_server: Callable[..., str], make: Made
) -> None:
    address = f"/mcp-servers/connect/{make(mcp_server('streamable-http'))}"
    for scope, status in (("read", 403), ("approve", 403), ("write", 200)):
        headers = {"authorization": f"Bearer {new_key(server, scope)}"}
        assert http.get(address, headers=headers).status_code == status


SERVER = McpServer(
    id=new_id("mcp_server"),
    organization_id=new_id("org"),
    server_name="of a test",
    server_type="streamable_http",
    created_at=datetime.now(UTC),
    updated_at=datetime.now(UTC),
)


async def test_who_reads_no_further_waits_for_no_server() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def never() -> list[McpTool]:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return []

    body: Any = connection_stream(SERVER, never).body_iterator
    assert b"connection_attempt" in await anext(body)
    following = asyncio.ensure_future(anext(body))
    await begun.wait()
    following.cancel()
    with pytest.raises(asyncio.CancelledError):
        await following
    await asyncio.wait_for(ended.wait(), 10)


async def test_a_fault_of_ours_is_told_of_and_not_shown() -> None:
    async def broken() -> list[McpTool]:
        raise RuntimeError(SECRET)

    said = b"".join([one async for one in connection_stream(SERVER, broken).body_iterator])  # type: ignore[misc]
    assert SECRET.encode() not in said
    assert b'"event": "error"' in said
    assert said.endswith(b"data: [DONE]\n\n")
