"""Tools of V1: they keep their ids, their source is not run, and agents call them."""

from pathlib import Path
from typing import Any

from letta_client import Letta

from tests.letta_v1.moving import Import, line, news, told
from tests.letta_v1.rows import V1
from tests.support.product import Product
from tests.support.provider import call, do, say

SCHEMA = {
    "name": "add_numbers",
    "description": "Add two numbers.",
    "parameters": {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "required": ["a", "b"],
    },
}
HEARTBEAT = {"request_heartbeat": {"type": "boolean", "description": "Go on?"}}


def source(name: str, body: str = "return 'x'", arguments: str = "") -> str:
    return f'def {name}({arguments}) -> str:\n    """Do it."""\n    {body}\n'


def schema(name: str, **properties: Any) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties, "required": sorted(properties)}
    return {"name": name, "description": "Do it.", "parameters": parameters}


def parameters_of(client: Letta, tool_id: str) -> dict[str, Any]:
    shown: dict[str, Any] = client.tools.retrieve(tool_id).to_dict()
    found: dict[str, Any] = shown["json_schema"]["parameters"]
    return found


def test_an_agent_calls_the_tool_that_it_had(v1: V1, moved: Import, client: Letta) -> None:
    tool = v1.add(
        "tools",
        name="add_numbers",
        source_code=source("add_numbers", "return 'sum=' + str(a + b)", "a: int, b: int"),
        json_schema=SCHEMA,
        tags=["math"],
    )
    agent = v1.add_agent("adder")
    v1.add("tools_agents", agent_id=agent, tool_id=tool)
    moved()
    stored = client.tools.retrieve(tool)
    assert (stored.name, stored.source_type, stored.tags) == ("add_numbers", "python", ["math"])
    assert [one.id for one in client.agents.tools.list(agent)] == [tool]
    reply = client.agents.messages.create(agent, input=do(call("add_numbers", a=5, b=6), say("ok")))
    returned = [one for one in reply.messages if one.message_type == "tool_return_message"]
    assert [one.tool_return for one in returned] == ["sum=11"]


def test_no_source_is_run_or_imported(v1: V1, moved: Import, client: Letta, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    code = f"open({str(mark)!r}, 'w').write('x')\n{source('sly')}"
    tool = v1.add("tools", name="sly", source_code=code, json_schema=None)
    moved()
    assert not mark.exists()
    schema = client.tools.retrieve(tool).json_schema
    assert schema is not None
    assert schema["name"] == "sly", "read from the syntax tree"


def test_what_cannot_be_run_is_kept_and_says_why(v1: V1, moved: Import, client: Letta) -> None:
    agent = v1.add_agent("of old tools")
    tools = {
        "composio": v1.add(
            "tools",
            name="github_star",
            tool_type="external_composio",
            source_code=None,
            json_schema=schema("github_star", repo={"type": "string"}),
        ),
        "typescript": v1.add(
            "tools",
            name="shout",
            source_type="typescript",
            source_code="export function shout() {}",
            json_schema=schema("shout"),
        ),
        "broken": v1.add("tools", name="broken", source_code="def (", json_schema=None),
    }
    for tool in tools.values():
        v1.add("tools_agents", agent_id=agent, tool_id=tool)
    result = moved()
    assert news(result, "tools") == 3
    assert {one.id for one in client.agents.tools.list(agent)} == set(tools.values())
    for tool in tools.values():
        assert told(result, tool)
    shown: dict[str, Any] = client.tools.retrieve(tools["composio"]).to_dict()
    assert "external_composio" in shown["problem"]
    reply = client.agents.messages.create(agent, input=do(call("github_star", repo="x"), say("ok")))
    (returned,) = [one for one in reply.messages if one.message_type == "tool_return_message"]
    assert returned.status == "error"


def test_names_that_cannot_be_are_left_out_and_told(v1: V1, moved: Import) -> None:
    left = [
        v1.add("tools", name="größe", source_code=source("größe"), json_schema=schema("größe")),
        v1.add("tools", name="memory_insert", source_code=source("x"), json_schema=schema("x")),
        v1.add("tools", name="x" * 65, source_code=source("x"), json_schema=schema("x")),
        v1.add("tools", name="search_memory", tool_type="letta_voice_sleeptime_core"),
    ]
    v1.add("tools", name="soft", is_deleted=True, source_code=source("soft"))
    v1.add("tools", name="send_message", tool_type="letta_core")
    result = moved()
    assert (news(result, "tools"), line(result, "tools")["unexplained"]) == (0, 0)
    for one in left:
        assert "left out" in told(result, one)


def test_a_tool_by_the_same_name_here_is_the_one_that_agents_use(
    v1: V1, moved: Import, client: Letta
) -> None:
    here = client.tools.create(source_code=source("both_have"))
    there = v1.add(
        "tools",
        name="both_have",
        source_code=source("both_have", "return 'there'"),
        json_schema=schema("both_have"),
    )
    agent = v1.add_agent("of both")
    v1.add("tools_agents", agent_id=agent, tool_id=there)
    result = moved()
    assert "by its name is here" in told(result, there)
    assert [one.id for one in client.agents.tools.list(agent)] == [here.id]
    assert client.tools.retrieve(here.id).source_code == source("both_have")


def test_what_v1_put_into_schemas_for_its_loops_is_taken_out_of_them(
    v1: V1, moved: Import, client: Letta, server: Product
) -> None:
    mcp = v1.add(
        "mcp_server",
        id="mcp_server-55555555-5555-4555-8555-555555555555",
        server_name="of tools",
        server_type="sse",
        server_url="https://sse.example.com/sse",
    )
    given = schema("reverse_it", text={"type": "string"}, **HEARTBEAT)
    remote = v1.add(
        "tools",
        name="reverse_it",
        tool_type="external_mcp",
        source_type="python",
        source_code="def reverse_it(**kwargs): raise RuntimeError()",
        json_schema=given,
        tags=["mcp:of tools"],
    )
    v1.add("mcp_tools", mcp_server_id=mcp, tool_id=remote)
    own = v1.add(
        "tools",
        name="beats",
        source_code=source("beats", arguments="request_heartbeat: bool"),
        json_schema=schema("beats", **HEARTBEAT),
    )
    moved()
    parameters = parameters_of(client, remote)
    assert (set(parameters["properties"]), parameters["required"]) == ({"text"}, ["text"])
    assert [one.id for one in client.mcp_servers.tools.list(mcp)] == [remote]
    parameters = parameters_of(client, own)
    assert set(parameters["properties"]) == {"request_heartbeat"}, "its own"
    server.query("DELETE FROM mcp_servers WHERE id = %s", mcp)


def test_schemas_of_any_form_hurt_nobody(v1: V1, moved: Import, client: Letta) -> None:
    forms: list[Any] = [
        [],
        "text",
        {"parameters": []},
        {"parameters": {"properties": []}},
        {"name": 1, "description": None, "parameters": {"required": "x"}},
        {"description": "\ud800 lone", "parameters": None},
    ]
    for n, form in enumerate(forms):
        name = f"form_{n}"
        v1.add("tools", name=name, source_code=source(name), json_schema=form)
    result = moved()
    assert news(result, "tools") == len(forms)
    listed = {one.name: one for one in client.tools.list(limit=1000)}
    for n in range(len(forms)):
        shown = parameters_of(client, listed[f"form_{n}"].id)
        assert shown["type"] == "object"
