"""Archives by themselves and on agents, through the official client."""

import json
from typing import Any

import httpx
import pytest
from letta_client import Letta, NotFoundError
from letta_client.types import AgentState

from o.ids import new_id
from tests.support.product import Product, eventually
from tests.support.provider import HANDLE

FOREIGN = "org-00000000-0000-4000-8000-000000000001"


@pytest.fixture
def http(server: Product) -> httpx.Client:
    return httpx.Client(base_url=server.url, timeout=30)


@pytest.fixture
def name() -> str:
    """What only the archives of one test are called."""
    return new_id("archive")


def purged(server: Product, table: str, column: str, id_: str) -> None:
    """Wait until the rows are not only hidden, but gone."""
    rows = f"SELECT 1 FROM {table} WHERE {column} = %s LIMIT 1"
    eventually(lambda: not server.query(rows, id_), what="the purge")


def test_an_archive_is_made_read_changed_and_deleted(client: Letta, name: str) -> None:
    archive = client.archives.create(name=name)
    assert (archive.name, archive.description, archive.embedding_config) == (name, None, None)
    assert (archive.metadata, archive.vector_db_provider) == (None, "native")
    assert client.archives.retrieve(archive.id) == archive
    changed = client.archives.update(archive.id, description="Where we were")
    assert (changed.name, changed.description) == (name, "Where we were")
    assert client.archives.update(archive.id, name=f"{name} anew").name == f"{name} anew"
    client.archives.delete(archive.id)
    for gone in (client.archives.retrieve, client.archives.update, client.archives.delete):
        with pytest.raises(NotFoundError):
            gone(archive.id)


@pytest.mark.parametrize("handle", ["openai/text-embedding-3-large", "nobody/knows-it", "odd"])
def test_any_embedding_model_is_kept_as_it_was_named(
    client: Letta, http: httpx.Client, handle: str
) -> None:
    archive = client.archives.create(name="named", embedding=handle)
    config: Any = archive.embedding_config
    assert config.handle == handle
    assert config.embedding_dim > 0
    kept = http.get(f"/v1/archives/{archive.id}").json()["embedding_config"]
    assert kept["handle"] == handle


@pytest.mark.parametrize("dimension", [64, 1_536, 4_096])
def test_an_older_client_names_the_model_by_its_configuration(
    client: Letta, dimension: int
) -> None:
    archive = client.archives.create(
        name="older",
        embedding_config={
            "embedding_endpoint_type": "openai",
            "embedding_model": "mine",
            "embedding_dim": dimension,
        },
    )
    config: Any = archive.embedding_config
    assert (config.handle, config.embedding_dim) == ("openai/mine", dimension)


def test_null_clears_a_description_and_leaves_a_name(http: httpx.Client, name: str) -> None:
    made = http.post("/v1/archives/", json={"name": name, "description": "x"}).json()
    left = http.patch(f"/v1/archives/{made['id']}", json={"name": None, "description": None})
    assert (left.json()["name"], left.json()["description"]) == (name, None)


def test_archives_are_listed_by_name_agent_and_page(
    client: Letta, agent: AgentState, name: str
) -> None:
    made = [client.archives.create(name=name).id for _ in range(3)]
    assert [one.id for one in client.archives.list(name=name)] == made[::-1]
    assert [one.id for one in client.archives.list(name=name, order="asc", limit=1)] == made
    assert [one.id for one in client.archives.list(name=name, after=made[1]).items] == [made[0]]
    assert [one.id for one in client.archives.list(name=name, before=made[1]).items] == [made[2]]
    client.agents.archives.attach(made[1], agent_id=agent.id)
    assert [one.id for one in client.archives.list(agent_id=agent.id)] == [made[1]]
    assert client.archives.list(agent_id=new_id("agent")).items == []
    with pytest.raises(NotFoundError):
        client.archives.list(after=new_id("archive"))


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_archives_are_deleted_as_they_are_listed(
    client: Letta, server: Product, name: str, order: Any
) -> None:
    made = {client.archives.create(name=name).id for _ in range(4)}
    for archive in client.archives.list(name=name, limit=1, order=order):
        made.remove(archive.id)
        client.archives.delete(archive.id)
        purged(server, "archives", "id", archive.id)
    assert made == set()


def test_an_archive_is_shared_attached_and_detached(
    client: Letta, http: httpx.Client, agent: AgentState
) -> None:
    other = client.agents.create(model=HANDLE)
    archive = client.archives.create(name="shared")
    passage = client.archives.passages.create(archive.id, text="known to both")
    for one in (agent, other, agent):  # the third time, nothing happens
        client.agents.archives.attach(archive.id, agent_id=one.id)
    holders = http.get(f"/v1/archives/{archive.id}/agents").json()
    assert [one["id"] for one in holders] == [other.id, agent.id]
    for one in (agent, other):
        assert [p.id for p in client.agents.passages.list(one.id)] == [passage.id]
    for _ in range(2):
        client.agents.archives.detach(archive.id, agent_id=agent.id)
    assert client.agents.passages.list(agent.id) == []
    assert [p.id for p in client.agents.passages.list(other.id)] == [passage.id]
    client.archives.delete(archive.id)
    assert client.agents.passages.list(other.id) == []
    with pytest.raises(NotFoundError):
        client.agents.archives.attach(archive.id, agent_id=agent.id)


