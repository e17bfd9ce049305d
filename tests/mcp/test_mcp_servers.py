"""MCP servers through the official client: real servers of the official package, real agents."""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from letta_client import APIStatusError, Letta, NotFoundError, UnprocessableEntityError
from letta_client.types import AgentState

from api.tools.mcp_servers import McpBook
from api.wire.mcp import CreateMcpServerBody, masked
from o.domain.actors import Actor
from o.errors import InvalidArgument
from o.outbound import OutboundGuard
from o.settings.all import Settings
from tests.mcp.hostile import hostile_server
from tests.support.product import MCP_FOLDERS, Product, eventually
from tests.support.provider import HANDLE, call, do, say

SECRET = "sk-mcp-0123456789abcdef"


@pytest.fixture(scope="module")
def url(mcp_server: Callable[..., str]) -> str:
    return mcp_server("streamable-http", "--tools", "200")


def _returns(reply: Any) -> list[Any]:
    return [one for one in reply.messages if one.message_type == "tool_return_message"]


def _tools(client: Letta, server: Any) -> list[Any]:
    return client.mcp_servers.tools.list(server.id)


def _by_own_name(client: Letta, server: Any) -> dict[str, Any]:
    """A server's tools by what it calls them: here a name may be another tool's already."""
    return {tool.metadata["mcp"]["tool_name"]: tool for tool in _tools(client, server)}


def _config(url: str, **more: Any) -> Any:
    return {"mcp_server_type": "streamable_http", "server_url": url, **more}


@pytest.fixture(scope="module")
def made(client: Letta, url: str) -> Iterator[Any]:
    config = _config(url, auth_token=SECRET)
    made: Any = client.mcp_servers.create(server_name="example", config=config)
    yield made
    client.mcp_servers.delete(made.id)


def test_a_server_has_its_200_tools_at_once(client: Letta, made: Any) -> None:
    tools = client.mcp_servers.tools.list(made.id)
    names = {tool.name for tool in tools}
    assert {f"tool_{n}" for n in range(200)} | {"add", "weather", "who_am_I"} <= names
    assert len(tools) == 208
    add: Any = next(tool for tool in tools if tool.name == "add")
    assert (add.tool_type, add.tags) == ("external_mcp", ["mcp:example"])
    assert add.json_schema["parameters"]["required"] == ["a", "b"]
    assert client.mcp_servers.tools.retrieve(add.id, mcp_server_id=made.id) == add


def test_an_agent_uses_a_tool(client: Letta, made: Any) -> None:
    tools = {tool.name: tool for tool in client.mcp_servers.tools.list(made.id)}
    wanted = ("add", "weather", "fail", "picture", "who_am_I")
    agent = client.agents.create(model=HANDLE, tool_ids=[tools[name].id for name in wanted])
    reply = client.agents.messages.create(
        agent.id,
        input=do(
            call("add", a=2, b=3),
            call("weather", city="Oslo"),
            call("fail", why="no"),
            call("picture"),
            call("who_am_I"),
            call("add", a="x"),
            call("weather", city="Oslo \ud83d"),  # half a character, as models cut them
            say("done"),
        ),
    )
    found = [(one.status, one.tool_return) for one in _returns(reply)]
    assert found[0] == ("success", "5")
    assert found[1][0] == "success"
    assert '"temperature": 21' in found[1][1]
    assert found[2] == ("error", "Error executing tool fail")
    assert found[3] == ("success", "Ada\n[image: image/png, 6 bytes, not shown]")
    assert found[4] == ("success", "the example")
    assert found[5][0] == "error"
    assert found[6][0] == "success", found[6]


