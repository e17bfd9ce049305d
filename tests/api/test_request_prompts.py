"""What a request may say of its model calls' system prompt, and what of it is kept: nothing."""

from typing import Any

import httpx
import pytest
from letta_client import APIStatusError, Letta
from letta_client.types import AgentState

from tests.support.approvals import answer, approval, ask, guarded_agent, request_of
from tests.support.chats import prompt_of, speak
from tests.support.product import Product
from tests.support.provider import (
    HANDLE,
    MODEL,
    OTHER_HANDLE,
    OTHER_MODEL,
    FakeProvider,
    call,
    do,
    say,
)

SKILLS: Any = [
    {"name": "pdf", "description": "Reads PDF files.", "location": "skills/pdf/SKILL.md"},
    {"name": "git", "description": "Writes commits.", "location": "skills/git/SKILL.md"},
]
BOTH = "- pdf (skills/pdf/SKILL.md): Reads PDF files.\n- git (skills/git/SKILL.md): Writes commits."


def system_of(prompt: list[dict[str, Any]]) -> str:
    assert prompt[0]["role"] == "system"
    return str(prompt[0]["content"])


def stored(client: Letta, agent: AgentState) -> str:
    return prompt_of(client, "default", agent_id=agent.id)


def test_a_clients_skills_are_in_every_prompt_of_its_request_and_in_no_other(
    client: Letta, agent: AgentState, provider: FakeProvider
) -> None:
    kept = stored(client, agent)
    text = do(call("memory_insert", label="human", new_string="x"), say("done"))
    client.agents.messages.create(agent.id, input=text, client_skills=SKILLS)
    for prompt in provider.prompts[-2:]:
        assert system_of(prompt).startswith(kept), "what is ahead stays, for the provider's cache"
        added = system_of(prompt).removeprefix(kept)
        assert added.startswith("\n\n<available_skills>\n")
        assert added.endswith(f"\n{BOTH}\n</available_skills>")
    assert stored(client, agent) == kept
    client.agents.messages.create(agent.id, input="and now?")
    assert "<available_skills>" not in system_of(provider.prompts[-1])
    client.agents.messages.create(agent.id, input="and now?", client_skills=[])
    assert "<available_skills>" not in system_of(provider.prompts[-1])


def test_a_clients_skills_are_known_in_a_conversation_and_in_a_preview(
    server: Product, client: Letta, agent: AgentState, provider: FakeProvider
) -> None:
    conversation = client.conversations.create(agent_id=agent.id).id
    speak(client, conversation, "hello", client_skills=SKILLS)
    assert BOTH in system_of(provider.prompts[-1])
    url = f"{server.url}/v1/conversations/{conversation}/messages/preview-raw-payload"
    shown = httpx.post(url, json={"input": "hello", "client_skills": SKILLS}).json()
    assert shown["messages"][0] == provider.prompts[-1][0]


def test_a_clients_skills_stay_with_its_request_over_an_approval_pause(
    client: Letta, provider: FakeProvider
) -> None:
    agent = guarded_agent(client)
    request = request_of(ask(client, agent, client_skills=SKILLS))
    answer(client, agent, approval(request.id))
    assert BOTH in system_of(provider.prompts[-1])
    request = request_of(ask(client, agent, client_skills=SKILLS))
    answer(client, agent, approval(request.id), client_skills=SKILLS[:1])
    assert "- pdf" in system_of(provider.prompts[-1])
    assert "- git" not in system_of(provider.prompts[-1])


def test_another_model_and_prompt_hold_for_the_whole_request_and_no_longer(
    client: Letta, provider: FakeProvider
) -> None:
    agent = guarded_agent(client)
    more: Any = {"override_model": OTHER_HANDLE, "override_system": "Be brief."}
    request = request_of(ask(client, agent, **more))
    answer(client, agent, approval(request.id))
    assert provider.requests[-1]["model"] == OTHER_MODEL
    assert system_of(provider.prompts[-1]) == "Be brief."
    request = request_of(ask(client, agent, **more))
    answer(client, agent, approval(request.id), override_model=HANDLE, override_system="Be kind.")
    assert provider.requests[-1]["model"] == MODEL
    assert system_of(provider.prompts[-1]) == "Be kind."
    client.agents.messages.create(agent.id, input="and now?")
    assert provider.requests[-1]["model"] == MODEL
    assert system_of(provider.prompts[-1]) == stored(client, agent)


def test_a_request_may_bring_the_whole_system_prompt(
    client: Letta, agent: AgentState, provider: FakeProvider
) -> None:
    kept = stored(client, agent)
    text = "Their name is Grace."
    said = client.agents.messages.create(
        agent.id, input="who am I?", override_system=text, client_skills=SKILLS
    )
    assert said.messages[0].content == "You are Grace."
    assert system_of(provider.prompts[-1]) == text
    assert stored(client, agent) == kept
    client.agents.messages.create(agent.id, input="and now?")
    assert system_of(provider.prompts[-1]) == kept


@pytest.mark.parametrize("skill", [{"name": "pdf"}, {"name": 1, "description": "", "location": ""}])
def test_a_skill_without_what_it_takes_is_422(client: Letta, agent: AgentState, skill: Any) -> None:
    with pytest.raises(APIStatusError) as refused:
        client.agents.messages.create(agent.id, input="hi", client_skills=[skill])
    assert refused.value.status_code == 422


def test_a_changed_tool_rule_is_told_in_the_next_turn_and_the_prompt_then_stays(
    client: Letta, provider: FakeProvider
) -> None:
    agent = client.agents.create(model=HANDLE, memory_blocks=[{"label": "human", "value": "x"}])
    assert "<tool_usage_rules>" not in stored(client, agent)
    rule: Any = {"type": "max_count_per_step", "tool_name": "memory_insert", "max_count_limit": 2}
    client.agents.update(agent.id, tool_rules=[rule])
    systems = []
    for _ in range(2):
        client.agents.messages.create(agent.id, input="hello")
        systems.append(system_of(provider.prompts[-1]))
    assert "- Call memory_insert at most 2 times in a turn.\n" in systems[0]
    assert systems[0] == systems[1] == stored(client, agent)
    client.agents.tools.update_approval(
        "memory_insert", agent_id=agent.id, body_requires_approval=True
    )
    client.agents.messages.create(agent.id, input="hello")
    assert system_of(provider.prompts[-1]) == systems[0], "approval asks nothing of the model"
    made = client.agents.create(model=HANDLE, tool_rules=[rule])
    assert "at most 2 times" in stored(client, made)