def test_a_deleted_archive_goes_with_its_passages_a_moment_later(
    client: Letta, server: Product
) -> None:
    archive = client.archives.create(name="large")
    texts: Any = [{"text": f"passage {n}", "tags": [f"t{n % 3}"]} for n in range(1_000)]
    client.archives.passages.create_many(archive.id, passages=texts)
    client.archives.delete(archive.id)
    for table in ("archive_tags", "passages", "archives"):
        column = "id" if table == "archives" else "archive_id"
        purged(server, table, column, archive.id)


def test_a_deleted_agents_own_archive_goes_and_those_it_shares_stay(
    client: Letta, server: Product
) -> None:
    mine, shared = (client.agents.create(model=HANDLE) for _ in range(2))
    given = client.archives.create(name="given")
    for agent in (mine, shared):
        client.agents.passages.create(agent.id, text="kept by the agent")
    own, lent = (client.archives.list(agent_id=agent.id).items[0].id for agent in (mine, shared))
    client.agents.archives.attach(given.id, agent_id=mine.id)
    client.agents.archives.attach(lent, agent_id=mine.id)
    for agent in (shared, mine):
        client.agents.delete(agent.id)
    with pytest.raises(NotFoundError):
        client.archives.retrieve(own)
    assert [client.archives.retrieve(one).id for one in (given.id, lent)] == [given.id, lent]
    purged(server, "archives", "id", own)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"name": ""}, 422),
        ({"name": None}, 422),
        ({"name": "x" * 501}, 422),
        ({"name": "nul \0 and \ud800", "description": "\0"}, 200),
        ({"name": "x", "embedding_config": []}, 422),
        ({"name": "x", "embedding_config": {"embedding_dim": "many"}}, 200),
        ({"name": "x", "embedding": ""}, 200),
    ],
)
def test_a_body_that_breaks_the_schema_is_refused(
    http: httpx.Client, body: dict[str, Any], status: int
) -> None:
    content, headers = json.dumps(body).encode(), {"content-type": "application/json"}
    answer = http.post("/v1/archives/", content=content, headers=headers)
    assert answer.status_code == status, answer.text


def test_another_organizations_archive_is_not_there(
    client: Letta, server: Product, http: httpx.Client, agent: AgentState
) -> None:
    archive = client.archives.create(name="theirs")
    passage = client.archives.passages.create(archive.id, text="secret")
    server.query(
        "INSERT INTO organizations (id, name) VALUES (%s, 'o') ON CONFLICT DO NOTHING", FOREIGN
    )
    for table, id_ in (("archives", archive.id), ("passages", passage.id)):
        server.query(f"UPDATE {table} SET organization_id = %s WHERE id = %s", FOREIGN, id_)
    path, of_agent = f"/v1/archives/{archive.id}", f"/v1/agents/{agent.id}"
    requests: list[tuple[str, str, Any]] = [
        ("GET", path, None),
        ("PATCH", path, {"name": "taken"}),
        ("PATCH", path, {}),
        ("DELETE", path, None),
        ("GET", f"{path}/agents", None),
        ("POST", f"{path}/passages", {"text": "x"}),
        ("POST", f"{path}/passages/batch", {"passages": []}),
        ("DELETE", f"{path}/passages/{passage.id}", None),
        ("PATCH", f"{of_agent}/archives/attach/{archive.id}", None),
        ("PATCH", f"{of_agent}/archives/detach/{archive.id}", None),
        ("DELETE", f"{of_agent}/archival-memory/{passage.id}", None),
        ("GET", f"{of_agent}/archival-memory?after={passage.id}", None),
        ("GET", f"/v1/archives/?after={archive.id}", None),
    ]
    for method, url, body in requests:
        assert http.request(method, url, json=body).status_code == 404, (method, url)
    assert archive.id not in http.get("/v1/archives/?limit=1000").text
    assert server.query("SELECT name FROM archives WHERE id = %s", archive.id) == [("theirs",)]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/archives/archive-1", 422),
        ("GET", "/v1/archives/%00", 422),
        ("PATCH", "/v1/agents/{agent}/archives/attach/x", 422),
        ("PATCH", "/v1/agents/agent-1/archives/attach/{archive}", 422),
        ("DELETE", "/v1/archives/{archive}/passages/x", 422),
        ("DELETE", "/v1/archives/{archive}/passages/{passage}", 404),
        ("DELETE", "/v1/agents/{agent}/archival-memory/%00", 422),
        ("DELETE", "/v1/agents/{agent}/archival-memory/x", 404),
        ("DELETE", "/v1/agents/{agent}/archival-memory/{passage}", 404),
        ("GET", "/v1/agents/{unknown}/archival-memory", 404),
        ("POST", "/v1/agents/{unknown}/archival-memory", 404),
        ("PATCH", "/v1/agents/{unknown}/archives/attach/{archive}", 404),
    ],
)
def test_wrong_ids_are_told_plainly(
    client: Letta, http: httpx.Client, agent: AgentState, method: str, path: str, status: int
) -> None:
    ids = {
        "agent": agent.id,
        "archive": client.archives.create(name="there").id,
        "passage": new_id("passage"),
        "unknown": new_id("agent"),
    }
    body = {"text": "x"} if method == "POST" else None
    answer = http.request(method, path.format_map(ids), json=body)
    assert answer.status_code == status, answer.text
