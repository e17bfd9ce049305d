"""Tools of one's own at agents: given by name and id, shown to the model, renamed, taken away."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from letta_client import APIStatusError, Letta
from letta_client.types import AgentState

from o.ids import new_id
from tests.support.product import Product
from tests.support.provider import HANDLE, FakeProvider, call, do, say
from tests.support.tools import fresh_name, make_tool, schema_of, source_of

_WITH_TOOLS: Any = ["agent.tools"]


def names(client: Letta, agent_id: str) -> list[str | None]:
    agent = client.agents.retrieve(agent_id, include=_WITH_TOOLS)
    shown = [tool.name for tool in agent.tools]
    listed = [tool.name for tool in client.agents.tools.list(agent_id, order="asc", limit=100)]
    assert shown == listed
    return shown


def told(client: Letta, provider: FakeProvider, agent_id: str) -> dict[str, Any]:
    """What the model is told of the agent's tools in a turn, by name."""
    before = len(provider.requests)
    client.agents.messages.create(agent_id, input="hello")
    (request,) = provider.requests[before:]
    return {tool["function"]["name"]: tool["function"] for tool in request.get("tools", [])}


def rules(client: Letta, agent_id: str) -> list[dict[str, Any]]:
    return [rule.to_dict() for rule in client.agents.retrieve(agent_id).tool_rules or []]


def test_an_agent_is_made_with_tools_by_name_and_by_id_and_shows_them_whole(client: Letta) -> None:
    named, by_id = make_tool(client), make_tool(client)
    agent = client.agents.create(
        model=HANDLE,
        include_base_tools=False,
        tools=[str(named.name), "memory_insert", str(named.name)],
        tool_ids=[by_id.id, named.id],
    )
    assert [tool.name for tool in agent.tools] == [named.name, "memory_insert", by_id.name]
    again = client.agents.retrieve(agent.id, include=_WITH_TOOLS)
    assert again.tools == agent.tools
    assert (again.tools[0], again.tools[2]) == (named, by_id)
    assert client.agents.retrieve(agent.id).tools == [], "unless it is asked for"
    (listed,) = client.agents.list(name=agent.name, include=_WITH_TOOLS)
    assert listed.tools == agent.tools
    assert names(client, agent.id) == [named.name, "memory_insert", by_id.name]


@pytest.mark.parametrize(
    ("given", "status", "words"),
    [
        ({"tools": ["memory_insert", "nothing", "none"]}, 400, "Tools not found by name: "),
        ({"tool_ids": [new_id("tool")]}, 404, "not found"),
        ({"tool_ids": ["nothing"]}, 404, "not found"),
    ],
)
def test_tools_that_are_not_there_are_named_in_the_error(
    client: Letta, agent: AgentState, given: dict[str, Any], status: int, words: str
) -> None:
    with pytest.raises(APIStatusError) as refusal:
        client.agents.create(model=HANDLE, **given)
    assert refusal.value.status_code == status
    assert words in str(refusal.value)
    if "tool_ids" in given:
        with pytest.raises(APIStatusError) as refusal:
            client.agents.update(agent.id, **given)
        assert refusal.value.status_code == status


def test_the_tools_of_others_cannot_be_had(
    client: Letta, server: Product, agent: AgentState
) -> None:
    tool, other = make_tool(client), new_id("org")
    server.query("INSERT INTO organizations (id, name) VALUES (%s, 'o')", other)
    server.query("UPDATE tools SET organization_id = %s WHERE id = %s", other, tool.id)
    tries: list[tuple[int, Any]] = [
        (400, lambda: client.agents.create(model=HANDLE, tools=[str(tool.name)])),
        (404, lambda: client.agents.create(model=HANDLE, tool_ids=[tool.id])),
        (404, lambda: client.agents.update(agent.id, tool_ids=[tool.id])),
        (404, lambda: client.agents.tools.attach(tool.id, agent_id=agent.id)),
        (404, lambda: client.agents.tools.detach(tool.id, agent_id=agent.id)),
    ]
    for status, act in tries:
        with pytest.raises(APIStatusError) as refusal:
            act()
        assert refusal.value.status_code == status


