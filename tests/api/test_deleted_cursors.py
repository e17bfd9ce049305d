"""A client that pages by what was deleted meanwhile goes on where it was."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from letta_client import Letta
from letta_client.types import AgentState

from o.ids import new_id
from tests.support.chats import speak
from tests.support.product import Product, eventually
from tests.support.provider import HANDLE

ORDERS = ["asc", "desc"]


@pytest.fixture
def tag() -> str:
    """What only the entries of one test have."""
    return new_id("agent")


@pytest.fixture
def http(server: Product) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=30) as http:
        yield http


def purged(server: Product, table: str, *ids: str) -> None:
    """Wait until the rows are not only marked, but gone."""
    rows = f"SELECT 1 FROM {table} WHERE id = ANY(%s)"
    eventually(lambda: not server.query(rows, list(ids)), what="the purge")


def page(http: httpx.Client, path: str, **asked: Any) -> list[str]:
    answer = http.get(path, params=asked)
    assert answer.status_code == 200, answer.text
    return [entry["id"] for entry in answer.json()]


@pytest.mark.parametrize("order", ORDERS)
def test_agents_are_deleted_as_they_are_listed(client: Letta, tag: str, order: Any) -> None:
    made = {client.agents.create(model=HANDLE, tags=[tag]).id for _ in range(5)}
    for agent in client.agents.list(tags=[tag], limit=2, order=order):
        made.remove(agent.id)
        client.agents.delete(agent.id)
    assert made == set()


@pytest.mark.parametrize("order", ORDERS)
def test_blocks_are_deleted_as_they_are_listed(client: Letta, tag: str, order: Any) -> None:
    made = {client.blocks.create(label=tag, value="x").id for _ in range(5)}
    for block in client.blocks.list(label=tag, limit=2, order=order):
        made.remove(block.id)
        client.blocks.delete(block.id)
    assert made == set()


@pytest.mark.parametrize("order", ORDERS)
def test_conversations_are_deleted_as_they_are_listed(
    client: Letta, agent: AgentState, order: Any
) -> None:
    made = [client.conversations.create(agent_id=agent.id).id for _ in range(5)]
    asked: dict[str, Any] = {"agent_id": agent.id, "limit": 2, "order": order}
    found: list[str] = []
    while listed := client.conversations.list(**asked):
        for conversation in listed:
            found.append(conversation.id)
            client.conversations.delete(conversation.id)
        asked["after"] = found[-1]
    assert found == (made if order == "asc" else made[::-1])


@pytest.mark.parametrize("order", ORDERS)
def test_runs_and_their_steps_are_deleted_as_they_are_listed(
    client: Letta, http: httpx.Client, agent: AgentState, order: Any
) -> None:
    for text in "abcde":
        client.agents.messages.create(agent.id, input=text)
    steps = [step.id for step in client.steps.list(agent_id=agent.id, order=order)]
    runs = [run.id for run in client.runs.list(agent_id=agent.id, order=order)]
    assert len(runs) == len(steps) == 5
    found = []
    for run in client.runs.list(agent_id=agent.id, limit=2, order=order):
        found.append(run.id)
        if len(found) < 5:
            assert http.delete(f"/v1/runs/{run.id}").status_code == 200
    assert found == runs
    left = client.steps.list(agent_id=agent.id, order=order, after=steps[1]).items
    assert [step.id for step in left] == steps[4:]


@pytest.mark.parametrize("sort", ["created_at", "updated_at", "last_run_completion"])
@pytest.mark.parametrize("order", ORDERS)
def test_a_purged_agent_keeps_its_place_in_every_order(
    server: Product, client: Letta, http: httpx.Client, tag: str, sort: str, order: str
) -> None:
    made = [client.agents.create(model=HANDLE, tags=[tag]).id for _ in range(4)]
    for agent_id in (made[2], made[0]):
        client.agents.messages.create(agent_id, input="hi")
    asked = {"tags": tag, "order_by": sort, "order": order}
    listed = page(http, "/v1/agents/", **asked)
    assert sorted(listed) == sorted(made)
    client.agents.delete(listed[1])
    assert page(http, "/v1/agents/", **asked, after=listed[1]) == listed[2:]
    purged(server, "agents", listed[1])
    assert page(http, "/v1/agents/", **asked, after=listed[1]) == listed[2:]
    assert page(http, "/v1/agents/", **asked, before=listed[1]) == listed[:1]


@pytest.mark.parametrize("sort", ["created_at", "last_message_at", "last_run_completion"])
@pytest.mark.parametrize("order", ORDERS)
def test_a_purged_conversation_keeps_its_place_in_every_order(
    server: Product, client: Letta, http: httpx.Client, agent: AgentState, sort: str, order: str
) -> None:
    made = [client.conversations.create(agent_id=agent.id).id for _ in range(4)]
    for conversation_id in (made[2], made[0], made[1]):
        speak(client, conversation_id, "hi")
    asked = {"agent_id": agent.id, "order_by": sort, "order": order}
    listed = page(http, "/v1/conversations/", **asked)
    assert sorted(listed) == sorted(made)
    client.conversations.delete(listed[1])
    assert page(http, "/v1/conversations/", **asked, after=listed[1]) == listed[2:]
    purged(server, "conversations", listed[1])
    assert page(http, "/v1/conversations/", **asked, after=listed[1]) == listed[2:]
    assert page(http, "/v1/conversations/", **asked, before=listed[1]) == listed[:1]


@pytest.mark.parametrize("table", ["conversations", "runs", "steps", "messages"])
def test_what_went_with_its_agent_keeps_its_place(
    server: Product, client: Letta, http: httpx.Client, table: str
) -> None:
    agents, entries = [], []
    for _ in range(3):
        agents.append(client.agents.create(model=HANDLE))
        client.conversations.create(agent_id=agents[-1].id)
        client.agents.messages.create(agents[-1].id, input="hi")
        rows = f"SELECT id FROM {table} WHERE agent_id = %s ORDER BY created_at DESC"
        entries.append([id_ for (id_,) in server.query(rows, agents[-1].id)])
    older, (cursor, *_), newer = entries
    client.agents.delete(agents[1].id)
    for _ in ("marked", "purged"):
        behind = set(page(http, f"/v1/{table}/", order="asc", after=cursor, limit=1_000))
        ahead = set(page(http, f"/v1/{table}/", order="desc", after=cursor, limit=1_000))
        assert behind & set(newer)
        assert not behind & set(older)
        assert ahead & set(older)
        assert not ahead & set(newer)
        purged(server, "agents", agents[1].id)


def of_agent(agent_id: str, conversation_id: str) -> tuple[str, dict[str, str]]:
    return f"/v1/agents/{agent_id}/messages", {}


def of_thread(agent_id: str, conversation_id: str) -> tuple[str, dict[str, str]]:
    return f"/v1/agents/{agent_id}/messages", {"conversation_id": conversation_id}


def of_conversation(agent_id: str, conversation_id: str) -> tuple[str, dict[str, str]]:
    return f"/v1/conversations/{conversation_id}/messages", {}


def of_all(agent_id: str, conversation_id: str) -> tuple[str, dict[str, str]]:
    return "/v1/messages/", {"conversation_id": conversation_id}


@pytest.mark.parametrize("which", [of_agent, of_thread, of_conversation, of_all])
def test_a_list_of_messages_goes_on_after_a_reset(
    server: Product,
    client: Letta,
    http: httpx.Client,
    agent: AgentState,
    which: Callable[[str, str], tuple[str, dict[str, str]]],
) -> None:
    ((thread,),) = server.query("SELECT id FROM conversations WHERE agent_id = %s", agent.id)
    path, asked = which(agent.id, thread)
    for text in "abc":
        client.agents.messages.create(agent.id, input=text)
    system, *cursors = page(http, path, **asked, order="asc")
    client.agents.messages.reset(agent.id)
    for cursor in cursors:
        assert page(http, path, **asked, order="asc", after=cursor) == []
    client.agents.messages.create(agent.id, input="again")
    again = page(http, path, **asked, order="asc")
    assert again[0] == system
    for cursor in cursors:
        assert page(http, path, **asked, order="asc", after=cursor) == again[1:]
        assert page(http, path, **asked, order="asc", before=cursor) == [system]


def test_a_message_that_all_forks_lost_keeps_its_place(
    server: Product, client: Letta, http: httpx.Client, agent: AgentState
) -> None:
    source = client.conversations.create(agent_id=agent.id).id
    speak(client, source, "one")
    speak(client, source, "two")
    fork = http.post(f"/v1/conversations/{source}/fork").json()["id"]
    _, _, cursor, *newer = page(http, f"/v1/conversations/{fork}/messages", order="asc")
    assert len(newer) == 2
    for conversation_id in (source, fork):
        client.conversations.delete(conversation_id)
        assert cursor not in page(http, "/v1/messages/", order="asc", after=cursor)
    purged(server, "conversations", source, fork)
    assert newer[0] not in page(http, "/v1/messages/", order="asc", after=cursor)


@pytest.mark.parametrize(
    ("kind", "path"),
    [("agents", "/v1/agents/"), ("blocks", "/v1/blocks/"), ("messages", "/v1/messages/")],
)
def test_what_never_was_or_is_deleted_elsewhere_is_no_cursor(
    server: Product, http: httpx.Client, kind: str, path: str
) -> None:
    mine, theirs, other_list = (new_id("agent") for _ in range(3))
    ((organization,),) = server.query("SELECT id FROM organizations WHERE name = 'default_org'")
    for id_, owner, of in (
        (mine, organization, kind),
        (theirs, new_id("org"), kind),
        (other_list, organization, "runs"),
    ):
        server.query(
            "INSERT INTO deleted_rows (id, shown_id, kind, organization_id, position, created_at) "
            "VALUES (%s, %s, %s, %s, 1, now())",
            id_,
            id_,
            of,
            owner,
        )
    for cursor in ("after", "before"):
        assert http.get(path, params={cursor: mine}).status_code == 200
        for nobody in (theirs, other_list, new_id("agent")):
            answer = http.get(path, params={cursor: nobody})
            assert answer.status_code == 404, answer.text
            assert nobody in answer.json()["detail"]


def test_a_deleted_row_of_another_organization_is_no_cursor(
    server: Product, client: Letta, http: httpx.Client, tag: str
) -> None:
    block = client.blocks.create(label=tag, value="x")
    other = new_id("org")
    server.query("INSERT INTO organizations (id, name) VALUES (%s, 'others')", other)
    server.query("UPDATE blocks SET organization_id = %s WHERE id = %s", other, block.id)
    server.query("DELETE FROM blocks WHERE id = %s", block.id)
    assert server.query("SELECT 1 FROM deleted_rows WHERE id = %s", block.id)
    assert http.get("/v1/blocks/", params={"after": block.id}).status_code == 404


def test_places_are_forgotten_after_a_day(server: Product, client: Letta, tag: str) -> None:
    old, new = (client.blocks.create(label=tag, value="x").id for _ in range(2))
    for block_id in (old, new):
        client.blocks.delete(block_id)
    server.query(
        "UPDATE deleted_rows SET deleted_at = now() - interval '25 hours' WHERE id = %s", old
    )
    kept = "SELECT id FROM deleted_rows WHERE id = ANY(%s)"
    eventually(lambda: server.query(kept, [old, new]) == [(new,)], what="the purge of places")
