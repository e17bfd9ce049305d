"""Secrets of agents, variables of sandbox configurations: encrypted, and seen by tools alone."""

from types import NoneType
from typing import Any

import pytest
from letta_client import APIStatusError, Letta
from letta_client.types import AgentState

from tests.support.organizations import new_organization
from tests.support.product import Product
from tests.support.provider import HANDLE, FakeProvider, call, do, say

SECRETS = {"TOWN_KEY": "berlin-4711-ü", "PLACE": "of the agent"}
INCLUDE: Any = ["agent.secrets"]
LOOK = '''import os

def look() -> dict:
    """Look at the environment."""
    print("the key is", os.environ.get("TOWN_KEY"))
    names = ("TOWN_KEY", "PLACE", "SHARED", "LETTA_AGENT_ID")
    return {name: os.environ.get(name) for name in names} | {"left": os.environ.get("SHORT")}
'''


@pytest.fixture(scope="module")
def client(server: Product) -> Letta:
    """A client of an organization of its own, where nobody else's tests leave variables."""
    return server.client(api_key=new_organization(server, "of variables"))


def shown(client: Letta, agent_id: str, **options: Any) -> dict[str, str]:
    agent = client.agents.retrieve(agent_id, **options)
    assert agent.secrets == agent.tool_exec_environment_variables
    return {one.key: one.value for one in agent.secrets or ()}


def test_secrets_of_an_agent_are_set_changed_and_shown_to_whoever_asks(
    client: Letta, server: Product
) -> None:
    made = client.agents.create(model=HANDLE, secrets=SECRETS)
    assert {one.key: one.value for one in made.secrets or ()} == SECRETS
    assert shown(client, made.id) == {}, "only who asks for them is shown them"
    assert shown(client, made.id, include=INCLUDE) == SECRETS
    (before,) = [one for one in made.secrets or () if one.key == "PLACE"]
    client.agents.update(made.id, secrets={"PLACE": "elsewhere", "NEW": "x"})
    assert shown(client, made.id, include=INCLUDE) == {"PLACE": "elsewhere", "NEW": "x"}
    after = client.agents.retrieve(made.id, include=INCLUDE)
    assert before.id in {one.id for one in after.secrets or ()}, "what stays keeps its id"
    client.agents.update(made.id, name="without a word about secrets")
    client.agents.update(made.id, tool_exec_environment_variables={"OLDER": "name"})
    assert shown(client, made.id, include=INCLUDE) == {"OLDER": "name"}
    client.agents.update(made.id, secrets={})
    assert shown(client, made.id, include=INCLUDE) == {}
    (listed,) = client.agents.list(name=made.name, include=INCLUDE).items or [None]
    assert listed is None or listed.secrets == []


def test_nothing_that_is_stored_or_sent_to_temporal_holds_a_secret(
    client: Letta, server: Product, provider: FakeProvider
) -> None:
    tool = client.tools.upsert(source_code=LOOK)
    agent = client.agents.create(model=HANDLE, secrets=SECRETS, tool_ids=[str(tool.id)])
    reply = client.agents.messages.create(agent.id, input=do(call("look"), say("done")))
    (returned,) = [one for one in reply.messages if one.message_type == "tool_return_message"]
    told = returned.model_dump_json()
    assert "[secret TOWN_KEY]" in returned.tool_return
    assert "[secret TOWN_KEY]" in "".join(returned.stdout or ())
    ran = client.agents.tools.run("look", agent_id=agent.id, args={})
    found = [told, ran.model_dump_json(), str(provider.prompts)]
    tables = ("messages", "run_events", "worker_requests", "tool_variables", "agents")
    found += [str(server.query(f"SELECT * FROM {table}")) for table in tables]
    for place in found:
        assert SECRETS["TOWN_KEY"] not in place
        assert "berlin-4711" not in place


def delete(client: Letta, url: str) -> None:
    client.delete(url, cast_to=NoneType)


@pytest.fixture
def config_id(client: Letta) -> str:
    config: Any = client.post("/v1/sandbox-config/local/default", cast_to=object)
    return str(config["id"])


