"""What an agent finds of what was said, in whichever of its conversations it was said."""

import json
from typing import Any

from letta_client import Letta
from letta_client.types import AgentState

from tests.support.chats import speak
from tests.support.provider import call, do, say


def found(client: Letta, conversation_id: str, query: str, **more: Any) -> list[str]:
    search = call("conversation_search", query=query, roles=["user"], **more)
    said = speak(client, conversation_id, do(search, say("done")))
    (returned,) = [one for one in said if one.message_type == "tool_return_message"]
    results = json.loads(returned.tool_return)["results"]
    return [one["content"] for one in results if not one["content"].startswith("do:")]


def test_the_newest_is_found_first_wherever_it_was_said(client: Letta, agent: AgentState) -> None:
    for n in range(5):  # a longer history, with higher positions
        client.agents.messages.create(agent.id, input=f"the pear number {n}")
    other = client.conversations.create(agent_id=agent.id).id
    speak(client, other, "the newest pear")
    third = client.conversations.create(agent_id=agent.id).id
    assert found(client, third, "the newest pear")[0] == "the newest pear"
    # The run that searches holds the word too, and is before the agent anyway.
    assert found(client, third, "pear", limit=4)[:2] == ["the newest pear", "the pear number 4"]


def test_what_was_said_in_a_deleted_conversation_is_not_found(
    client: Letta, agent: AgentState
) -> None:
    other = client.conversations.create(agent_id=agent.id).id
    speak(client, other, "a secret plum")
    third = client.conversations.create(agent_id=agent.id).id
    assert found(client, third, "a secret plum") == ["a secret plum"]
    client.conversations.delete(other)
    assert found(client, third, "a secret plum") == []
