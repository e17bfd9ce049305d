"""Groups of agents, over plain HTTP: the official client of today knows them no more."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from letta_client import Letta

from o.ids import new_id
from tests.support.product import Product, eventually
from tests.support.provider import HANDLE

PATH = "/v1/groups/"
FOREIGN = "org-00000000-0000-4000-8000-000000000001"


@pytest.fixture
def http(server: Product) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=30) as client:
        yield client


@pytest.fixture
def agents(client: Letta) -> list[str]:
    return [client.agents.create(model=HANDLE, memory_blocks=[]).id for _ in range(3)]


def made(http: httpx.Client, agent_ids: list[str], **fields: Any) -> Any:
    answer = http.post(PATH, json={"agent_ids": agent_ids, "description": "us", **fields})
    assert answer.status_code == 200, answer.text
    return answer.json()


def listed(http: httpx.Client, path: str, **params: Any) -> list[str]:
    answer = http.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return [one["id"] for one in answer.json()]


def labels(client: Letta, agent_id: str) -> list[str | None]:
    return [one.label for one in client.agents.blocks.list(agent_id)]


def test_a_group_is_made_read_changed_and_deleted(http: httpx.Client, agents: list[str]) -> None:
    group = made(http, [agents[2], agents[0], agents[2]])
    assert group == {
        "id": group["id"],
        "manager_type": "round_robin",
        "agent_ids": [agents[2], agents[0]],
        "description": "us",
        "shared_block_ids": [],
        **dict.fromkeys(
            (
                *("project_id", "template_id", "base_template_id", "deployment_id", "hidden"),
                *("manager_agent_id", "termination_token", "max_turns", "turns_counter"),
                *("sleeptime_agent_frequency", "last_processed_message_id"),
                *("max_message_buffer_length", "min_message_buffer_length"),
            )
        ),
    }
    path = f"{PATH}{group['id']}"
    assert http.get(path).json() == group
    changes: dict[str, Any] = {
        "agent_ids": agents,
        "description": "all of us",
        "project_id": "p",
        "manager_config": {"manager_type": "round_robin", "max_turns": 3},
    }
    changed = http.patch(path, json=changes).json()
    config = changes.pop("manager_config")
    assert changed == group | changes | config
    assert http.patch(path, json=dict.fromkeys(changes)).json() == changed
    other = {"manager_config": {"manager_type": "supervisor", "manager_agent_id": agents[0]}}
    assert http.patch(path, json=other).status_code == 400
    assert http.delete(path).json() is None
    for gone in (http.get(path), http.patch(path, json={}), http.delete(path)):
        assert gone.status_code == 404


@pytest.mark.parametrize(
    ("config", "shown"),
    [
        ({"manager_type": "supervisor"}, {}),
        ({"manager_type": "dynamic"}, {"termination_token": "DONE!"}),
        ({"manager_type": "dynamic", "max_turns": 2, "termination_token": "stop"}, {}),
        ({"manager_type": "sleeptime"}, {}),
        ({"manager_type": "sleeptime", "sleeptime_agent_frequency": 5}, {"turns_counter": -1}),
        (
            {
                "manager_type": "voice_sleeptime",
                "max_message_buffer_length": 9,
                "min_message_buffer_length": 4,
            },
            {},
        ),
    ],
)
def test_what_a_manager_is_told_is_kept(
    http: httpx.Client, agents: list[str], config: dict[str, Any], shown: dict[str, Any]
) -> None:
    full = {**config, "manager_agent_id": agents[0]}
    group = made(http, agents[1:], manager_config=full)
    assert {**group, **full, **shown} == group
    without = {"agent_ids": agents, "description": "us", "manager_config": config}
    assert http.post(PATH, json=without).status_code == 422
    changes = {"manager_type": config["manager_type"], "manager_agent_id": agents[1]}
    changed = http.patch(f"{PATH}{group['id']}", json={"manager_config": changes}).json()
    assert changed == group | changes


def test_an_agent_shows_the_group_that_it_leads_and_lists_those_it_is_in(
    http: httpx.Client, client: Letta, agents: list[str]
) -> None:
    leader, *others = agents
    led = made(
        http, others, manager_config={"manager_type": "sleeptime", "manager_agent_id": leader}
    )
    plain = made(http, [others[0]])
    assert client.agents.retrieve(leader).managed_group is None
    shown: Any = client.agents.retrieve(leader, include=["agent.managed_group"])
    assert shown.managed_group.id == shown.multi_agent_group.id == led["id"]
    assert shown.managed_group.agent_ids == others
    assert client.agents.retrieve(others[0], include=["agent.managed_group"]).managed_group is None
    path = f"/v1/agents/{others[0]}/groups"
    assert listed(http, path) == [plain["id"], led["id"]]
    assert listed(http, path, manager_type="sleeptime") == [led["id"]]
    assert listed(http, path, order="asc", after=led["id"]) == [plain["id"]]
    assert listed(http, f"/v1/agents/{leader}/groups") == []


def test_groups_are_listed_counted_and_paged(http: httpx.Client, agents: list[str]) -> None:
    project = new_id("project")
    before = http.get(f"{PATH}count").json()
    ids = [made(http, agents, project_id=project)["id"] for _ in range(3)]
    hidden = made(http, agents, project_id=project, hidden=True)["id"]
    assert http.get(f"{PATH}count").json() >= before + 3
    assert listed(http, PATH, project_id=project) == ids
    assert listed(http, PATH, project_id=project, order="desc", limit=2) == ids[:0:-1]
    assert listed(http, PATH, project_id=project, show_hidden_groups=True) == [*ids, hidden]
    assert listed(http, PATH, project_id=project, manager_type="dynamic") == []
    assert http.get(PATH, params={"manager_type": "robot"}).status_code == 422
    assert listed(http, PATH, project_id=project, after=ids[0]) == ids[1:]
    http.delete(f"{PATH}{ids[1]}")
    assert listed(http, PATH, project_id=project, after=ids[1]) == [ids[2]]


def test_blocks_that_a_group_shares_are_those_of_its_agents(
    http: httpx.Client, client: Letta, agents: list[str]
) -> None:
    shared, later = (client.blocks.create(label=label, value="x").id for label in ("plan", "diary"))
    group = made(http, agents[:2], shared_block_ids=[shared])
    path = f"{PATH}{group['id']}"
    assert group["shared_block_ids"] == [shared]
    assert [labels(client, one) for one in agents] == [["plan"], ["plan"], []]
    for _ in range(2):  # again changes nothing
        assert http.patch(f"{path}/blocks/attach/{later}").json() is None
    assert http.get(path).json()["shared_block_ids"] == [shared, later]
    assert sorted(map(str, labels(client, agents[0]))) == ["diary", "plan"]
    http.patch(path, json={"agent_ids": agents})  # who joins gets them
    assert sorted(map(str, labels(client, agents[2]))) == ["diary", "plan"]
    assert http.patch(f"{path}/blocks/detach/{later}").json() is None
    assert http.patch(f"{path}/blocks/detach/{later}").status_code == 404
    assert [labels(client, one) for one in agents] == [["plan"]] * 3
    assert http.patch(path, json={"shared_block_ids": []}).json()["shared_block_ids"] == []
    assert [labels(client, one) for one in agents] == [[]] * 3
    client.agents.blocks.attach(later, agent_id=agents[0])
    clash = client.blocks.create(label="diary", value="another").id
    assert http.patch(f"{path}/blocks/attach/{clash}").status_code == 409
    assert http.get(path).json()["shared_block_ids"] == []


def test_a_group_outlives_its_agents(
    http: httpx.Client, client: Letta, server: Product, agents: list[str]
) -> None:
    config = {"manager_type": "supervisor", "manager_agent_id": agents[0]}
    group = made(http, agents[1:], manager_config=config)
    for one in agents[:2]:
        client.agents.delete(one)
    left = group | {"manager_agent_id": None, "agent_ids": agents[2:]}
    assert http.get(f"{PATH}{group['id']}").json() == left
    rows = "SELECT 1 FROM agents WHERE id = ANY(%s)"
    eventually(lambda: not server.query(rows, agents[:2]), what="the purge")
    assert http.get(f"{PATH}{group['id']}").json() == left


def test_the_messages_of_a_group_are_those_of_its_agents_and_are_reset_together(
    http: httpx.Client, client: Letta, agents: list[str]
) -> None:
    outside = agents.pop()
    for one in (*agents, outside):
        client.agents.messages.create(one, input="hello")
    path = f"{PATH}{made(http, agents)['id']}"
    found = http.get(f"{path}/messages", params={"limit": 100}).json()
    told = [one["message_type"] for one in found]
    assert told.count("user_message") == told.count("system_message") == 2
    users: dict[str, Any] = {"include_return_message_types": "user_message", "limit": 1}
    newest = http.get(f"{path}/messages", params=users).json()[0]["id"]
    older = http.get(f"{path}/messages", params={**users, "after": newest}).json()[0]["id"]
    assert {newest, older} < {one["id"] for one in found}
    first = http.get(f"{path}/messages", params={**users, "order": "asc"}).json()[0]["id"]
    assert first == older
    assert http.patch(f"{path}/messages/{newest}", json={}).status_code == 405
    assert http.patch(f"{path}/reset-messages").json() is None
    left = http.get(f"{path}/messages", params={"limit": 100}).json()
    assert {one["message_type"] for one in left} == {"system_message"}
    assert len(client.agents.messages.list(outside).items) > 1


@pytest.mark.parametrize("way", ["", "/stream"])
def test_a_message_to_a_group_is_refused_in_words(
    http: httpx.Client, agents: list[str], way: str
) -> None:
    path = f"{PATH}{made(http, agents)['id']}/messages{way}"
    refused = http.post(path, json={"messages": [{"role": "user", "content": "hi"}]})
    assert refused.status_code == 501
    assert refused.headers["x-should-retry"] == "false"
    assert "one of the group's agents" in refused.json()["detail"]


def test_nothing_is_stored_where_an_agent_or_block_is_not_there(
    http: httpx.Client, agents: list[str]
) -> None:
    project = new_id("project")
    manager = {"manager_type": "supervisor", "manager_agent_id": new_id("agent")}
    body: dict[str, Any] = {"agent_ids": agents, "description": "us", "project_id": project}
    missing: list[dict[str, Any]] = [
        {"agent_ids": [new_id("agent")]},
        {"manager_config": manager},
        {"shared_block_ids": [new_id("block")]},
    ]
    for wrong in missing:
        assert http.post(PATH, json=body | wrong).status_code == 404
    for broken in ({"agent_ids": ["agent-1"]}, {"agent_ids": None}, {"description": None}):
        assert http.post(PATH, json=body | broken).status_code == 422
    assert listed(http, PATH, project_id=project) == []


def test_another_organizations_group_is_not_there(
    http: httpx.Client, server: Product, agents: list[str]
) -> None:
    group = made(http, agents)
    server.query(
        "INSERT INTO organizations (id, name) VALUES (%s, 'o') ON CONFLICT DO NOTHING", FOREIGN
    )
    server.query("UPDATE groups SET organization_id = %s WHERE id = %s", FOREIGN, group["id"])
    path = f"{PATH}{group['id']}"
    requests = [
        ("GET", path),
        ("PATCH", path),
        ("GET", f"{path}/messages"),
        ("PATCH", f"{path}/reset-messages"),
        ("PATCH", f"{path}/blocks/attach/{new_id('block')}"),
        ("PATCH", f"{path}/blocks/detach/{new_id('block')}"),
        ("DELETE", path),
    ]
    for method, where in requests:
        body: Any = {} if method == "PATCH" else None
        assert http.request(method, where, json=body).status_code == 404, (method, where)
