"""Blocks by themselves and on agents, through the official client."""

from typing import Any

import httpx
import pytest
from letta_client import ConflictError, Letta, NotFoundError
from letta_client.types import AgentState

from o.ids import new_id
from tests.support.product import Product
from tests.support.provider import HANDLE, FakeProvider, call, do, say

FOREIGN = "org-00000000-0000-4000-8000-000000000001"
FIELDS: dict[str, Any] = {
    "label": "notes",
    "value": "one",
    "limit": 50,
    "description": "What they said",
    "read_only": True,
    "metadata": {"a": 1, "b": None},
    "tags": ["t"],
    "is_template": True,
    "template_name": "Notes",
    "project_id": "p",
    "template_id": "template",
    "base_template_id": "base",
    "deployment_id": "deployment",
    "entity_id": "entity",
    "preserve_on_migration": True,
    "hidden": True,
}


@pytest.fixture
def http(server: Product) -> httpx.Client:
    return httpx.Client(base_url=server.url, timeout=30)


@pytest.fixture
def tag() -> str:
    """A tag that only the blocks of one test have."""
    return new_id("block")


def test_a_block_is_made_read_changed_and_deleted(client: Letta, http: httpx.Client) -> None:
    block = client.blocks.create(label="human", value="")
    assert (block.limit, block.read_only, block.tags, block.metadata) == (100_000, False, [], {})
    changed = client.blocks.update(block.id, value="Ada", label="person", description="Who")
    assert (changed.value, changed.label, changed.description) == ("Ada", "person", "Who")
    assert client.blocks.retrieve(block.id) == changed
    client.blocks.delete(block.id)
    with pytest.raises(NotFoundError):
        client.blocks.retrieve(block.id)
    assert http.delete(f"/v1/blocks/{block.id}").status_code == 404


def test_every_field_is_kept_and_shown(client: Letta, http: httpx.Client) -> None:
    made = http.post("/v1/blocks/", json=FIELDS).json()
    assert {name: made[name] for name in FIELDS} == FIELDS
    assert http.get(f"/v1/blocks/{made['id']}").json() == made
    plain = client.blocks.create(label="plain", value="")
    changed = http.patch(f"/v1/blocks/{plain.id}", json=FIELDS).json()
    assert {name: changed[name] for name in FIELDS} == FIELDS
    cleared = {"description": None, "template_name": None, "hidden": None, "value": None}
    left = http.patch(f"/v1/blocks/{plain.id}", json=cleared).json()
    gone = {name: None for name in cleared if name != "value"}
    assert left == changed | gone | {"version": 3}


def test_a_read_only_block_can_be_changed_through_the_api(client: Letta) -> None:
    block = client.blocks.create(label="rules", value="one", read_only=True)
    assert client.blocks.update(block.id, value="two").value == "two"


def test_the_limit_is_shown_and_not_enforced(client: Letta) -> None:
    block = client.blocks.create(label="human", value="longer than that", limit=4)
    assert client.blocks.update(block.id, value="longer still than that").limit == 4


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, ["first", "second", "third"]),
        ({"order": "desc"}, ["third", "second", "first"]),
        ({"label": "second"}, ["second"]),
        ({"label_search": "IR"}, ["first", "third"]),
        ({"value_search": "LUE"}, ["first"]),
        ({"description_search": "about"}, ["second"]),
        ({"templates_only": True}, ["third"]),
        ({"name": "Third"}, ["third"]),
        ({"project_id": "q"}, ["third"]),
        ({"tags": ["x", "y"]}, ["first", "second"]),
        ({"tags": ["x", "y"], "match_all_tags": True}, ["first"]),
        ({"connected_to_agents_count_gt": 0}, ["second", "third"]),
        ({"connected_to_agents_count_lt": 2}, ["first", "second"]),
        ({"connected_to_agents_count_eq": [0, 2]}, ["first", "third"]),
        ({"identity_id": "identity-1"}, []),
        ({"identifier_keys": ["key"]}, []),
    ],
)
def test_lists_are_filtered(
    client: Letta, three: dict[str, str], wanted: dict[str, Any], found: list[str]
) -> None:
    listed = client.blocks.list(limit=1_000, **wanted).items
    assert [three[block.id] for block in listed if block.id in three] == found


