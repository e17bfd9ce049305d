"""`GET /v1/agents/{id}/context`: what stands in the window, part by part."""

from typing import Any

import httpx
import pytest
from letta_client import Letta
from letta_client.types import AgentState

from o.ids import new_id
from tests.support.chats import speak
from tests.support.product import Product
from tests.support.provider import HANDLE, call, costing, do, say

PARTS = (
    "num_tokens_external_memory_summary",
    "num_tokens_system",
    "num_tokens_core_memory",
    "num_tokens_memory_filesystem",
    "num_tokens_tool_usage_rules",
    "num_tokens_directories",
    "num_tokens_summary_memory",
    "num_tokens_functions_definitions",
    "num_tokens_messages",
)


def ask(server: Product, agent: AgentState, **query: Any) -> httpx.Response:
    return httpx.get(f"{server.url}/v1/agents/{agent.id}/context", params=query, timeout=30)


def context_of(server: Product, agent: AgentState, **query: Any) -> Any:
    answer = ask(server, agent, **query)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert sum(found[part] for part in PARTS) == found["context_window_size_current"]
    return found


def test_every_part_of_a_window_is_shown_with_its_tokens(client: Letta, server: Product) -> None:
    agent = client.agents.create(
        model=HANDLE,
        system="You are a keeper of harbours.",
        context_window_limit=20_000,
        memory_blocks=[{"label": "human", "value": "Her name is Ada."}],
        tool_rules=[{"type": "exit_loop", "tool_name": "memory_insert"}],
    )
    edit = call("memory_insert", label="human", new_string="She rows.")
    client.agents.messages.create(agent.id, input=do(edit))
    found = context_of(server, agent)
    assert found["context_window_size_max"] == 20_000
    assert found["system_prompt"] == "You are a keeper of harbours."
    assert "Her name is Ada." in found["core_memory"]
    assert "She rows." in found["core_memory"], "as the next turn has it"
    assert "memory_insert" in found["tool_usage_rules"]
    assert found["external_memory_summary"].startswith("<memory_metadata>")
    assert (found["directories"], found["memory_filesystem"]) == (None, None)
    assert (found["summary_memory"], found["num_archival_memory"]) == (None, 0)
    names = {one["function"]["name"] for one in found["functions_definitions"]}
    assert {"memory_insert", "conversation_search"} <= names
    assert [one["role"] for one in found["messages"]] == ["system", "user", "assistant", "tool"]
    assert found["num_messages"] == 4
    assert found["num_recall_memory"] == 3
    called, returned = found["messages"][2:]
    assert called["tool_calls"][0]["function"]["name"] == "memory_insert"
    assert returned["tool_call_id"] == called["tool_calls"][0]["id"]
    assert returned["tool_returns"][0]["status"] == "success"
    assert "She rows." in returned["content"][0]["text"]
    for part in PARTS:
        is_empty = part.endswith(("filesystem", "directories", "summary_memory"))
        assert (found[part] == 0) == is_empty, part


def test_its_messages_are_those_that_the_agent_names(
    client: Letta, server: Product, agent: AgentState
) -> None:
    for text in ("one", "two"):
        client.agents.messages.create(agent.id, input=text)
    shown = [one["id"] for one in context_of(server, agent)["messages"]]
    assert shown == client.agents.retrieve(agent.id).message_ids
    assert len(shown) == 5


def test_what_the_provider_reported_stands_before_what_is_estimated(
    client: Letta, server: Product, agent: AgentState
) -> None:
    estimated = context_of(server, agent)["context_window_size_current"]
    usage = {"prompt_tokens": estimated * 2, "completion_tokens": 2, "total_tokens": 0}
    client.agents.messages.create(agent.id, input=do(costing(say("hi"), **usage)))
    found = context_of(server, agent)
    assert 2 * estimated < found["context_window_size_current"] < 2.1 * estimated
    assert found["num_tokens_functions_definitions"] > 0


def test_a_fork_starts_with_what_was_reported_of_its_source(
    client: Letta, server: Product, agent: AgentState
) -> None:
    estimated = context_of(server, agent)["context_window_size_current"]
    usage = {"prompt_tokens": estimated * 2, "completion_tokens": 2, "total_tokens": 0}
    conversation = client.conversations.create(agent_id=agent.id)
    speak(client, conversation.id, do(costing(say("hi"), **usage)))
    fork = client.conversations.fork(conversation.id)
    sizes = [
        context_of(server, agent, conversation_id=one)["context_window_size_current"]
        for one in (conversation.id, fork.id)
    ]
    assert min(sizes) > 1.9 * estimated
    assert abs(sizes[0] - sizes[1]) < 0.05 * sizes[0]


def test_a_block_that_was_changed_since_is_shown_as_the_next_turn_has_it(
    client: Letta, server: Product, agent: AgentState
) -> None:
    client.agents.blocks.update("human", agent_id=agent.id, value="Her name is Grace.")
    assert "Her name is Grace." in context_of(server, agent)["core_memory"]


def test_a_conversation_has_a_window_of_its_own(
    client: Letta, server: Product, agent: AgentState
) -> None:
    conversation = client.conversations.create(agent_id=agent.id)
    speak(client, conversation.id, "only here")
    there = context_of(server, agent, conversation_id=conversation.id)
    assert [one["role"] for one in there["messages"]] == ["system", "user", "assistant"]
    assert {one["conversation_id"] for one in there["messages"]} == {conversation.id}
    own, named = context_of(server, agent), context_of(server, agent, conversation_id="default")
    assert own == named
    assert own["num_messages"] == 1
    assert own["num_recall_memory"] == 2, "all that the agent remembers"


def test_an_agent_that_forgets_has_an_empty_window(client: Letta, server: Product) -> None:
    agent = client.agents.create(model=HANDLE, message_buffer_autoclear=True)
    client.agents.messages.create(agent.id, input="hello")
    found = context_of(server, agent)
    assert [one["role"] for one in found["messages"]] == ["system"]
    assert found["num_recall_memory"] == 2
    assert len(client.agents.retrieve(agent.id).message_ids or []) == 1


@pytest.mark.parametrize("system", ["", "Ahead {CORE_MEMORY} behind", "{CORE_MEMORY}"])
def test_instructions_are_told_from_memory_wherever_they_stand(
    client: Letta, server: Product, system: str
) -> None:
    block = {"label": "human", "value": "<memory_metadata> is a word that Ada likes"}
    agent = client.agents.create(model=HANDLE, system=system, memory_blocks=[block])
    found = context_of(server, agent)
    assert found["system_prompt"] == agent.system
    assert found["core_memory"].startswith("<memory_blocks>")
    assert found["core_memory"].endswith("</memory_blocks>")
    assert found["external_memory_summary"].endswith("</memory_metadata>")


def test_what_is_not_there_is_not_found(client: Letta, server: Product, agent: AgentState) -> None:
    other = client.agents.create(model=HANDLE)
    foreign = client.conversations.create(agent_id=other.id)
    assert ask(server, agent, conversation_id=foreign.id).status_code == 404
    assert ask(server, agent, conversation_id=new_id("conv")).status_code == 404
    for wrong in ("conv-1", "default\0", "x" * 5_000):
        assert ask(server, agent, conversation_id=wrong).status_code == 422
    assert ask(server, agent, conversation_id="").status_code == 200, "as if it were not named"
    nobody = agent.model_copy(update={"id": new_id("agent")})
    assert ask(server, nobody).status_code == 404
    client.agents.delete(other.id)
    assert ask(server, other).status_code == 404
