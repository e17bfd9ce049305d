"""The prompt compiled anew and messages reset, also while a turn runs."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from letta_client import Letta
from letta_client.types import AgentState

from tests.support.product import Product
from tests.support.provider import HANDLE, FakeProvider, call, do, last_user_text, say


def said(client: Letta, agent_id: str) -> list[tuple[Any, Any]]:
    """Type and content of the agent's messages, the system message left out."""
    shown = client.agents.messages.list(agent_id, order="asc", limit=100).items
    return [(m.message_type, getattr(m, "content", None)) for m in shown][1:]


def prompt_of(client: Letta, agent_id: str) -> str:
    system = client.agents.messages.list(agent_id, order="asc", limit=1).items[0]
    assert system.message_type == "system_message"
    return str(system.content)


def recompiled(client: Letta, agent_id: str, **options: bool) -> str:
    """What recompiling answers; the client hands on V1's JSON string as it is."""
    return str(json.loads(client.agents.recompile(agent_id, **options)))  # type: ignore[arg-type]


def epoch(server: Product, agent_id: str) -> int:
    ((count,),) = server.query("SELECT epoch FROM conversations WHERE agent_id = %s", agent_id)
    return int(count)


def test_a_recompiled_prompt_shows_memory_as_it_is(client: Letta, agent: AgentState) -> None:
    before = prompt_of(client, agent.id)
    client.agents.blocks.update("human", agent_id=agent.id, value="Their name is Ada.")
    dry = recompiled(client, agent.id, dry_run=True)
    assert "Their name is Ada." in dry
    assert prompt_of(client, agent.id) == before
    assert "Their name is Ada." in recompiled(client, agent.id)
    assert "Their name is Ada." in prompt_of(client, agent.id)


def test_a_prompt_that_shows_memory_as_it_is_stays_to_the_byte(
    client: Letta, agent: AgentState
) -> None:
    client.agents.messages.create(agent.id, input="hi")
    before = prompt_of(client, agent.id)
    assert recompiled(client, agent.id) == before
    assert prompt_of(client, agent.id) == before
    anew = recompiled(client, agent.id, update_timestamp=True)
    assert anew != before
    assert prompt_of(client, agent.id) == anew
    client.agents.messages.create(agent.id, input="hi")
    assert prompt_of(client, agent.id) == anew


def test_reset_messages_leaves_the_system_message(
    client: Letta, server: Product, agent: AgentState
) -> None:
    client.agents.messages.create(agent.id, input="forget this")
    client.agents.blocks.update("human", agent_id=agent.id, value="Ada")
    after = client.agents.messages.reset(agent.id, add_default_initial_messages=True)
    assert after is not None
    assert after.message_ids == (agent.message_ids or [])[:1]
    assert [block.value for block in after.blocks] == ["I am kind.", "Ada"]
    assert said(client, agent.id) == []
    assert epoch(server, agent.id) == 1
    assert "<value>\nAda\n</value>" in prompt_of(client, agent.id)
    assert "- 0 earlier messages" in prompt_of(client, agent.id)
    client.agents.messages.create(agent.id, input="hi")
    assert said(client, agent.id) == [
        ("user_message", "hi"),
        ("assistant_message", "You said: hi"),
    ]


@pytest.mark.parametrize("adds", [False, True])
def test_messages_can_be_reset_while_a_turn_runs(
    client: Letta, server: Product, provider: FakeProvider, agent: AgentState, adds: bool
) -> None:
    client.agents.messages.create(agent.id, input="before")
    text = do(call("memory_insert", label="human", new_string=f"Ada {adds}"), say("done"))
    gate = provider.hold(
        lambda prompt: last_user_text(prompt) == text and prompt[-1]["role"] == "tool"
    )
    with ThreadPoolExecutor(1) as pool:
        turn = pool.submit(client.agents.messages.create, agent.id, input=text)
        assert gate.reached.wait(30)
        client.agents.messages.reset(agent.id, add_default_initial_messages=adds)
        kinds = [kind for kind, _ in said(client, agent.id)]
        assert kinds == ["user_message", "tool_call_message", "tool_return_message"]
        gate.opened.set()
        assert turn.result(30).messages[-1].content == "done"
    assert client.agents.messages.create(agent.id, input="after").messages
    assert [content for _, content in said(client, agent.id)][-3:] == [
        "done",
        "after",
        "You said: after",
    ]
    assert provider.problems == []


def test_a_turn_that_was_running_at_the_reset_goes_with_the_next_one(
    client: Letta, provider: FakeProvider
) -> None:
    agent = client.agents.create(model=HANDLE)
    gate = provider.hold(lambda prompt: last_user_text(prompt) == "wait for the reset")
    with ThreadPoolExecutor(1) as pool:
        turn = pool.submit(client.agents.messages.create, agent.id, input="wait for the reset")
        assert gate.reached.wait(30)
        client.agents.messages.reset(agent.id)
        gate.opened.set()
        turn.result(30)
    assert len(said(client, agent.id)) == 2
    client.agents.messages.reset(agent.id)
    assert said(client, agent.id) == []