@pytest.fixture(scope="module")
def three(client: Letta) -> dict[str, str]:
    """Labels by ids of three blocks; no agent has the first, one the second, two the third."""
    made = [
        client.blocks.create(label="first", value="blue", tags=["x", "y"]),
        client.blocks.create(label="second", value="red", description="About", tags=["x"]),
        client.blocks.create(
            label="third", value="red", is_template=True, template_name="Third", project_id="q"
        ),
    ]
    ids = [block.id for block in made]
    client.agents.create(model=HANDLE, block_ids=ids[1:])
    client.agents.create(model=HANDLE, block_ids=ids[2:])
    gone = client.agents.create(model=HANDLE, block_ids=ids)
    client.agents.delete(gone.id)
    return {block.id: str(block.label) for block in made}


def test_counts_take_filters_and_pages_go_on(client: Letta, http: httpx.Client, tag: str) -> None:
    made = [client.blocks.create(label="l", value=str(n), tags=[tag]).id for n in range(5)]
    assert http.get("/v1/blocks/count", params={"tags": tag}).json() == 5
    assert http.get("/v1/blocks/count", params={"tags": tag, "label": "m"}).json() == 0
    assert [block.id for block in client.blocks.list(tags=[tag], limit=2)] == made
    descending = client.blocks.list(tags=[tag], limit=2, order="desc")
    assert [block.id for block in descending] == made[::-1]
    before = client.blocks.list(tags=[tag], before=made[2]).items
    assert [block.id for block in before] == made[:2]
    with pytest.raises(NotFoundError):
        client.blocks.list(after=new_id("block"))


def test_hidden_blocks_are_left_out_of_lists_only(
    client: Letta, http: httpx.Client, tag: str
) -> None:
    block = client.blocks.create(label="l", value="", tags=[tag], hidden=True)
    assert client.blocks.list(tags=[tag]).items == []
    params: dict[str, Any] = {"tags": tag, "show_hidden_blocks": True}
    assert [one["id"] for one in http.get("/v1/blocks/", params=params).json()] == [block.id]
    assert client.blocks.retrieve(block.id).hidden is True


def test_a_block_is_attached_and_detached(client: Letta, agent: AgentState) -> None:
    block = client.blocks.create(label="notes", value="x")
    for _ in range(2):  # the second time, nothing happens
        attached = client.agents.blocks.attach(block.id, agent_id=agent.id)
        assert [b.label for b in attached.blocks] == ["persona", "human", "notes"]
    assert [one.id for one in client.blocks.agents.list(block.id)] == [agent.id]
    detached = client.agents.blocks.detach(block.id, agent_id=agent.id)
    assert [b.label for b in detached.blocks] == ["persona", "human"]
    assert client.blocks.agents.list(block.id).items == []
    assert client.blocks.retrieve(block.id).value == "x"
    with pytest.raises(NotFoundError):
        client.agents.blocks.detach(block.id, agent_id=agent.id)
    for unknown in ((new_id("block"), agent.id), (block.id, new_id("agent"))):
        with pytest.raises(NotFoundError):
            client.agents.blocks.attach(unknown[0], agent_id=unknown[1])


def test_all_blocks_of_an_agent_come_in_one_piece_too(
    client: Letta, http: httpx.Client, agent: AgentState
) -> None:
    memory = http.get(f"/v1/agents/{agent.id}/core-memory").json()
    listed = http.get(f"/v1/agents/{agent.id}/core-memory/blocks?order=asc").json()
    assert [block["label"] for block in memory["blocks"]] == ["persona", "human"]
    assert memory == {
        "agent_type": agent.agent_type,
        "git_enabled": False,
        "blocks": listed,
        "file_blocks": [],
        "prompt_template": "",
    }
    assert http.get(f"/v1/agents/{new_id('agent')}/core-memory").status_code == 404


def test_an_agent_has_one_block_of_a_label(client: Letta, agent: AgentState) -> None:
    block = client.blocks.create(label="human", value="x")
    with pytest.raises(ConflictError):
        client.agents.blocks.attach(block.id, agent_id=agent.id)
    other = client.blocks.create(label="other", value="x")
    client.agents.blocks.attach(other.id, agent_id=agent.id)
    with pytest.raises(ConflictError):
        client.blocks.update(other.id, label="human", value="lost")
    with pytest.raises(ConflictError):
        client.agents.update(agent.id, block_ids=[block.id, agent.blocks[1].id])
    assert client.agents.blocks.retrieve("other", agent_id=agent.id).value == "x"
    changed = client.agents.blocks.update("other", agent_id=agent.id, label="third")
    assert changed.id == other.id
    assert client.agents.blocks.retrieve("third", agent_id=agent.id).value == "x"