def test_an_agent_uses_a_server_over_stdio(client: Letta) -> None:
    config: Any = {
        "mcp_server_type": "stdio",
        "command": "python3",
        "args": [f"{MCP_FOLDERS[1]}/mcp_server.py", "stdio"],
        "env": {"PYTHONPATH": MCP_FOLDERS[0]},
    }
    made: Any = client.mcp_servers.create(server_name="process", config=config)
    assert made.to_dict()["problem"] is None
    assert made.env == {"PYTHONPATH": masked(MCP_FOLDERS[0])}
    tools = _by_own_name(client, made)
    agent = client.agents.create(model=HANDLE, tool_ids=[tools["add"].id, tools["crash"].id])
    reply = client.agents.messages.create(
        agent.id,
        input=do(call(tools["add"].name, a=2, b=3), call(tools["crash"].name), say("done")),
    )
    added, crashed = _returns(reply)
    assert (added.status, added.tool_return) == ("success", "5")
    assert crashed.status == "error"
    assert "its process ended" in crashed.tool_return
    assert "may have run" in crashed.tool_return
    client.mcp_servers.delete(made.id)


async def test_servers_over_stdio_are_refused_unless_they_are_turned_on() -> None:
    nothing: Any = None
    book = McpBook(nothing, nothing, nothing, OutboundGuard(), Settings())
    body = CreateMcpServerBody.model_validate(
        {"server_name": "x", "config": {"mcp_server_type": "stdio", "command": "id", "args": []}}
    )
    with pytest.raises(InvalidArgument, match="O_MCP_STDIO=1"):
        await book.create(Actor(), body)


def test_a_tool_runs_without_an_agent(client: Letta, made: Any) -> None:
    tools = {name: tool.id for name, tool in _by_own_name(client, made).items()}
    ran = client.mcp_servers.tools.run(tools["add"], mcp_server_id=made.id, args={"a": 1, "b": 2})
    assert (ran.status, ran.func_return) == ("success", "3")
    failed = client.mcp_servers.tools.run(tools["fail"], mcp_server_id=made.id, args={"why": "x"})
    assert (failed.status, failed.func_return) == ("error", None)
    assert failed.stderr == ["Error executing tool fail"]


def test_secrets_are_masked_and_kept(server: Product, client: Letta, url: str) -> None:
    headers = {"X-Api-Key": SECRET, "X-Short": "abc"}
    made: Any = client.mcp_servers.create(
        server_name="secrets", config=_config(url, auth_token=SECRET, custom_headers=headers)
    )
    shown = client.mcp_servers.retrieve(made.id)
    assert shown.auth_token == "********cdef"
    assert shown.custom_headers == {"X-Api-Key": "********cdef", "X-Short": "********"}
    assert shown in client.mcp_servers.list()
    ((row,),) = server.query("SELECT to_json(m)::text FROM mcp_servers m WHERE id = %s", made.id)
    assert SECRET not in row
    ((before,),) = server.query("SELECT secrets FROM mcp_servers WHERE id = %s", made.id)
    # What was shown comes back, and means what it masks.
    config = _config(url, auth_token=shown.auth_token, custom_headers=shown.custom_headers)
    client.mcp_servers.update(made.id, server_name="renamed", config=config)
    ((after,),) = server.query("SELECT secrets FROM mcp_servers WHERE id = %s", made.id)
    assert after == before
    changed = client.mcp_servers.update(made.id, config=_config(url, auth_token=None))
    assert changed.auth_token is None
    assert changed.custom_headers == shown.custom_headers
    client.mcp_servers.delete(made.id)


def test_secrets_do_not_go_to_another_address(
    server: Product, client: Letta, url: str, mcp_server: Callable[..., str]
) -> None:
    headers = {"X-Api-Key": SECRET}
    made: Any = client.mcp_servers.create(
        server_name="moving", config=_config(url, auth_token=SECRET, custom_headers=headers)
    )
    same: Any = client.mcp_servers.update(made.id, config=_config(f"{url}/"))
    assert same.auth_token == masked(SECRET), "the origin is the same"
    elsewhere = mcp_server("streamable-http")
    for given in ({"auth_token": masked(SECRET)}, {"custom_headers": made.custom_headers}):
        with pytest.raises(UnprocessableEntityError, match="another address"):
            client.mcp_servers.update(made.id, config=_config(elsewhere, **given))
    assert client.mcp_servers.retrieve(made.id).auth_token == masked(SECRET)
    moved: Any = client.mcp_servers.update(made.id, config=_config(elsewhere))
    assert (moved.auth_token, moved.custom_headers) == (None, None)
    ((secrets,),) = server.query("SELECT secrets FROM mcp_servers WHERE id = %s", made.id)
    assert secrets is None
    new: Any = client.mcp_servers.update(made.id, config=_config(url, auth_token="of-the-new-one"))
    assert new.auth_token == masked("of-the-new-one")
    client.mcp_servers.delete(made.id)


