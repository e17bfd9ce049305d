"""Lists and counts of agents, and what is shown to which client."""

from typing import Any

import httpx
import pytest
from letta_client import Letta, NotFoundError
from letta_client.types import AgentState

from o.ids import new_id
from tests.support.product import Product
from tests.support.provider import HANDLE

OLD = {"User-Agent": "letta-client/0.1.300"}
CURRENT = {"User-Agent": "letta-client/1.12.1"}
FOREIGN = "org-00000000-0000-4000-8000-000000000001"


@pytest.fixture
def http(server: Product) -> httpx.Client:
    return httpx.Client(base_url=server.url, timeout=30)


@pytest.fixture
def tag() -> str:
    """A tag that only the agents of one test have."""
    return new_id("agent")


@pytest.fixture(scope="module")
def three(client: Letta) -> dict[str, str]:
    """Names by ids of three agents."""
    one = client.agents.create(model=HANDLE, name="blue one", tags=["x", "y"])
    two = client.agents.create(model=HANDLE, name="blue two", tags=["x"])
    red = client.agents.create(
        model=HANDLE,
        name="red",
        tags=["y"],
        project_id="p",
        template_id="t",
        base_template_id="b",
    )
    client.agents.update(red.id, last_stop_reason="end_turn")
    return {agent.id: agent.name for agent in (one, two, red)}


def names(client: Letta, **wanted: Any) -> list[str]:
    return [agent.name for agent in client.agents.list(**wanted).items]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"name": "blue one"}, ["blue one"]),
        ({"query_text": "BLUE"}, ["blue two", "blue one"]),
        ({"query_text": "%"}, []),
        ({"tags": ["x", "y"]}, ["red", "blue two", "blue one"]),
        ({"tags": ["x", "y"], "match_all_tags": True}, ["blue one"]),
        ({"project_id": "p"}, ["red"]),
        ({"template_id": "t"}, ["red"]),
        ({"base_template_id": "b"}, ["red"]),
        ({"last_stop_reason": "end_turn"}, ["red"]),
        ({"identity_id": "identity-1"}, []),
        ({"identifier_keys": ["key"]}, []),
        (
            {"created_by_id": "user-00000000-0000-4000-8000-000000000000"},
            ["red", "blue two", "blue one"],
        ),
        ({"created_by_id": "user-00000000-0000-4000-8000-000000000009"}, []),
    ],
)
def test_lists_and_counts_are_filtered_alike(
    client: Letta,
    http: httpx.Client,
    three: dict[str, str],
    wanted: dict[str, Any],
    found: list[str],
) -> None:
    listed = client.agents.list(limit=1_000, **wanted).items
    assert [three[agent.id] for agent in listed if agent.id in three] == found
    assert http.get("/v1/agents/count", params=wanted).json() == len(listed)


def test_lists_are_sorted_by_what_is_asked_for(client: Letta, tag: str) -> None:
    one, two, three = (client.agents.create(model=HANDLE, name=n, tags=[tag]) for n in "abc")
    client.agents.messages.create(two.id, input="hi")
    client.agents.update(one.id, description="changed")
    assert names(client, tags=[tag]) == ["c", "b", "a"]
    assert names(client, tags=[tag], order="asc") == ["a", "b", "c"]
    assert names(client, tags=[tag], ascending=True) == ["a", "b", "c"]
    assert names(client, tags=[tag], order_by="updated_at")[0] == "a"
    assert names(client, tags=[tag], order_by="last_run_completion")[0] == "b"
    assert names(client, tags=[tag], sort_by="last_run_completion")[0] == "b"
    pages = client.agents.list(tags=[tag], order_by="last_run_completion", limit=1)
    assert {agent.id for agent in pages} == {one.id, two.id, three.id}


def test_hidden_agents_are_left_out_of_lists_only(
    client: Letta, http: httpx.Client, tag: str
) -> None:
    agent = client.agents.create(model=HANDLE, tags=[tag], hidden=True)
    assert names(client, tags=[tag]) == []
    shown = http.get("/v1/agents/", params={"tags": tag, "show_hidden_agents": True}).json()
    assert [one["id"] for one in shown] == [agent.id]
    assert client.agents.retrieve(agent.id).hidden is True


def test_deleted_agents_are_in_no_list_and_no_count(
    client: Letta, http: httpx.Client, tag: str
) -> None:
    agent = client.agents.create(model=HANDLE, tags=[tag])
    answer = http.delete(f"/v1/agents/{agent.id}")
    assert answer.json() == {"message": f"Agent id={agent.id} successfully deleted"}
    assert names(client, tags=[tag]) == []
    assert http.get("/v1/agents/count", params={"tags": tag}).json() == 0
    assert http.delete(f"/v1/agents/{agent.id}").status_code == 404


