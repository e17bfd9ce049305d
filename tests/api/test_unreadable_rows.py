"""A row that is stored and cannot be read takes no other one with it."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from letta_client import Letta
from letta_client.types import AgentState

from tests.support.chats import speak
from tests.support.product import Product, eventually
from tests.support.provider import EMBEDDING_HANDLE, FakeProvider, last_user_text

_DEEP = "jsonb_build_object('deep', (repeat('[', 300) || repeat(']', 300))::jsonb)"


def spoil(server: Product, table: str, column: str, row_id: str) -> None:
    """Put JSON there that is nested more deeply than readers go."""
    server.query(f"UPDATE {table} SET {column} = {_DEEP} WHERE id = %s", row_id)


def ids_of(server: Product, path: str, **query: Any) -> list[str]:
    answer = httpx.get(f"{server.url}{path}", params=query, timeout=30)
    assert answer.status_code == 200, answer.text
    return [one["id"] for one in answer.json()]


@pytest.fixture
def spoken(client: Letta, agent: AgentState) -> AgentState:
    """An agent with two runs, of a step each."""
    for text in ("one", "two"):
        client.agents.messages.create(agent.id, input=text)
    return agent


def check(
    server: Product, table: str, column: str, path: str, single: str | None, **query: Any
) -> None:
    """The list has all but the one that is spoiled, and that one is an error with words."""
    before = ids_of(server, path, **query)
    bad, *others = before
    spoil(server, table, column, bad)
    assert ids_of(server, path, **query) == others
    if single is not None:
        answer = httpx.get(f"{server.url}{single.format(bad)}", timeout=30)
        assert answer.status_code == 500
        assert "cannot be read" in answer.json()["detail"]
    server.query(f"DELETE FROM {table} WHERE id = %s", bad)
    assert "row left out of a list" in (server.data_dir / "logs" / "api.log").read_text()


def test_of_blocks(server: Product, client: Letta) -> None:
    for value in ("a", "b"):
        client.blocks.create(label="spoiled", value=value)
    check(server, "blocks", "metadata", "/v1/blocks/", "/v1/blocks/{}", label="spoiled")


def test_of_the_blocks_of_an_agent(server: Product, agent: AgentState) -> None:
    check(server, "blocks", "metadata", f"/v1/agents/{agent.id}/core-memory/blocks", None)


def test_of_agents(server: Product, client: Letta) -> None:
    for _ in range(2):
        client.agents.create(model="openai/scripted", tags=["spoiled"])
    check(server, "agents", "metadata", "/v1/agents/", "/v1/agents/{}", tags="spoiled")


def test_agents_are_listed_without_an_identity_or_a_folder_that_cannot_be_read(
    server: Product, client: Letta
) -> None:
    keys = ("spoiled", "whole")
    identities = []
    for key in keys:
        body = {"identifier_key": key, "identity_type": "user", "name": key}
        made: Any = client.post("/v1/identities/", cast_to=object, body=body)
        identities.append(made["id"])
    folders = [client.folders.create(name=key, embedding=EMBEDDING_HANDLE).id for key in keys]
    agent = client.agents.create(
        model="openai/scripted", identity_ids=identities, folder_ids=folders, tags=["holder"]
    )
    spoil(server, "identities", "properties", identities[0])
    spoil(server, "folders", "metadata", folders[0])
    include = ["agent.identities", "agent.sources"]
    listed = httpx.get(
        f"{server.url}/v1/agents/", params={"tags": "holder", "include": include}, timeout=30
    )
    alone = httpx.get(f"{server.url}/v1/agents/{agent.id}", params={"include": include}, timeout=30)
    assert (listed.status_code, alone.status_code) == (200, 200), listed.text + alone.text
    for shown in (*listed.json(), alone.json()):
        assert [one["id"] for one in shown["identities"]] == identities[1:]
        assert [one["id"] for one in shown["sources"]] == folders[1:]
    exported = httpx.get(f"{server.url}/v1/agents/{agent.id}/export", timeout=30)
    assert exported.status_code == 500, "no file lacks a folder in silence"
    assert "cannot be read" in exported.json()["detail"]
    server.query("DELETE FROM identities WHERE id = %s", identities[0])
    server.query("DELETE FROM folders WHERE id = %s", folders[0])
    assert "row left out of a list" in (server.data_dir / "logs" / "api.log").read_text()


@pytest.mark.parametrize("path", ["/v1/runs/", "/v1/runs/active"])
def test_of_runs(server: Product, spoken: AgentState, path: str) -> None:
    if path.endswith("active"):
        server.query(
            "UPDATE runs SET status = 'created', created_at = now() + interval '1 hour' "
            "WHERE agent_id = %s",
            spoken.id,
        )
    check(server, "runs", "options", path, "/v1/runs/{}", agent_id=spoken.id, agent_ids=spoken.id)


def test_of_steps(server: Product, spoken: AgentState) -> None:
    check(server, "steps", "usage", "/v1/steps/", "/v1/steps/{}", agent_id=spoken.id)


@pytest.mark.parametrize(
    "path_of",
    [lambda agent: f"/v1/agents/{agent.id}/messages", lambda agent: "/v1/messages/"],
    ids=["of an agent", "of all agents"],
)
def test_of_messages(
    server: Product, spoken: AgentState, path_of: Callable[[AgentState], str]
) -> None:
    check(server, "messages", "tool_return", path_of(spoken), None, limit=3, order="desc")


def test_of_messages_of_a_conversation_and_of_conversations(
    server: Product, client: Letta, agent: AgentState
) -> None:
    made = [client.conversations.create(agent_id=agent.id).id for _ in range(2)]
    speak(client, made[0], "hi")
    path = f"/v1/conversations/{made[0]}/messages"
    check(server, "messages", "tool_return", path, None, order="desc")
    single = "/v1/conversations/{}"
    path = "/v1/conversations/"
    check(server, "conversations", "model_settings", path, single, agent_id=agent.id)


def test_no_window_is_looked_at_or_compacted_without_a_message_of_it_that_cannot_be_read(
    server: Product, client: Letta, spoken: AgentState
) -> None:
    bad = client.agents.messages.list(spoken.id, limit=1, order="desc").items[0].id
    spoil(server, "messages", "tool_return", bad)
    path = f"{server.url}/v1/agents/{spoken.id}"
    for answer in (
        httpx.get(f"{path}/context", timeout=30),
        httpx.post(f"{path}/messages/preview-raw-payload", json={"input": "on"}, timeout=30),
        httpx.post(f"{path}/summarize", json={}, timeout=30),
    ):
        assert answer.status_code == 500, answer.text
        assert "cannot be read" in answer.json()["detail"]
    assert client.agents.messages.reset(spoken.id).message_ids


def test_a_queued_run_that_becomes_unreadable_fails_and_the_queue_goes_on(
    server: Product, client: Letta, agent: AgentState, provider: FakeProvider
) -> None:
    gate = provider.hold(lambda prompt: last_user_text(prompt) == "held")
    first = client.agents.messages.create_async(agent.id, input="held")
    assert gate.reached.wait(20)
    bad, last = (client.agents.messages.create_async(agent.id, input=text) for text in "ab")
    spoil(server, "runs", "options", bad.id)
    gate.opened.set()
    eventually(
        lambda: client.runs.retrieve(last.id).status == "completed", what="the end of the queue"
    )
    assert client.runs.retrieve(first.id).status == "completed"
    assert server.query("SELECT status FROM runs WHERE id = %s", bad.id) == [("failed",)]
    assert client.agents.messages.create(agent.id, input="on").messages[0].content is not None


def test_a_run_that_cannot_be_read_is_closed_with_its_event_or_not_at_all(
    server: Product, client: Letta, agent: AgentState, provider: FakeProvider
) -> None:
    gate = provider.hold(lambda prompt: last_user_text(prompt) == "held for an event")
    client.agents.messages.create_async(agent.id, input="held for an event")
    assert gate.reached.wait(20)
    bad, last = (client.agents.messages.create_async(agent.id, input=text) for text in "ab")
    spoil(server, "runs", "options", bad.id)
    server.query(
        f"""
        CREATE SEQUENCE refusals;
        CREATE FUNCTION refuse_once() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF nextval('refusals') = 1 THEN RAISE 'not now'; END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER refusing BEFORE INSERT ON run_events FOR EACH ROW
        WHEN (NEW.run_id = '{bad.id}') EXECUTE FUNCTION refuse_once()
        """
    )
    gate.opened.set()
    eventually(
        lambda: client.runs.retrieve(last.id).status == "completed", what="the end of the queue"
    )
    server.query("DROP TRIGGER refusing ON run_events")
    assert server.query("SELECT last_value FROM refusals") == [(2,)]
    kinds = server.query("SELECT kind FROM run_events WHERE run_id = %s", bad.id)
    assert kinds == [("closed",)]
