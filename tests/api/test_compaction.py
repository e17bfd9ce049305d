"""Compaction before a prompt is too long: what leaves the window, and what takes its place."""

import json
from typing import Any

from letta_client import Letta

from tests.support.provider import HANDLE, FakeProvider, Prompt, last_user_text, say
from tests.support.windows import summing
from tests.support.windows import window_of as window_of_prompt

FILLER = "The quick brown fox jumps over the lazy dog and thinks of a good name for it. " * 8


def small_agent(client: Letta, window: int, *, told: str = "", **settings: Any) -> str:
    """An agent with a small window, of which the provider knows; returns its id."""
    made = client.agents.create(
        model=HANDLE,
        system=f"[window {window}] {told}",
        context_window_limit=window,
        include_base_tools=False,
        extra_body={
            "memory_blocks": [],
            "compaction_settings": {"prompt": summing(say("They like tea.")), **settings},
        },
    )
    return made.id


def speak(client: Letta, agent_id: str, text: str) -> str:
    """Say something; returns the answer."""
    reply = client.agents.messages.create(agent_id, input=text)
    return str(reply.messages[-1].content)


def prompts_of(provider: FakeProvider, agent_id: str) -> list[Prompt]:
    return [one for one in provider.prompts if f"AGENT_ID: {agent_id}\n" in one[0]["content"]]


def summaries_in(prompt: Prompt) -> list[dict[str, Any]]:
    """The summaries that stand in a prompt, unpacked."""
    texts = [m["content"] for m in prompt if m["role"] == "user"]
    return [json.loads(text) for text in texts if text.startswith('{"type": "system_alert"')]


def test_a_long_conversation_stays_within_its_window(client: Letta, provider: FakeProvider) -> None:
    agent_id = small_agent(client, 2_000)
    for n in range(12):
        speak(client, agent_id, f"{n} {FILLER}")
    prompts = prompts_of(provider, agent_id)
    assert not provider.problems
    last = prompts[-1]
    (alert,) = summaries_in(last)
    assert "They like tea." in alert["message"]
    assert last_user_text(last) == f"11 {FILLER}"
    assert window_of_prompt(last) == 2_000
    listed = client.agents.messages.list(agent_id, limit=200, order="asc").items
    said = [m.content for m in listed if m.message_type == "user_message"]
    assert [f"{n} {FILLER}" in said for n in range(12)] == [True] * 12