def test_a_current_client_sees_what_it_names_in_include(
    client: Letta, http: httpx.Client, agent: AgentState
) -> None:
    client.agents.update(agent.id, tags=["t"])
    for include in (["agent.blocks"], ["agent.tools"], ["agent.tags"], ["agent.unheard_of"], []):
        params: dict[str, Any] = {"include": include, "include_relationships": ["tools", "tags"]}
        one = http.get(f"/v1/agents/{agent.id}", params=params, headers=CURRENT).json()
        (listed,) = http.get("/v1/agents/", params=params | {"limit": 1}, headers=CURRENT).json()
        assert one == listed
        related = {f"agent.{name}" for name in ("blocks", "tools", "tags") if one[name]}
        assert related == set(include) - {"agent.unheard_of"}
        assert bool(one["memory"]["blocks"]) is bool(one["blocks"])


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Stainless-Package-Version": "1.12.1", "User-Agent": "anything"},
        {"User-Agent": "@letta-ai/letta-client/1.0.0"},
        CURRENT,
    ],
)
def test_current_clients_are_known_by_their_headers(
    http: httpx.Client, agent: AgentState, headers: dict[str, str]
) -> None:
    assert http.get(f"/v1/agents/{agent.id}", headers=headers).json()["blocks"] == []


def test_older_clients_see_everything_or_what_they_name(
    http: httpx.Client, agent: AgentState
) -> None:
    path = f"/v1/agents/{agent.id}"
    for headers in (OLD, {"User-Agent": "curl/8"}):
        body = http.get(path, headers=headers).json()
        assert len(body["blocks"]) == len(body["memory"]["blocks"]) == 2
        assert len(body["tools"]) == 3
    params = {"include_relationships": "memory"}
    body = http.get(path, params=params, headers=OLD).json()
    assert (len(body["blocks"]), body["tools"]) == (2, [])
    (listed,) = http.get("/v1/agents/", params={"limit": 1}, headers=OLD).json()
    assert len(listed["blocks"]) == 2


def test_an_agent_of_another_organization_is_not_there(
    client: Letta, server: Product, http: httpx.Client, agent: AgentState
) -> None:
    block = client.blocks.create(label="mine", value="x")
    server.query(
        "INSERT INTO organizations (id, name) VALUES (%s, 'o') ON CONFLICT DO NOTHING", FOREIGN
    )
    server.query("UPDATE agents SET organization_id = %s WHERE id = %s", FOREIGN, agent.id)
    path = f"/v1/agents/{agent.id}"
    blocks = f"{path}/core-memory/blocks"
    requests: list[tuple[str, str, Any]] = [
        ("GET", path, None),
        ("PATCH", path, {"name": "taken"}),
        ("DELETE", path, None),
        ("POST", f"{path}/recompile", None),
        ("PATCH", f"{path}/reset-messages", {}),
        ("GET", blocks, None),
        ("GET", f"{blocks}/human", None),
        ("PATCH", f"{blocks}/human", {"value": "taken"}),
        ("PATCH", f"{blocks}/attach/{block.id}", None),
        ("PATCH", f"{blocks}/detach/{block.id}", None),
        ("GET", f"/v1/agents/?after={agent.id}", None),
    ]
    for method, url, body in requests:
        assert http.request(method, url, json=body).status_code == 404, (method, url)
    assert agent.id not in {one["id"] for one in http.get("/v1/agents/").json()}
    with pytest.raises(NotFoundError):
        client.agents.retrieve(agent.id)
    assert server.query("SELECT name FROM agents WHERE id = %s", agent.id) == [("ada",)]


@pytest.mark.parametrize(
    "path",
    [
        "/v1/agents/?limit=2&{}",
        "/v1/blocks/?limit=2&{}",
        "/v1/tools/?limit=2&{}",
        "/v1/archives/?limit=2&{}",
        "/v1/runs/?limit=2&order=asc&{}",
        "/v1/steps/?limit=2&order=asc&{}",
        "/v1/identities/?limit=2&{}",
        "/v1/providers/?limit=2&{}",
        "/v1/agents/{agent_id}/messages?limit=2&{}",
        "/v1/agents/{agent_id}/archival-memory?limit=2&{}",
        "/v1/agents/{agent_id}/files?limit=2&{}",
    ],
)
def test_fields_of_an_address_that_nobody_filled_in_ask_for_nothing(
    http: httpx.Client, three: dict[str, str], path: str
) -> None:
    path = path.replace("{agent_id}", next(iter(three)))
    empty = "before=&name=&label=&after=&cursor=&project_id=&template_id=&agent_id=&identity_id="
    bare, filled = (http.get(path.format(more)) for more in ("", empty))
    assert (filled.status_code, filled.json()) == (200, bare.json())
    assert bare.json() or "/agents/?" not in path


def test_an_empty_number_is_refused(http: httpx.Client) -> None:
    assert http.get("/v1/agents/?limit=").status_code == 422