def test_the_model_is_shown_a_tool_as_it_is_now(
    client: Letta, agent: AgentState, provider: FakeProvider
) -> None:
    tool, name = make_tool(client), fresh_name()
    assert str(tool.name) not in told(client, provider, agent.id)
    client.agents.tools.attach(tool.id, agent_id=agent.id)
    assert told(client, provider, agent.id)[str(tool.name)] == tool.json_schema
    client.tools.update(tool.id, description="Throw.")
    assert told(client, provider, agent.id)[str(tool.name)]["description"] == "Throw."
    arguments: Any = {one: {"type": "string"} for one in ("zebra", "a", "mean")}
    client.tools.update(
        tool.id, source_code=f"def {name}(): ...", json_schema=schema_of(name, **arguments)
    )
    shown = told(client, provider, agent.id)
    assert str(tool.name) not in shown
    assert list(shown[name]["parameters"]["properties"]) == list(arguments)
    preview: Any = client.post(
        f"/v1/conversations/{agent.id}/messages/preview-raw-payload",
        cast_to=object,
        body={"input": "hello"},
    )
    assert [one["function"]["name"] for one in preview["tools"]] == list(shown)
    client.tools.delete(tool.id)
    assert list(told(client, provider, agent.id)) == [n for n in shown if n != name]


def test_a_tool_is_attached_and_detached(client: Letta, agent: AgentState) -> None:
    tool = make_tool(client)
    for _ in range(2):  # the second time, nothing changes
        state = client.agents.tools.attach(tool.id, agent_id=agent.id)
        assert state is not None
        assert state.tools[-1] == tool
        assert len(state.tools) == 4
    assert client.agents.retrieve(agent.id).tool_rules == []
    for _ in range(2):
        state = client.agents.tools.detach(tool.id, agent_id=agent.id)
        assert state is not None
        assert len(state.tools) == 3


def test_a_tool_that_asks_for_approval_brings_the_rule_wherever_it_is_given(
    client: Letta, agent: AgentState
) -> None:
    tool = make_tool(client, default_requires_approval=True)
    rule = {"tool_name": tool.name, "type": "requires_approval", "prompt_template": None}
    made = client.agents.create(model=HANDLE, tool_ids=[tool.id])
    client.agents.tools.attach(tool.id, agent_id=agent.id)
    changed = client.agents.update(
        client.agents.create(model=HANDLE).id, tool_ids=[tool.id, agent.tools[0].id]
    )
    for one in (made, agent, changed):
        assert rules(client, one.id) == [rule]
    client.agents.tools.update_approval(
        str(tool.name), agent_id=agent.id, body_requires_approval=False
    )
    client.agents.tools.attach(tool.id, agent_id=agent.id)
    assert rules(client, agent.id) == [], "what is ruled afterwards stays"


def test_a_new_name_follows_to_every_agent_and_into_its_rules(client: Letta) -> None:
    tool, new = make_tool(client), fresh_name("throw")
    old = str(tool.name)

    def ruled(name: str) -> Any:
        other = "memory_insert"
        return [
            {"type": "exit_loop", "tool_name": name},
            {"type": "max_count_per_step", "tool_name": name, "max_count_limit": 2},
            {"type": "constrain_child_tools", "tool_name": other, "children": [name, other]}
            | {"child_arg_nodes": [{"name": name, "args": {"sides": 3}}]},
            {"type": "conditional", "tool_name": other, "default_child": name}
            | {"child_output_mapping": {old: name}},
            {"type": "parent_last_tool", "tool_name": name, "children": [name]},
        ]

    plain = client.agents.create(model=HANDLE, tools=[old])
    with_rules = client.agents.create(
        model=HANDLE, tool_ids=[tool.id], tool_rules=ruled(old), include_base_tools=False
    )
    without = client.agents.create(
        model=HANDLE, tool_rules=[{"type": "exit_loop", "tool_name": old}]
    )
    before = rules(client, with_rules.id)
    client.tools.update(tool.id, source_code=source_of(new))
    assert names(client, plain.id)[-1] == new
    assert names(client, with_rules.id) == [new]
    expected = client.agents.create(model=HANDLE, tool_rules=ruled(new))
    assert rules(client, with_rules.id) == rules(client, expected.id) != before
    assert [rule["tool_name"] for rule in rules(client, without.id)] == [old], "it has no such tool"