def test_a_second_server_with_the_same_tools_has_them_under_other_names(
    client: Letta, made: Any, mcp_server: Callable[..., str]
) -> None:
    second: Any = client.mcp_servers.create(
        server_name="second", config={"mcp_server_type": "sse", "server_url": mcp_server("sse")}
    )
    tools = {tool.name: tool.id for tool in client.mcp_servers.tools.list(second.id)}
    assert {"second_add", "second_who_am_I"} <= tools.keys()
    ran = client.mcp_servers.tools.run(
        tools["second_add"], mcp_server_id=second.id, args={"a": 1, "b": 1}
    )
    assert ran.func_return == "2"
    with pytest.raises(NotFoundError):
        client.mcp_servers.tools.retrieve(tools["second_add"], mcp_server_id=made.id)
    agent = client.agents.create(model=HANDLE, tools=["second_add", "add"])
    client.mcp_servers.delete(second.id)
    left = client.agents.retrieve(agent.id, include=["agent.tools"]).tools
    assert [tool.name for tool in left if "add" in str(tool.name)] == ["add"]
    with pytest.raises(NotFoundError):
        client.mcp_servers.retrieve(second.id)
    with pytest.raises(NotFoundError):
        client.tools.retrieve(tools["second_add"])


def test_a_refresh_tells_what_changed(client: Letta, url: str, mcp_server: Any) -> None:
    made: Any = client.mcp_servers.create(server_name="changing", config=_config(url))
    assert client.mcp_servers.refresh(made.id) == {"added": [], "updated": [], "deleted": []}
    before = {tool.mcp_name: tool for tool in map(_named, client.mcp_servers.tools.list(made.id))}
    other = mcp_server("streamable-http", "--changed")
    client.mcp_servers.update(made.id, config=_config(other))
    changes: Any = client.mcp_servers.refresh(made.id)
    assert len(changes["deleted"]) == 200
    assert changes["added"] == ["changed"]
    assert changes["updated"] == ["changing_add"]
    after = {tool.mcp_name: tool for tool in map(_named, client.mcp_servers.tools.list(made.id))}
    assert after["add"].id == before["add"].id
    assert after["add"].description == "Add them up."
    client.mcp_servers.delete(made.id)


@pytest.mark.parametrize("way", ["no_list", "no_tools_at_all", "no_names", "empty"])
async def test_a_server_that_lists_nothing_takes_no_tools_from_agents(
    client: Letta, way: str
) -> None:
    async with hostile_server() as hostile:
        await asyncio.to_thread(_list_nothing, client, hostile.url, way)


def _list_nothing(client: Letta, url: str, way: str) -> None:
    made: Any = client.mcp_servers.create(server_name=way, config=_config(f"{url}/good"))
    (tool,) = _tools(client, made)
    agent = client.agents.create(model=HANDLE, include_base_tools=False, tool_ids=[tool.id])
    client.mcp_servers.update(made.id, config=_config(f"{url}/{way}"))
    with pytest.raises(APIStatusError) as raised:
        client.mcp_servers.refresh(made.id)
    assert raised.value.status_code == 502
    problem = client.mcp_servers.retrieve(made.id).to_dict()["problem"]
    assert "list of tools" in str(problem)
    assert [one.id for one in client.agents.tools.list(agent.id)] == [tool.id]
    client.mcp_servers.update(made.id, config=_config(f"{url}/good"))
    assert client.mcp_servers.refresh(made.id) == {"added": [], "updated": [], "deleted": []}
    assert client.mcp_servers.retrieve(made.id).to_dict()["problem"] is None
    client.agents.delete(agent.id)
    client.mcp_servers.delete(made.id)


