"""Agents, their blocks, models and health, through the official client."""

import httpx
import pytest
from letta_client import Letta, NotFoundError
from letta_client.types import AgentState

from o.llm.bounds import MAX_NAME_CHARS
from tests.support.product import Product, eventually
from tests.support.provider import HANDLE, call, do, say


def test_a_created_agent_has_v1s_defaults_and_its_blocks(client: Letta, agent: AgentState) -> None:
    assert agent.id.startswith("agent-")
    assert agent.agent_type == "letta_v1_agent"
    assert agent.model == HANDLE
    assert agent.timezone == "UTC"
    assert agent.llm_config.context_window == 128_000
    assert [block.label for block in agent.blocks] == ["persona", "human"]
    assert {tool.name for tool in agent.tools} == {
        "conversation_search",
        "memory_insert",
        "memory_replace",
    }
    assert len(agent.message_ids or []) == 1
    assert client.agents.create(model=HANDLE).name


def test_names_as_long_as_they_may_be_do_not_stop_a_conversation(client: Letta) -> None:
    agent = client.agents.create(model=HANDLE, name="\N{OTTER}" * 500)
    calls = {"calls": [{"name": "\N{OTTER}" * MAX_NAME_CHARS, "arguments": "{}"}]}
    reply = client.agents.messages.create(agent.id, input=do(calls, say("still here")))
    assert reply.messages[-1].content == "still here"


def test_current_clients_see_related_things_only_when_they_ask(
    client: Letta, server: Product, agent: AgentState
) -> None:
    plain = client.agents.retrieve(agent.id)
    assert (plain.blocks, plain.tools, plain.tags) == ([], [], [])
    full = client.agents.retrieve(agent.id, include=["agent.blocks", "agent.tools"])
    assert [block.label for block in full.blocks] == ["persona", "human"]
    assert len(full.tools) == 3
    old = httpx.get(
        f"{server.url}/v1/agents/{agent.id}", headers={"User-Agent": "letta-client/0.1.300"}
    )
    assert [block["label"] for block in old.json()["blocks"]] == ["persona", "human"]


def test_lists_page_in_both_orders(client: Letta) -> None:
    made = [client.agents.create(model=HANDLE, name="paged", tags=["paged"]).id for _ in range(5)]
    assert [agent.id for agent in client.agents.list(name="paged", limit=2)] == made[::-1]
    ascending = client.agents.list(name="paged", limit=2, order="asc")
    assert [agent.id for agent in ascending] == made
    before = client.agents.list(name="paged", before=made[1], order="asc", limit=10)
    assert [agent.id for agent in before.items] == made[:1]
    assert client.agents.list(tags=["paged", "other"], match_all_tags=True).items == []
    assert len(client.agents.list(tags=["paged", "other"]).items) == 5


def test_a_deleted_agent_is_gone_at_once_and_its_rows_soon(
    client: Letta, server: Product, agent: AgentState
) -> None:
    client.agents.messages.create(agent.id, input="hello")
    client.agents.delete(agent.id)
    with pytest.raises(NotFoundError):
        client.agents.retrieve(agent.id)
    with pytest.raises(NotFoundError):
        client.agents.messages.create(agent.id, input="are you there?")
    eventually(
        lambda: server.query("SELECT count(*) FROM agents WHERE id = %s", agent.id) == [(0,)],
        what="the purge",
    )
    assert server.query("SELECT count(*) FROM messages WHERE agent_id = %s", agent.id) == [(0,)]


def test_blocks_can_be_listed_read_and_changed(client: Letta, agent: AgentState) -> None:
    assert {b.label for b in client.agents.blocks.list(agent.id)} == {"human", "persona"}
    changed = client.agents.blocks.update(
        "human", agent_id=agent.id, value="Ada", description="Who they are", read_only=True
    )
    assert (changed.value, changed.description, changed.read_only) == ("Ada", "Who they are", True)
    assert client.agents.blocks.retrieve("human", agent_id=agent.id).value == "Ada"
    with pytest.raises(NotFoundError):
        client.agents.blocks.retrieve("nothing", agent_id=agent.id)


def test_every_change_of_a_block_counts_its_version(
    client: Letta, server: Product, agent: AgentState
) -> None:
    block = client.agents.blocks.retrieve("human", agent_id=agent.id)
    for value in ("one", "two"):
        client.agents.blocks.update("human", agent_id=agent.id, value=value)
    assert server.query("SELECT version FROM blocks WHERE id = %s", block.id) == [(3,)]


def test_a_read_only_block_cannot_be_edited_by_a_tool(client: Letta) -> None:
    agent = client.agents.create(
        model=HANDLE, memory_blocks=[{"label": "rules", "value": "fixed", "read_only": True}]
    )
    edit = call("memory_insert", label="rules", new_string="x")
    reply = client.agents.messages.create(agent.id, input=do(edit, say("ok")))
    assert reply.messages[1].tool_return == "Error This block is read-only and cannot be edited."
    assert reply.messages[1].status == "error"


def test_messages_list_newest_page_oldest_first_and_pages_with_asc(
    client: Letta, agent: AgentState
) -> None:
    for n in range(3):
        client.agents.messages.create(agent.id, input=f"m{n}")
    newest = client.agents.messages.list(agent.id, limit=2).items
    assert [getattr(m, "content", None) for m in newest] == ["m2", "You said: m2"]
    everything = list(client.agents.messages.list(agent.id, limit=2, order="asc"))
    assert [m.message_type for m in everything] == [
        "system_message",
        *["user_message", "assistant_message"] * 3,
    ]
    older = client.agents.messages.list(agent.id, limit=2, before=newest[0].id).items
    assert [getattr(m, "content", None) for m in older] == ["m1", "You said: m1"]
    fields = everything[1].to_dict().keys()
    assert {"id", "date", "name", "otid", "sender_id", "step_id", "is_err", "run_id"} <= fields


def test_models_and_health(client: Letta, server: Product) -> None:
    model = next(one for one in client.models.list() if one.handle == HANDLE)
    assert model.handle == HANDLE
    assert model.max_context_window >= model.context_window
    assert client.health().status == "ok"
    assert httpx.get(f"{server.url}/v1/health", follow_redirects=False).status_code == 200
    assert httpx.get(f"{server.url}/latest/health/").json()["status"] == "ok"


def test_the_api_docs_need_no_other_host(server: Product) -> None:
    page = httpx.get(f"{server.url}/docs").text
    assert "https://" not in page.replace("https://127.0.0.1", "")
