"""Messages by their id, and the messages of all agents, through the official client."""

from typing import Any

import httpx
import pytest
from letta_client import Letta, NotFoundError
from letta_client.types import AgentState

from o.ids import new_id
from tests.support.product import Product
from tests.support.provider import HANDLE, call, do, say


@pytest.fixture(scope="module")
def earlier(client: Letta) -> str:
    """A message that is older than those of `talked`, and newer than what others have left."""
    (message_id,) = in_context(client, client.agents.create(model=HANDLE))
    return message_id


@pytest.fixture(scope="module")
def talked(client: Letta, earlier: str) -> list[AgentState]:
    """Two agents that have talked in turns."""
    agents = [
        client.agents.create(
            model=HANDLE, memory_blocks=[{"label": "human", "value": "Nothing is known yet."}]
        )
        for _ in range(2)
    ]
    both = call("memory_insert", label="human", new_string="x") | {"reasoning": "hm", "say": "so"}
    for text in (do(both, say("done")), "hello"):
        for agent in agents:
            client.agents.messages.create(agent.id, input=text)
    return agents


def in_context(client: Letta, agent: AgentState) -> list[str]:
    return client.agents.retrieve(agent.id).message_ids or []


def shown(messages: Any) -> list[tuple[str, str, str]]:
    return [(message.id, message.message_type, message.otid) for message in messages]


def test_a_message_is_found_by_its_id_as_the_parts_that_it_is_shown_as(
    client: Letta, talked: list[AgentState]
) -> None:
    history = client.agents.messages.list(talked[0].id, order="asc", limit=1_000).items
    asking = next(m.id for m in history if m.message_type == "tool_call_message")
    found = client.messages.retrieve(asking)
    assert [m.message_type for m in found] == [
        "reasoning_message",
        "assistant_message",
        "tool_call_message",
    ]
    assert shown(found) == [one for one in shown(history) if one[0] == asking]
    (said,) = client.messages.retrieve(in_context(client, talked[0])[-1])
    assert said.content == "You said: hello"


def test_the_messages_of_a_deleted_agent_and_unknown_ones_are_not_found(client: Letta) -> None:
    agent = client.agents.create(model=HANDLE)
    (message_id,) = in_context(client, agent)
    assert client.messages.retrieve(message_id)
    client.agents.delete(agent.id)
    for absent in (message_id, new_id("message")):
        with pytest.raises(NotFoundError):
            client.messages.retrieve(absent)


def test_the_messages_of_a_deleted_conversation_are_not_found_and_not_listed(
    client: Letta, agent: AgentState
) -> None:
    conversation = client.conversations.create(agent_id=agent.id)
    client.conversations.messages.create(conversation.id, input="hello", streaming=False)
    listed = client.messages.list(conversation_id=conversation.id)
    assert "user_message" in [message.message_type for message in listed]
    assert client.messages.retrieve(listed[0].id)
    client.conversations.delete(conversation.id)
    assert client.messages.list(conversation_id=conversation.id) == []
    with pytest.raises(NotFoundError):
        client.messages.retrieve(listed[0].id)


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_the_messages_of_all_agents_are_listed_by_age_and_in_pages(
    client: Letta, talked: list[AgentState], earlier: str, order: Any
) -> None:
    of_agents: list[tuple[str, str, str]] = []
    for agent in talked:
        of_agents += shown(client.agents.messages.list(agent.id, limit=1_000).items)
    found: list[Any] = []
    start: dict[str, Any] = {"after": earlier} if order == "asc" else {}
    after = start
    while page := client.messages.list(order=order, limit=5, **after):
        found += page
        after = {"after": page[-1].id}
        if order == "desc" and set(of_agents) <= set(shown(found)):
            break
    assert len(found) > 10
    assert len(set(shown(found))) == len(found)
    assert set(of_agents) <= set(shown(found))
    times = [message.date for message in found]
    assert times == sorted(times, reverse=order == "desc")
    newest = [m for m in found if m.id == shown(found)[3][0]]
    before = client.messages.list(order=order, limit=1_000, before=newest[0].id, **start)
    assert shown(before) == shown(found)[: shown(found).index(shown(newest)[0])]


def test_all_messages_are_filtered_by_conversation_and_by_type(
    server: Product, client: Letta, talked: list[AgentState]
) -> None:
    agent = talked[1]
    ((conversation_id,),) = server.query(
        "SELECT id FROM conversations WHERE agent_id = %s", agent.id
    )
    of_agent = shown(client.agents.messages.list(agent.id, order="asc", limit=1_000).items)
    in_it: dict[str, Any] = {"conversation_id": conversation_id, "order": "asc"}
    assert shown(client.messages.list(**in_it)) == of_agent
    said = client.messages.list(**in_it, include_return_message_types=["user_message"], limit=2)
    assert shown(said) == [one for one in of_agent if one[1] == "user_message"]
    assert len(said) == 2, "the filter holds before a page is cut"
    assert client.messages.list(conversation_id=new_id("conv")) == []


def test_messages_of_other_organizations_are_not_listed_and_no_cursors(
    server: Product, client: Letta
) -> None:
    agent = client.agents.create(model=HANDLE)
    (message_id,) = in_context(client, agent)
    assert message_id in [m.id for m in client.messages.list(limit=1_000)]
    other = new_id("org")
    server.query("INSERT INTO organizations (id, name) VALUES (%s, 'others')", other)
    for table in ("agents", "conversations", "messages"):
        column = "id" if table == "agents" else "agent_id"
        server.query(
            f"UPDATE {table} SET organization_id = %s WHERE {column} = %s", other, agent.id
        )
    assert message_id not in [m.id for m in client.messages.list(limit=1_000)]
    for cursor in (message_id, new_id("message")):
        answer = httpx.get(f"{server.url}/v1/messages/", params={"after": cursor})
        assert answer.status_code == 404