def test_a_tool_that_is_deleted_is_taken_from_every_agent(client: Letta) -> None:
    tool = make_tool(client, default_requires_approval=True)
    name = str(tool.name)
    agents = [client.agents.create(model=HANDLE, tools=[name]) for _ in range(2)]
    client.tools.delete(tool.id)
    anew = make_tool(client, name)
    for agent in agents:
        assert name not in names(client, agent.id)
        assert rules(client, agent.id) == []
        state = client.agents.tools.attach(anew.id, agent_id=agent.id)
        assert state is not None
        assert state.tools[-1].id == anew.id


def test_agents_and_tools_that_change_at_once_never_wait_for_each_other(
    client: Letta, server: Product
) -> None:
    ((before,),) = server.query("SELECT sum(deadlocks) FROM pg_stat_database")
    tools = [make_tool(client) for _ in range(2)]
    agents = [client.agents.create(model=HANDLE) for _ in range(2)]

    def act(number: int) -> int:
        tool, agent = tools[number % 2], agents[number // 2 % 2]
        other = tools[(number + 1) % 2]
        try:
            match number % 5:
                case 0:
                    client.agents.update(agent.id, tool_ids=[other.id, tool.id])
                case 1:
                    client.tools.update(tool.id, source_code=source_of(fresh_name("turn")))
                case 2:
                    client.agents.tools.attach(tool.id, agent_id=agent.id)
                case 3:
                    client.agents.create(model=HANDLE, tool_ids=[tool.id, other.id])
                case _:
                    client.agents.tools.detach(tool.id, agent_id=agent.id)
        except APIStatusError as error:
            return error.status_code
        return 200

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(act, range(40))) == {200}
    ((after,),) = server.query("SELECT sum(deadlocks) FROM pg_stat_database")
    assert after == before
    known = {client.tools.retrieve(tool.id).name for tool in tools}
    for agent in agents:
        own = [one for one in names(client, agent.id) if one not in {t.name for t in agent.tools}]
        assert set(own) <= known


def test_a_clients_tool_goes_before_one_of_the_agents(
    client: Letta, provider: FakeProvider
) -> None:
    tool = make_tool(client)
    agent = client.agents.create(model=HANDLE, tools=[str(tool.name)], include_base_tools=False)
    before = len(provider.requests)
    client.agents.messages.create(
        agent.id,
        input="hello",
        client_tools=[{"name": str(tool.name), "description": "Mine.", "parameters": {}}],
    )
    (request,) = provider.requests[before:]
    assert [one["function"]["description"] for one in request["tools"]] == ["Mine."]


def test_who_calls_what_is_not_there_is_told_of_the_clients_tools_too(
    client: Letta, provider: FakeProvider
) -> None:
    agent = client.agents.create(model=HANDLE, tools=["memory_insert"], include_base_tools=False)
    reply = client.agents.messages.create(
        agent.id,
        input=do(call("nothing"), say("done")),
        client_tools=[{"name": "mine", "description": "Mine.", "parameters": {}}],
    )
    (returned,) = [m for m in reply.messages if m.message_type == "tool_return_message"]
    assert "valid tools include: [memory_insert, mine]" in returned.tool_return
