"""Compaction because a client asks, and what becomes of the window afterwards."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from letta_client import APIStatusError, BadRequestError, ConflictError, Letta, NotFoundError

from o.ids import new_id
from tests.api.test_compaction import (
    FILLER,
    prompts_of,
    small_agent,
    speak,
    summaries_in,
)
from tests.support.approvals import answer, approval, ask, guarded_agent, request_of
from tests.support.product import Product
from tests.support.provider import FakeProvider, call, do, last_user_text, say
from tests.support.windows import summing


def spoken_to(client: Letta, **settings: Any) -> str:
    """An agent with six exchanges; its id."""
    agent_id = small_agent(client, 30_000, **settings)
    for n in range(6):
        speak(client, agent_id, f"message {n}")
    return agent_id


def test_a_client_compacts_a_history(client: Letta, provider: FakeProvider) -> None:
    agent_id = small_agent(client, 30_000)
    with pytest.raises(BadRequestError, match="nothing to compact"):
        client.agents.messages.compact(agent_id)
    for n in range(6):
        speak(client, agent_id, f"message {n}")
    done = client.agents.messages.compact(agent_id)
    assert done.summary == "They like tea."
    assert done.num_messages_before == 13
    assert done.num_messages_after == 9, "two fifths go"
    assert speak(client, agent_id, "and now?") == "You said: and now?"
    last = prompts_of(provider, agent_id)[-1]
    assert len(last) == done.num_messages_after + 1
    stats = summaries_in(last)[0]["compaction_stats"]
    assert (stats["trigger"], stats["messages_count_before"]) == ("manual", 13)
    listed = client.agents.messages.list(agent_id, limit=50, order="asc").items
    assert [m.message_type for m in listed].count("user_message") == 8
    assert json.loads(str(listed[13].content))["type"] == "system_alert", "where history was then"


def test_settings_of_the_request_go_before_the_agents(
    client: Letta, provider: FakeProvider
) -> None:
    agent_id = spoken_to(client)
    done = client.conversations.messages.compact(
        "default",
        agent_id=agent_id,
        compaction_settings={
            "mode": "all",
            "clip_chars": 9,
            "prompt": summing(say("They like coffee.")),
            "prompt_acknowledgement": True,
        },
    )
    assert (done.summary, done.num_messages_after) == ("They like", 2)
    asked = [one for one in provider.prompts if "They like coffee." in str(one[0]["content"])]
    assert [one["role"] for one in asked[0]] == ["system", "assistant", "user"]
    assert "user: message 5" in asked[0][-1]["content"]


def test_an_agent_sums_up_itself_behind_its_own_prompt(
    client: Letta, provider: FakeProvider
) -> None:
    agent_id = spoken_to(client, mode="self_compact_all")
    assert client.agents.messages.compact(agent_id).summary == "They like tea."
    asked = prompts_of(provider, agent_id)[-1]
    before = prompts_of(provider, agent_id)[-2]
    assert asked[: len(before)] == before, "the provider's cache is used"
    assert str(asked[-1]["content"]).startswith("sum:")


def test_an_earlier_summary_is_summed_up_too(client: Letta, provider: FakeProvider) -> None:
    agent_id = spoken_to(client)
    client.agents.messages.compact(agent_id)
    for n in range(6):
        speak(client, agent_id, f"more {n}")
    client.agents.messages.compact(agent_id)
    asked = [one for one in provider.prompts if "They like tea." in str(one[-1]["content"])]
    assert "Summary of what came before:\nThey like tea." in str(asked[-1][-1]["content"])
    speak(client, agent_id, "and now?")
    assert len(summaries_in(prompts_of(provider, agent_id)[-1])) == 1


def test_a_request_for_approval_stays(client: Letta, provider: FakeProvider) -> None:
    agent = guarded_agent(client, compaction_settings={"mode": "all"})
    for n in range(4):
        speak(client, agent.id, f"message {n}")
    (waiting,) = request_of(ask(client, agent)).tool_calls
    done = client.agents.messages.compact(agent.id)
    assert done.num_messages_after < done.num_messages_before
    assert client.agents.retrieve(agent.id).pending_approval is not None
    response = answer(client, agent, approval(waiting.tool_call_id))
    assert response.stop_reason.stop_reason == "end_turn"
    last = prompts_of(provider, agent.id)[-1]
    assert [one["role"] for one in last][2:] == ["assistant", "tool"]
    assert not provider.problems


def test_nothing_is_compacted_while_a_run_is_under_way(
    client: Letta, provider: FakeProvider
) -> None:
    agent_id = spoken_to(client)
    held = provider.hold(lambda prompt: last_user_text(prompt) == f"wait {agent_id}")
    with ThreadPoolExecutor() as pool:
        sent = pool.submit(speak, client, agent_id, f"wait {agent_id}")
        assert held.reached.wait(20)
        with pytest.raises(ConflictError, match="under way") as refusal:
            client.agents.messages.compact(agent_id)
        held.opened.set()
        assert refusal.value.response.headers["x-should-retry"] == "false"
        assert sent.result(30) == f"You said: wait {agent_id}"
    assert client.agents.messages.compact(agent_id).num_messages_before == 15


def test_two_clients_at_once_compact_once(client: Letta, provider: FakeProvider) -> None:
    agent_id = spoken_to(client)
    with ThreadPoolExecutor() as pool:
        sent = [pool.submit(client.agents.messages.compact, agent_id) for _ in range(3)]
    errors = [error for one in sent if (error := one.exception()) is not None]
    assert len(errors) < 3
    assert all(isinstance(error, ConflictError | BadRequestError) for error in errors)
    assert speak(client, agent_id, "and now?") == "You said: and now?"
    assert len(summaries_in(prompts_of(provider, agent_id)[-1])) == 1


def test_a_fork_has_the_window_of_its_source(client: Letta, provider: FakeProvider) -> None:
    agent_id = spoken_to(client)
    client.agents.messages.compact(agent_id)
    forked = client.conversations.fork("default", agent_id=agent_id)
    for thread in (None, forked.id):
        if thread is None:
            speak(client, agent_id, "and now?")
        else:
            list(client.conversations.messages.create(thread, input="and now?"))
    own, copied = prompts_of(provider, agent_id)[-1], provider.prompts[-1]
    assert copied[1:] == own[1:]
    assert len(summaries_in(copied)) == 1


def test_a_reset_takes_the_summary_along(client: Letta, provider: FakeProvider) -> None:
    agent_id = spoken_to(client)
    client.agents.messages.compact(agent_id)
    client.agents.messages.reset(agent_id, add_default_initial_messages=False)
    speak(client, agent_id, "hello")
    assert [one["role"] for one in prompts_of(provider, agent_id)[-1]] == ["system", "user"]


def test_a_conversation_is_compacted_by_itself(client: Letta, provider: FakeProvider) -> None:
    agent_id = spoken_to(client)
    made = client.conversations.create(agent_id=agent_id)
    for n in range(4):
        list(client.conversations.messages.create(made.id, input=f"beside {n}"))
    done = client.conversations.messages.compact(made.id)
    assert done.num_messages_before == 9
    speak(client, agent_id, "still there?")
    assert not summaries_in(prompts_of(provider, agent_id)[-1])


def test_what_is_not_there_cannot_be_compacted(client: Letta, server: Product) -> None:
    with pytest.raises(NotFoundError):
        client.agents.messages.compact(new_id("agent"))
    with pytest.raises(NotFoundError):
        client.conversations.messages.compact(new_id("conv"))
    with pytest.raises(BadRequestError, match="needs agent_id"):
        client.conversations.messages.compact("default")
    with pytest.raises(APIStatusError) as refusal:
        client.agents.messages.compact("agent-x")
    assert refusal.value.status_code == 422
    body = '{"compaction_settings": ' + '{"a": ' * 5_000
    url = f"{server.url}/v1/agents/{new_id('agent')}/summarize"
    assert httpx.post(url, content=body).status_code == 422


def test_answers_and_streams_tell_of_a_compaction_where_they_are_asked(client: Letta) -> None:
    asked, silent = small_agent(client, 2_000), small_agent(client, 2_000)
    streamed: list[Any] = []
    answered: list[list[Any]] = []
    for n in range(8):
        stream = client.agents.messages.create(
            asked, input=f"{n} {FILLER}", streaming=True, include_compaction_messages=True
        )
        streamed += list(stream)
        reply = client.agents.messages.create(silent, input=f"{n} {FILLER}")
        answered.append([m.message_type for m in reply.messages])
    assert answered == [["assistant_message"]] * 8
    shown = [m for m in streamed if m.message_type in ("event_message", "summary_message")]
    event, summary = shown[:2]
    assert event.event_type == "compaction"
    assert event.event_data["trigger"] == "post_step_context_check"
    assert (summary.id, summary.summary) == (event.id, "They like tea.")
    assert summary.compaction_stats["messages_count_after"] < 12
    reply = client.agents.messages.create(
        silent, input=FILLER * 2, include_compaction_messages=True
    )
    assert [m.message_type for m in reply.messages] in (
        ["assistant_message"],
        ["event_message", "summary_message", "assistant_message"],
    )


def test_a_turn_of_many_steps_that_fills_the_window_goes_on(
    client: Letta, provider: FakeProvider
) -> None:
    agent_id = small_agent(client, 2_500)
    client.agents.tools.attach(
        next(t.id for t in client.tools.list(name="conversation_search").items),
        agent_id=agent_id,
    )
    request = do(call("conversation_search", query="zebra") | {"say": FILLER})
    reply = client.agents.messages.create(agent_id, input=request)
    assert reply.stop_reason.stop_reason == "end_turn"
    (alert,) = summaries_in(prompts_of(provider, agent_id)[-1])
    assert alert["message"].endswith(f"word by word:\n{request}")
    assert not provider.problems