def test_a_shared_block_is_the_same_for_every_agent(client: Letta, provider: FakeProvider) -> None:
    block = client.blocks.create(label="shared", value="old")
    one, two = (client.agents.create(model=HANDLE, block_ids=[block.id]) for _ in range(2))
    shown = client.blocks.agents.list(block.id, order="asc", limit=1)
    assert [agent.id for agent in shown] == [one.id, two.id]
    assert shown.items[0].blocks == []
    listed = client.blocks.agents.list(block.id, include=["agent.blocks"]).items
    assert [agent.blocks[0].id for agent in listed] == [block.id, block.id]
    edit = call("memory_replace", label="shared", old_string="old", new_string="by a tool")
    client.agents.messages.create(one.id, input=do(edit, say("ok")))
    assert client.blocks.retrieve(block.id).value == "by a tool"
    for agent, text in ((one, "hello one"), (two, "hello two")):
        client.agents.messages.create(agent.id, input=text)
        assert "<value>\nby a tool\n</value>" in provider.prompts[-1][0]["content"]


def test_an_edit_reaches_the_next_turn_of_every_agent_that_has_the_block(
    client: Letta, provider: FakeProvider
) -> None:
    block = client.blocks.create(label="shared", value="old")
    agents = [client.agents.create(model=HANDLE, block_ids=[block.id]) for _ in range(2)]
    client.blocks.update(block.id, value="my name is Grace", limit=77, read_only=True)
    for agent in agents:
        client.agents.messages.create(agent.id, input="who am I?")
        system = provider.prompts[-1][0]["content"]
        for part in ("my name is Grace", "- chars_limit=77", "- read_only=true"):
            assert part in system
    client.blocks.delete(block.id)
    client.agents.messages.create(agents[0].id, input="and now?")
    assert "<shared>" not in provider.prompts[-1][0]["content"]
    assert client.agents.retrieve(agents[0].id, include=["agent.blocks"]).blocks == []


def test_a_deleted_agents_blocks_stay(client: Letta) -> None:
    agent = client.agents.create(model=HANDLE, memory_blocks=[{"label": "a", "value": "x"}])
    client.agents.delete(agent.id)
    block_id = str(agent.blocks[0].id)
    assert client.blocks.retrieve(block_id).value == "x"
    assert client.blocks.agents.list(block_id).items == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"label": "x"}, 422),
        ({"value": "x"}, 422),
        ({"label": "", "value": "x"}, 422),
        ({"label": "x", "value": "y", "limit": 0}, 422),
        ({"label": "x", "value": "y", "metadata": []}, 422),
        ({"label": "x", "value": "nul \0"}, 200),
    ],
)
def test_a_body_that_breaks_the_schema_is_refused(
    http: httpx.Client, body: dict[str, Any], status: int
) -> None:
    answer = http.post("/v1/blocks/", json=body)
    assert answer.status_code == status
    assert status == 200 or isinstance(answer.json()["detail"], str)


def test_a_malformed_id_is_422_with_an_example(http: httpx.Client) -> None:
    answer = http.get("/v1/blocks/block-1")
    assert answer.status_code == 422
    assert answer.json()["examples"][0].startswith("block-")


def test_a_block_of_another_organization_is_not_there(
    client: Letta, server: Product, http: httpx.Client, agent: AgentState
) -> None:
    block = client.blocks.create(label="theirs", value="secret")
    server.query(
        "INSERT INTO organizations (id, name) VALUES (%s, 'o') ON CONFLICT DO NOTHING", FOREIGN
    )
    server.query("UPDATE blocks SET organization_id = %s WHERE id = %s", FOREIGN, block.id)
    path = f"/v1/blocks/{block.id}"
    attach = f"/v1/agents/{agent.id}/core-memory/blocks/attach/{block.id}"
    requests: list[tuple[str, str, Any]] = [
        ("GET", path, None),
        ("PATCH", path, {"value": "taken"}),
        ("PATCH", path, {}),
        ("DELETE", path, None),
        ("GET", f"{path}/agents", None),
        ("PATCH", attach, None),
        ("PATCH", f"/v1/agents/{agent.id}", {"block_ids": [block.id]}),
        ("GET", f"/v1/blocks/?after={block.id}", None),
    ]
    for method, url, body in requests:
        assert http.request(method, url, json=body).status_code == 404, (method, url)
    assert block.id not in http.get("/v1/blocks/?limit=1000").text
    assert server.query("SELECT value FROM blocks WHERE id = %s", block.id) == [("secret",)]
