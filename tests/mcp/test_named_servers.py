"""V1's older routes of MCP servers, by names, as releases 0.1 of its clients and Letta Code ask."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from api.wire.mcp import masked
from tests.support.organizations import new_organization
from tests.support.product import Product
from tests.support.provider import HANDLE, call, do, say

SECRET = "sk-mcp-0123456789abcdef"
PATH = "/tools/mcp/servers"
NOWHERE = "http://127.0.0.1:9/mcp"


@pytest.fixture(scope="module")
def url(mcp_server: Callable[..., str]) -> str:
    return mcp_server("streamable-http", "--tools", "3")


def _client(server: Product, name: str) -> httpx.Client:
    headers = {"authorization": f"Bearer {new_organization(server, name)}"}
    return httpx.Client(base_url=f"{server.url}/v1", headers=headers, timeout=120)


@pytest.fixture(scope="module")
def http(server: Product) -> httpx.Client:
    """An organization of its own."""
    return _client(server, "named-mcp")


@pytest.fixture(scope="module")
def theirs(server: Product) -> httpx.Client:
    """Another one, with a server named `other`."""
    client = _client(server, "other-mcp")
    body = {"server_name": "other", "type": "sse", "server_url": NOWHERE}
    client.put(PATH, json=body).raise_for_status()
    return client


@pytest.fixture(autouse=True)
def _emptied(http: httpx.Client) -> Iterator[None]:
    yield
    for name in http.get(PATH).json():
        http.delete(f"{PATH}/{name}").raise_for_status()


def _config(url: str, **more: Any) -> dict[str, Any]:
    return {"server_name": "own", "type": "streamable_http", "server_url": url, **more}


def test_a_server_is_put_listed_and_its_tool_is_given_to_an_agent(
    http: httpx.Client, url: str
) -> None:
    (added,) = http.put(PATH, json=_config(url, auth_token=SECRET)).raise_for_status().json()
    assert (added["server_name"], added["type"], added["server_url"]) == (
        "own",
        "streamable_http",
        url,
    )
    assert added["auth_token"] == masked(SECRET)
    assert http.get(PATH).json() == {"own": added}
    tools = {tool["name"]: tool for tool in http.get(f"{PATH}/own/tools").json()}
    assert {"add", "weather", "tool_0"} <= tools.keys()
    assert tools["add"]["inputSchema"]["required"] == ["a", "b"]
    tool = http.post(f"{PATH}/own/add").json()
    assert (tool["tool_type"], tool["metadata_"]["mcp"]["server_name"]) == ("external_mcp", "own")
    body = {"model": HANDLE, "tool_ids": [tool["id"]]}
    agent = http.post("/agents/", json=body).json()
    body = {"input": do(call(tool["name"], a=2, b=3), say("done"))}
    reply = http.post(f"/agents/{agent['id']}/messages", json=body).json()
    returns = [m for m in reply["messages"] if m["message_type"] == "tool_return_message"]
    assert [one["tool_return"] for one in returns] == ["5"]


def test_a_tool_is_executed_by_its_name(http: httpx.Client, url: str) -> None:
    http.put(PATH, json=_config(url)).raise_for_status()
    ran = http.post(f"{PATH}/own/tools/add/execute", json={"args": {"a": 1, "b": 2}}).json()
    assert ran == {"result": "3", "success": True}
    failed = http.post(f"{PATH}/own/tools/fail/execute", json={"args": {"why": "x"}}).json()
    assert failed == {"result": "Error executing tool fail", "success": False}


def test_a_server_of_the_same_name_is_made_the_same(http: httpx.Client, url: str) -> None:
    (old,) = http.put(PATH, json=_config(NOWHERE, auth_token=SECRET)).json()
    assert old["problem"]
    assert http.get(f"{PATH}/own/tools").status_code == 502
    (new,) = http.put(PATH, json=_config(url)).json()
    assert (new["id"], new["problem"], new["auth_token"]) == (old["id"], None, None)
    assert http.get(f"{PATH}/own/tools").json()


def test_a_server_is_changed_resynced_and_deleted(http: httpx.Client, url: str) -> None:
    http.put(PATH, json=_config(NOWHERE)).raise_for_status()
    assert http.post(f"{PATH}/own/resync").status_code == 502
    changed = http.patch(f"{PATH}/own", json={"server_name": "named", "server_url": url}).json()
    assert (changed["server_name"], changed["server_url"]) == ("named", url)
    assert http.get(f"{PATH}/own/tools").status_code == 404
    assert "add" in http.post(f"{PATH}/named/resync").json()["added"]
    assert http.patch(f"{PATH}/named", json={"token": SECRET}).json()["auth_token"] == masked(
        SECRET
    )
    assert http.delete(f"{PATH}/named").json() == []
    assert http.get(PATH).json() == {}


def test_a_server_is_tried_and_not_stored(http: httpx.Client, url: str) -> None:
    tried = http.post(f"{PATH}/test", json=_config(url)).raise_for_status().json()
    assert tried["status"] == "success"
    assert "add" in {tool["name"] for tool in tried["tools"]}
    assert http.post(f"{PATH}/test", json=_config(NOWHERE)).status_code == 502
    assert http.post(f"{PATH}/test", json=_config("http://10.1.2.3/mcp")).status_code == 422
    assert http.get(PATH).json() == {}


def test_headers_that_the_protocol_says_anyway_may_be_sent_along(
    http: httpx.Client, url: str
) -> None:
    headers = {"Content-Type": "application/json", "accept": "text/event-stream", "X-Team": "a"}
    (added,) = http.put(PATH, json=_config(url, custom_headers=headers)).json()
    assert (added["problem"], list(added["custom_headers"])) == (None, ["X-Team"])
    assert http.put(PATH, json=_config(url, custom_headers={"Host": "x"})).status_code == 422


def test_a_body_without_a_type_is_known_by_its_fields(http: httpx.Client) -> None:
    bodies = [
        {"server_name": "one", "server_url": "http://127.0.0.1:9/sse"},
        {"server_name": "two", "command": "python3", "args": ["-c", "pass"]},
    ]
    for body in bodies:
        http.put(PATH, json=body).raise_for_status()
    assert {name: one["type"] for name, one in http.get(PATH).json().items()} == {
        "one": "sse",
        "two": "stdio",
    }
    changed = http.patch(
        f"{PATH}/two", json={"stdio_config": {"command": "true", "args": []}}
    ).json()
    assert (changed["type"], changed["command"], changed["args"]) == ("stdio", "true", [])


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/other/tools"),
        ("POST", "/other/resync"),
        ("POST", "/other/add"),
        ("PATCH", "/other"),
        ("DELETE", "/other"),
        ("POST", "/other/tools/add/execute"),
    ],
)
def test_a_name_that_is_another_organizations_is_not_found(
    http: httpx.Client, theirs: httpx.Client, method: str, path: str
) -> None:
    body: dict[str, Any] | None = {"args": {}} if method != "GET" else None
    assert http.request(method, PATH + path, json=body).status_code == 404
    assert list(theirs.get(PATH).json()) == ["other"]


def test_a_tool_that_a_server_does_not_have_is_not_found(http: httpx.Client, url: str) -> None:
    http.put(PATH, json=_config(url)).raise_for_status()
    answer = http.post(f"{PATH}/own/nothing")
    assert (answer.status_code, "resync" in answer.json()["detail"]) == (404, True)
