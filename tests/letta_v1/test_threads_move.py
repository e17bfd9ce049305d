"""Threads of a V1 database: their messages, what stood in the context, and the next message."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from letta_client import APIStatusError, Letta, NotFoundError

from tests.letta_v1.databases import new_v1
from tests.letta_v1.moving import run_import
from tests.letta_v1.rows import V1
from tests.letta_v1.said import FORKED, SHAPES, Said, everything_said, new_agent, plain
from tests.support.product import Product
from tests.support.provider import FakeProvider

TOOL = '''def add_numbers(a: int, b: int) -> int:
    """Add.

    Args:
        a: One.
        b: Another.
    """
    return a + b
'''

Moved = dict[str, Said]


@pytest.fixture(scope="module")
def all_said(server: Product) -> Iterator[Moved]:
    with new_v1(server) as v1:
        found = _fill(v1)
        assert run_import(server, v1.url)["status"] == 0
        yield found


def _fill(v1: V1) -> Moved:
    found = everything_said(v1)
    tool = v1.add(
        "tools",
        name="add_numbers",
        source_code=TOOL,
        json_schema={"name": "add_numbers", "parameters": {"type": "object", "properties": {}}},
    )
    for agent_id in {said.agent_id for said in found.values()}:
        v1.add("tools_agents", agent_id=agent_id, tool_id=tool)
    return found


def _shown(client: Letta, said: Said) -> list[str]:
    """The ids of what stands in the window."""
    if said.conversation_id is None:
        return list(client.agents.retrieve(said.agent_id).message_ids or [])
    found = client.conversations.retrieve(said.conversation_id)
    return list(found.in_context_message_ids or [])


@pytest.mark.parametrize("shape", SHAPES)
def test_the_window_is_what_v1_had_in_context_in_its_order(
    client: Letta, all_said: Moved, shape: str
) -> None:
    for name, said in all_said.items():
        if name.split("/")[0] != shape:
            continue
        listed = list(dict.fromkeys(one for one in said.listed if one in said.stored))
        shown = _shown(client, said)
        if shape == "waiting":  # the two rows of one reply are one message, which bears the last id
            listed.pop(-2)
        made = [one for one in shown if one not in listed]
        assert [one for one in shown if one in listed] == listed, name
        # A head; a return of a parallel call; returns of calls that had none.
        most = {"headless": 1, "silent": 1, "tools": 1, "torn": 2}
        assert len(made) == most.get(shape, 0), name


def test_a_history_keeps_the_order_in_which_it_was_stored(client: Letta, all_said: Moved) -> None:
    said = all_said["compacted"]
    pages = client.agents.messages.list(
        said.agent_id, conversation_id="default", order="asc", limit=100
    )
    shown = list(dict.fromkeys(message.id for message in pages.items))
    assert shown == said.stored


def test_what_failed_is_in_the_history_and_not_in_the_prompt(
    client: Letta, provider: FakeProvider, all_said: Moved
) -> None:
    said = all_said["failed"]
    listed = client.agents.messages.list(said.agent_id, order="asc", limit=100).items
    assert any("This one failed" in str(message) for message in listed)
    client.agents.messages.create(said.agent_id, input="And now?")
    prompt = str(provider.prompts[-1])
    assert "Answer 1" in prompt
    assert "Next" in prompt
    assert "This one failed" not in prompt
    assert "half" not in prompt


@pytest.mark.parametrize(
    "name",
    [f"{shape}{of}" for shape in SHAPES for of in ("", "/beside")]
    + [f"{shape}/fork" for shape in FORKED],
)
def test_the_next_message_works_in_every_thread(
    client: Letta, provider: FakeProvider, all_said: Moved, name: str
) -> None:
    said = all_said[name]
    send = _sender(client, said)
    if name.startswith("waiting"):
        with pytest.raises(APIStatusError, match=r"PENDING_APPROVAL|waiting for approval"):
            send(input="hello")
        denial = {"type": "approval", "tool_call_id": "call_w", "approve": False, "reason": "no"}
        send(messages=[{"type": "approval", "approvals": [denial]}])
    assert send(input="hello")
    assert provider.problems == []


def test_agents_of_another_organization_answer_its_own_users_alone(
    client: Letta, server: Product
) -> None:
    with new_v1(server) as v1:
        owner = {"organization_id": v1.add("organizations", name="Acme")}
        user_id = v1.add("users", name="bea", **owner)
        said = plain(new_agent(v1, "theirs", **owner))
        v1.query("UPDATE messages SET organization_id = %s", owner["organization_id"])
        said.keep()
        assert run_import(server, v1.url)["status"] == 0
    with pytest.raises(NotFoundError):
        client.agents.retrieve(said.agent_id)
    theirs = client.with_options(default_headers={"user_id": user_id})
    assert theirs.agents.retrieve(said.agent_id).message_ids == said.listed
    assert theirs.agents.messages.create(said.agent_id, input="hello").messages
    assert [agent.id for agent in theirs.agents.list()] == [said.agent_id]


def _sender(client: Letta, said: Said) -> Callable[..., bool]:
    """Sends to a thread; whether it was answered with words."""

    def send(**body: Any) -> bool:
        if said.conversation_id is None:
            reply = client.agents.messages.create(said.agent_id, **body)
            messages: list[Any] = list(reply.messages)
        else:
            messages = list(client.conversations.messages.create(said.conversation_id, **body))
        return any(message.message_type == "assistant_message" for message in messages)

    return send
