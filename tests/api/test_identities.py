"""Identities, over plain HTTP: the official client of today knows how to attach them only."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from letta_client import Letta
from letta_client.types import AgentState

from o.ids import new_id
from tests.support.product import Product, eventually
from tests.support.provider import HANDLE

FOREIGN = "org-00000000-0000-4000-8000-000000000001"
PATH = "/v1/identities/"
AGE = {"key": "age", "value": 36, "type": "number"}
MAIL = {"key": "mail", "value": "ada@example.com", "type": "string"}


@pytest.fixture
def http(server: Product) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=30) as client:
        yield client


@pytest.fixture
def key() -> str:
    """What only the identities of one test are known by."""
    return new_id("key")


def made(http: httpx.Client, key: str, **fields: Any) -> Any:
    body = {"identifier_key": key, "name": "Ada", "identity_type": "user", **fields}
    answer = http.post(PATH, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def listed(http: httpx.Client, path: str, **params: Any) -> list[str]:
    answer = http.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return [one["id"] for one in answer.json()]


def test_an_identity_is_made_read_changed_and_deleted(http: httpx.Client, key: str) -> None:
    identity = made(http, key, properties=[AGE], project_id="p")
    assert identity == {
        "id": identity["id"],
        "identifier_key": key,
        "name": "Ada",
        "identity_type": "user",
        "project_id": "p",
        "agent_ids": [],
        "block_ids": [],
        "organization_id": "org-00000000-0000-4000-8000-000000000000",
        "properties": [AGE],
    }
    path = f"{PATH}{identity['id']}"
    assert http.get(path).json() == identity
    changed = http.patch(path, json={"name": "Grace", "identity_type": "org"}).json()
    assert changed == identity | {"name": "Grace", "identity_type": "org"}
    assert http.patch(path, json={"name": None, "properties": None}).json() == changed
    assert http.delete(path).json() is None
    for gone in (http.get(path), http.patch(path, json={}), http.delete(path)):
        assert gone.status_code == 404


def test_there_is_one_identity_by_a_key_in_a_project(http: httpx.Client, key: str) -> None:
    without = made(http, key)
    within = made(http, key, project_id="p")
    body = {"identifier_key": key, "name": "B", "identity_type": "user"}
    assert http.post(PATH, json=body).status_code == 409
    assert http.post(PATH, json=body | {"project_id": "p"}).status_code == 409
    from_header = http.post(PATH, json=body, headers={"X-Project-Id": "p"})
    assert from_header.status_code == 409
    other = made(http, f"{key}-other")
    renamed = http.patch(f"{PATH}{other['id']}", json={"identifier_key": key})
    assert renamed.status_code == 409
    assert sorted(listed(http, PATH, identifier_key=key)) == sorted([without["id"], within["id"]])


def test_put_makes_an_identity_once_and_then_says_what_it_is(
    http: httpx.Client, client: Letta, key: str
) -> None:
    agents = [client.agents.create(model=HANDLE).id for _ in range(2)]
    body: dict[str, Any] = {"identifier_key": key, "name": "Ada", "identity_type": "user"}
    first = http.put(PATH, json=body | {"properties": [AGE], "agent_ids": agents}).json()
    assert (first["properties"], first["agent_ids"]) == ([AGE], agents)
    second = http.put(PATH, json=body | {"properties": [MAIL], "agent_ids": agents[1:]}).json()
    assert second == first | {"properties": [MAIL], "agent_ids": agents[1:]}
    third = http.put(PATH, json=body | {"name": "Grace"}).json()
    assert third == second | {"name": "Grace"}  # what is not named stays
    assert listed(http, PATH, identifier_key=key) == [first["id"]]


def test_who_puts_an_identity_at_the_same_time_finds_one(
    http: httpx.Client, client: Letta, key: str
) -> None:
    agents = [client.agents.create(model=HANDLE).id for _ in range(4)]
    body = {"identifier_key": key, "name": "Ada", "identity_type": "user"}

    def put(n: int) -> Any:
        """Whoever comes last says who has it, and everyone gives and takes it meanwhile."""
        found = http.put(PATH, json=body | {"agent_ids": agents[n % 3 : n % 3 + 2]})
        assert found.status_code == 200, found.text
        named = {"identity_ids": [found.json()["id"]] if n % 2 else []}
        changed = http.patch(f"/v1/agents/{agents[n % 4]}", json=named)
        assert changed.status_code == 200, changed.text
        return found.json()["id"]

    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(put, range(40)))) == 1
    assert len(listed(http, PATH, identifier_key=key)) == 1


def test_properties_are_added_and_replaced_by_their_keys(http: httpx.Client, key: str) -> None:
    path = f"{PATH}{made(http, key, properties=[AGE, MAIL])['id']}"
    older = AGE | {"value": 37}
    flags = [
        {"key": "kind", "value": True, "type": "boolean"},
        {"key": "home", "value": {"city": "London", "of": [1, None]}, "type": "json"},
        {"key": "size", "value": 1.5, "type": "number"},
    ]
    changed = http.put(f"{path}/properties", json=[older, *flags]).json()
    assert changed["properties"] == [older, MAIL, *flags]
    assert changed["properties"][2]["value"] is True
    patched = http.patch(path, json={"properties": [AGE]}).json()
    assert patched["properties"] == [AGE, MAIL, *flags]


def test_identities_are_listed_counted_and_paged(http: httpx.Client, key: str) -> None:
    before = http.get(f"{PATH}count").json()
    ids = [made(http, f"{key}-{n}", name=key, project_id=key)["id"] for n in range(3)]
    assert http.get(f"{PATH}count").json() >= before + 3
    assert listed(http, PATH, name=key) == ids[::-1]
    assert listed(http, PATH, project_id=key, order="asc") == ids
    assert listed(http, PATH, name=key, identity_type="org") == []
    assert listed(http, PATH, name=key, after=ids[1]) == [ids[0]]
    assert listed(http, PATH, name=key, before=ids[1], limit=1) == [ids[2]]
    http.delete(f"{PATH}{ids[1]}")  # a cursor that is gone keeps its place
    assert listed(http, PATH, name=key, after=ids[1]) == [ids[0]]
    assert http.get(PATH, params={"after": new_id("identity")}).status_code == 404
    assert http.get(PATH, params={"identity_type": "robot"}).status_code == 422


def test_agents_are_found_by_their_identities(
    http: httpx.Client, client: Letta, agent: AgentState, key: str
) -> None:
    user, org = made(http, key), made(http, f"{key}-org", identity_type="org")
    mine = client.agents.create(model=HANDLE, identity_ids=[user["id"], org["id"], user["id"]])
    client.agents.identities.attach(org["id"], agent_id=agent.id)
    client.agents.identities.attach(org["id"], agent_id=agent.id)  # again changes nothing
    agents = "/v1/agents/"
    assert listed(http, agents, identity_id=org["id"]) == [mine.id, agent.id]
    assert listed(http, agents, identifier_keys=[key]) == [mine.id]
    assert listed(http, agents, identifier_keys=[key, f"{key}-org"]) == [mine.id, agent.id]
    assert listed(http, agents, identifier_keys=[key], identity_id=org["id"]) == [mine.id]
    assert http.get(f"{agents}count", params={"identity_id": org["id"]}).json() == 2
    of_org = f"{PATH}{org['id']}/agents"
    assert listed(http, of_org) == [mine.id, agent.id]
    assert listed(http, of_org, order="asc", after=agent.id) == [mine.id]
    assert http.get(f"{PATH}{org['id']}").json()["agent_ids"] == [agent.id, mine.id]
    client.agents.identities.detach(org["id"], agent_id=mine.id)
    client.agents.identities.detach(org["id"], agent_id=mine.id)
    assert listed(http, of_org) == [agent.id]
    client.agents.delete(agent.id)
    assert listed(http, of_org) == []
    assert http.get(f"{PATH}{org['id']}").json()["agent_ids"] == []


def test_the_client_of_today_makes_and_finds_them_by_its_plain_requests(
    client: Letta, key: str
) -> None:
    """As docs/identities.md has it, since the client lost its own functions for that."""
    assert not hasattr(client, "identities")
    assert not hasattr(client, "groups")
    body = {"identifier_key": key, "name": "Caren", "identity_type": "user"}
    identity: Any = client.put(PATH, body=body, cast_to=object)
    agent = client.agents.create(model=HANDLE, identity_ids=[identity["id"]])
    assert [one.id for one in client.agents.list(identifier_keys=[key])] == [agent.id]
    query: Any = {"params": {"identifier_key": key}}
    assert client.get(PATH, cast_to=object, options=query) == [identity | {"agent_ids": [agent.id]}]
    group: Any = client.post(
        "/v1/groups/", body={"agent_ids": [agent.id], "description": key}, cast_to=object
    )
    assert group["agent_ids"] == [agent.id]
    client.delete(f"/v1/groups/{group['id']}", cast_to=object)


def test_an_agent_shows_its_identities_to_who_asks_for_them(
    http: httpx.Client, client: Letta, key: str
) -> None:
    first, second = made(http, key, properties=[AGE]), made(http, f"{key}-2")
    agent = client.agents.create(model=HANDLE, identity_ids=[second["id"], first["id"]])
    assert [one.id for one in agent.identities or ()] == [first["id"], second["id"]]
    assert agent.identity_ids == [first["id"], second["id"]]
    silent = client.agents.retrieve(agent.id)
    assert (silent.identities, silent.identity_ids) == ([], [])
    asked = client.agents.retrieve(agent.id, include=["agent.identities"])
    assert [one.identifier_key for one in asked.identities or ()] == [key, f"{key}-2"]
    older = http.get(f"/v1/agents/{agent.id}", headers={"user-agent": "letta-client/0.9"}).json()
    assert older["identity_ids"] == [first["id"], second["id"]]
    changed = client.agents.update(agent.id, identity_ids=[second["id"]])
    assert changed.identity_ids == [second["id"]]
    assert client.agents.update(agent.id, name="same").identity_ids == [second["id"]]
    assert client.agents.update(agent.id, identity_ids=[]).identity_ids == []
    assert http.get(f"{PATH}{first['id']}").json()["agent_ids"] == []


def test_blocks_are_found_by_their_identities(http: httpx.Client, client: Letta, key: str) -> None:
    block = client.blocks.create(label="human", value="x").id
    identity = made(http, key, block_ids=[block])
    of_it, path = f"{PATH}{identity['id']}/blocks", f"/v1/blocks/{block}/identities"
    assert identity["block_ids"] == listed(http, of_it) == [block]
    assert listed(http, "/v1/blocks/", identifier_keys=[key]) == [block]
    assert listed(http, "/v1/blocks/", identity_id=new_id("identity")) == []
    assert http.patch(f"{path}/detach/{identity['id']}").status_code == 200
    assert listed(http, of_it) == []
    for _ in range(2):
        assert http.patch(f"{path}/attach/{identity['id']}").status_code == 200
    assert listed(http, "/v1/blocks/", identity_id=identity["id"]) == [block]
    client.blocks.delete(block)
    assert http.get(f"{PATH}{identity['id']}").json()["block_ids"] == []


def test_nothing_is_stored_where_one_of_the_agents_or_blocks_is_not_there(
    http: httpx.Client, agent: AgentState, key: str
) -> None:
    body: dict[str, Any] = {"identifier_key": key, "name": "Ada", "identity_type": "user"}
    for wrong in (
        {"agent_ids": [agent.id, new_id("agent")]},
        {"block_ids": [new_id("block")]},
    ):
        assert http.post(PATH, json=body | wrong).status_code == 404
        assert http.put(PATH, json=body | wrong).status_code == 404
    assert listed(http, PATH, identifier_key=key) == []
    path = f"/v1/agents/{agent.id}"
    assert http.patch(path, json={"identity_ids": [new_id("identity")]}).status_code == 404
    nobody = new_id("identity")
    for verb in ("attach", "detach"):
        assert http.patch(f"{path}/identities/{verb}/{nobody}").status_code == 404
    made_with = {"model": HANDLE, "name": key, "identity_ids": [nobody]}
    assert http.post("/v1/agents/", json=made_with).status_code == 404
    assert listed(http, "/v1/agents/", name=key) == []


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"identifier_key": None}, 422),
        ({"identifier_key": "k" * 401}, 422),
        ({"identifier_key": "nul\0"}, 422),  # made storable, it could be another's
        ({"identifier_key": "half \ud800"}, 422),
        ({"name": "nul \0 and half \ud800"}, 200),
        ({"name": "n" * 2_001}, 422),
        ({"identity_type": "robot"}, 422),
        ({"identity_type": "other"}, 200),
        ({"properties": [{"key": "a", "type": "string"}]}, 422),
        ({"properties": [{"key": "a", "value": None, "type": "string"}]}, 422),
        ({"properties": [{"key": "a", "value": [1], "type": "json"}]}, 422),
        ({"properties": [{"key": "\0", "value": {"\0": "\ud800"}, "type": "json"}]}, 200),
        ({"properties": [{"key": "a", "value": 10**400, "type": "number"}]}, 200),
        ({"properties": [{"key": "a", "value": float("nan"), "type": "number"}]}, 422),
        ({"properties": [MAIL, MAIL | {"value": "last"}]}, 200),
        ({"properties": {"mail": "x"}}, 422),
        ({"agent_ids": ["agent-1"]}, 404),
        ({"project_id": "p" * 201}, 422),
        ({"unknown": 1}, 200),
    ],
)
def test_what_breaks_the_schema_is_refused_and_text_is_made_storable(
    http: httpx.Client, key: str, fields: dict[str, Any], status: int
) -> None:
    body = {"identifier_key": key, "name": "Ada", "identity_type": "user", **fields}
    content, headers = json.dumps(body).encode(), {"content-type": "application/json"}
    for method in ("POST", "PUT"):
        answer = http.request(method, PATH, content=content, headers=headers)
        assert answer.status_code == status, answer.text


def test_another_organizations_identity_is_not_there(
    http: httpx.Client, server: Product, agent: AgentState, key: str
) -> None:
    identity = made(http, key, agent_ids=[agent.id])
    server.query(
        "INSERT INTO organizations (id, name) VALUES (%s, 'o') ON CONFLICT DO NOTHING", FOREIGN
    )
    move = "UPDATE identities SET organization_id = %s WHERE id = %s"
    server.query(move, FOREIGN, identity["id"])
    path = f"{PATH}{identity['id']}"
    of_agent = f"/v1/agents/{agent.id}/identities"
    requests: list[tuple[str, str, Any]] = [
        ("GET", path, None),
        ("PATCH", path, {"name": "taken"}),
        ("DELETE", path, None),
        ("PUT", f"{path}/properties", [AGE]),
        ("GET", f"{path}/agents", None),
        ("GET", f"{path}/blocks", None),
        ("PATCH", f"{of_agent}/attach/{identity['id']}", None),
        ("PATCH", f"{of_agent}/detach/{identity['id']}", None),
        ("PATCH", f"/v1/agents/{agent.id}", {"identity_ids": [identity["id"]]}),
    ]
    for method, where, body in requests:
        assert http.request(method, where, json=body).status_code == 404, (method, where)
    assert listed(http, PATH, identifier_key=key) == []
    assert listed(http, "/v1/agents/", identifier_keys=[key]) == []
    mine = made(http, key)  # the same key, in another organization
    assert http.put(PATH, json={k: mine[k] for k in ("identifier_key", "name", "identity_type")})


def test_an_agent_that_is_purged_leaves_its_identities_behind(
    http: httpx.Client, client: Letta, server: Product, key: str
) -> None:
    agent = client.agents.create(model=HANDLE)
    identity = made(http, key, agent_ids=[agent.id])
    client.agents.delete(agent.id)
    rows = "SELECT 1 FROM agent_identities WHERE agent_id = %s"
    eventually(lambda: not server.query(rows, agent.id), what="the purge")
    assert http.get(f"{PATH}{identity['id']}").json() == identity | {"agent_ids": []}