def test_variables_of_a_sandbox_configuration_reach_every_tool_and_an_agents_own_go_before(
    client: Letta, config_id: str
) -> None:
    path = f"/v1/sandbox-config/{config_id}/environment-variable"
    made: Any = [
        client.post(path, cast_to=object, body={"key": key, "value": value})
        for key, value in (("SHARED", "of-all"), ("PLACE", "of-all"), ("SHORT", "yes"))
    ]
    tool = client.tools.upsert(source_code=LOOK)
    agent = client.agents.create(
        model=HANDLE, secrets={"PLACE": "mine-alone"}, tool_ids=[str(tool.id)]
    )
    ran: Any = client.agents.tools.run("look", agent_id=agent.id, args={})
    assert '"PLACE": "[secret PLACE]"' in ran.func_return
    assert '"SHARED": "[secret SHARED]"' in ran.func_return
    assert '"left": "yes"' in ran.func_return, "what is short is in every text"
    assert agent.id in ran.func_return
    url = f"/v1/sandbox-config/environment-variable/{made[0]['id']}"
    changed: Any = client.patch(url, cast_to=object, body={"value": "changed"})
    assert (changed["key"], changed["value"]) == ("SHARED", "changed")
    listed: Any = client.get(path, cast_to=object)
    assert {one["key"]: one["value"] for one in listed}["SHARED"] == "changed"
    with pytest.raises(APIStatusError) as refused:
        client.post(path, cast_to=object, body={"key": "PLACE", "value": "again"})
    assert refused.value.status_code == 409
    for one in made:
        delete(client, f"/v1/sandbox-config/environment-variable/{one['id']}")
    left: Any = client.get(path, cast_to=object)
    assert not {one["id"] for one in made} & {one["id"] for one in left}


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_a_page_of_variables_is_full_where_some_cannot_be_decrypted(
    server: Product, client: Letta, config_id: str, order: str
) -> None:
    path = f"/v1/sandbox-config/{config_id}/environment-variable"
    ids: list[str] = []
    for number in range(6):
        made: Any = client.post(
            path, cast_to=object, body={"key": f"{order}-{number}", "value": "x"}
        )
        ids.append(made["id"])
    for bad in (*ids[:3], ids[4]):
        server.query("UPDATE tool_variables SET value = 'foreign' WHERE id = %s", bad)
    readable = [ids[3], ids[5]] if order == "asc" else [ids[5], ids[3]]

    def listed(**query: Any) -> list[str]:
        found: Any = client.get(path, cast_to=object, options={"params": {"order": order, **query}})
        return [one["id"] for one in found]

    assert listed(limit=1) == readable[:1]
    assert listed(limit=1, after=readable[0]) == readable[1:]
    assert listed(limit=2) == listed(limit=50) == readable
    assert listed(limit=1, after=readable[1]) == []
    for one in ids:
        delete(client, f"/v1/sandbox-config/environment-variable/{one}")


def test_sandbox_configurations_are_kept_one_of_each_type(client: Letta, config_id: str) -> None:
    body: Any = {"config": {"sandbox_dir": "x"}}
    made: Any = client.post("/v1/sandbox-config/", cast_to=object, body=body)
    assert (made["id"], made["type"], made["config"]) == (config_id, "local", body["config"])
    e2b: Any = client.post("/v1/sandbox-config/e2b/default", cast_to=object)
    assert e2b["type"] == "e2b"
    url = f"/v1/sandbox-config/{config_id}"
    again: Any = client.patch(url, cast_to=object, body={"config": {"use_venv": True}})
    assert again["config"] == {"use_venv": True}
    listed: Any = client.get("/v1/sandbox-config/", cast_to=object)
    assert {one["type"] for one in listed} == {"local", "e2b"}
    for one in (config_id, e2b["id"]):
        delete(client, f"/v1/sandbox-config/{one}")
    assert client.get("/v1/sandbox-config/", cast_to=object) == []
    with pytest.raises(APIStatusError) as missing:
        delete(client, url)
    assert missing.value.status_code == 404


def test_an_agent_without_secrets_is_as_before(client: Letta, agent: AgentState) -> None:
    assert agent.secrets == []
    assert shown(client, agent.id, include=INCLUDE) == {}