class _named:  # noqa: N801
    def __init__(self, tool: Any) -> None:
        self.id, self.description = tool.id, tool.description
        self.mcp_name = tool.metadata["mcp"]["tool_name"]


def test_a_server_that_is_deleted_leaves_no_tool_behind_that_cannot_be_read(
    server: Product, client: Letta, url: str
) -> None:
    config = _config(url, auth_token="t")
    made: Any = client.mcp_servers.create(server_name="spoiled", config=config)
    bad = _tools(client, made)[0].id
    agent = client.agents.create(model=HANDLE, tool_ids=[bad])
    server.query("UPDATE tools SET metadata = '[]' WHERE id = %s", bad)
    client.mcp_servers.delete(made.id)
    assert server.query("SELECT id FROM tools WHERE mcp_server_id = %s", made.id) == []
    assert bad not in {tool.id for tool in client.agents.tools.list(agent.id)}


def test_what_cannot_be_is_refused(client: Letta, url: str, made: Any) -> None:
    def refused(config: Any, name: str = "bad") -> tuple[int, str]:
        with pytest.raises(APIStatusError) as raised:
            client.mcp_servers.create(server_name=name, config=config)
        return raised.value.status_code, str(raised.value)

    assert refused(_config(url), "example")[0] == 409
    assert refused(_config("http://169.254.169.254/mcp"))[0] == 422
    assert refused(_config("http://[::1]/mcp"))[0] == 422
    assert refused(_config("http://user:password@example.com/mcp"))[0] == 422
    assert refused(_config("file:///etc/passwd"))[0] == 422
    assert refused(_config(url, custom_headers={"Host": "x"}))[0] == 422
    assert refused(_config(url, custom_headers={"X": "a\r\nb: c"}))[0] == 422
    with pytest.raises(APIStatusError):
        client.mcp_servers.update(made.id, config=_config("http://10.0.0.1/mcp"))


def test_a_server_that_does_not_answer_is_there_with_its_problem(client: Letta) -> None:
    made: Any = client.mcp_servers.create(
        server_name="away", config=_config("http://127.0.0.1:9/mcp")
    )
    assert "cannot be reached" in made.to_dict()["problem"]
    with pytest.raises(APIStatusError) as raised:
        client.mcp_servers.refresh(made.id)
    assert raised.value.status_code == 502
    assert client.mcp_servers.tools.list(made.id) == []
    client.mcp_servers.delete(made.id)


def test_calls_that_stall_keep_no_other_agent_waiting_and_are_cancelled(
    client: Letta, made: Any, agent: AgentState
) -> None:
    tools = {tool.name: tool.id for tool in client.mcp_servers.tools.list(made.id)}
    stalled = [client.agents.create(model=HANDLE, tool_ids=[tools["stall"]]).id for _ in range(4)]
    runs = [
        client.agents.messages.create_async(id_, input=do(call("stall"), say("x"))).id
        for id_ in stalled
    ]
    eventually(lambda: all(client.runs.retrieve(id_).status == "running" for id_ in runs))
    began = time.monotonic()
    client.agents.messages.create(agent.id, input=do(say("hello")))
    assert time.monotonic() - began < 2
    for agent_id, run_id in zip(stalled, runs, strict=True):
        client.agents.messages.cancel(agent_id, run_ids=[run_id])
    eventually(lambda: all(client.runs.retrieve(id_).status == "cancelled" for id_ in runs))
    reply = client.agents.messages.create(stalled[0], input=do(say("next")))
    assert reply.stop_reason.stop_reason == "end_turn"
    assert time.monotonic() - began < 6
