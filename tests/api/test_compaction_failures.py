"""Summaries that go wrong, and prompts that stay too long: no turn fails in vain."""

import pytest
from letta_client import APIStatusError, Letta, UnprocessableEntityError
from letta_client.types import AgentState

from tests.api.test_compaction import FILLER, prompts_of, small_agent, speak, summaries_in
from tests.support.product import Product
from tests.support.provider import HANDLE, Action, FakeProvider, last_user_text, say
from tests.support.windows import summing

TOO_LONG = "really " * 50_000
WENT_WRONG: dict[str, Action] = {
    "refuses": {"fail": 403},
    "is_away": {"fail": 503},
    "knows_no_key": {"fail": 401},
    "hangs": say("late") | {"delay_s": 20},
    "says_nothing": say(""),
    "says_blanks": say(" \n\t "),
    "calls_a_tool": {"calls": [{"name": "x", "arguments": "{}"}]},
    "says_far_too_much": say(TOO_LONG),
    "says_what_cannot_be_stored": say("They \u0000 like tea."),
}


@pytest.mark.parametrize(
    ("wrong", "mode"),
    [
        *((wrong, "sliding_window") for wrong in WENT_WRONG),
        ("refuses", "self_compact_all"),
        ("says_nothing", "self_compact_sliding_window"),
        ("calls_a_tool", "all"),
    ],
)
def test_no_turn_fails_for_a_summary(
    client: Letta, provider: FakeProvider, wrong: str, mode: str
) -> None:
    told = f"{wrong} {mode}"
    agent_id = small_agent(client, 2_000, told=told, prompt=summing(WENT_WRONG[wrong]), mode=mode)
    for n in range(7):
        text = f"{n} {told} {FILLER}"
        assert speak(client, agent_id, text) == f"You said: {text}"
    prompts = [one for one in prompts_of(provider, agent_id) if last_user_text(one)[0].isdigit()]
    (alert,) = summaries_in(prompts[-1])
    assert last_user_text(prompts[-1]) == f"6 {told} {FILLER}"
    assert not provider.problems
    shown = alert["message"]
    if wrong == "says_far_too_much":
        assert "really really" in shown
        assert len(shown) < 8_000
    elif wrong == "says_what_cannot_be_stored":
        assert "tea" in shown
    else:
        assert "No summary could be made" in shown
        assert told in shown, "the beginnings of what was said"


def test_a_model_that_is_busy_for_a_moment_is_asked_again(
    client: Letta, provider: FakeProvider
) -> None:
    agent_id = small_agent(
        client, 2_000, prompt=summing(say("They like tea.") | {"fail": 429, "times": 1})
    )
    for n in range(7):
        speak(client, agent_id, f"{n} busy {FILLER}")
    (alert,) = summaries_in(prompts_of(provider, agent_id)[-1])
    assert "They like tea." in alert["message"]


def test_a_model_that_is_not_there_leaves_the_summary_to_the_agents_own(
    client: Letta, provider: FakeProvider
) -> None:
    agent_id = small_agent(client, 2_000, model="nowhere/none")
    for n in range(7):
        speak(client, agent_id, f"{n} {FILLER}")
    (alert,) = summaries_in(prompts_of(provider, agent_id)[-1])
    assert "They like tea." in alert["message"]


def test_what_a_provider_finds_too_long_is_compacted_and_sent_again(
    client: Letta, provider: FakeProvider
) -> None:
    """The agent is said to have more room than its model."""
    agent_id = small_agent(client, 2_000)
    client.agents.update(agent_id, context_window_limit=100_000)
    for n in range(9):
        assert speak(client, agent_id, f"{n} {FILLER}") == f"You said: {n} {FILLER}"
    (alert,) = summaries_in(prompts_of(provider, agent_id)[-1])
    assert alert["compaction_stats"]["trigger"] == "context_window_exceeded"
    runs = client.runs.list(agent_id=agent_id, limit=50).items
    assert {run.stop_reason for run in runs} == {"end_turn"}


def test_one_message_that_no_window_holds_fails_its_run_and_no_other(client: Letta) -> None:
    agent_id = small_agent(client, 2_000)
    speak(client, agent_id, "hello")
    with pytest.raises(APIStatusError) as failure:
        speak(client, agent_id, FILLER * 20)
    assert failure.value.status_code == 400
    assert failure.value.body["error"]["type"] == "context_window_exceeded"  # type: ignore[index]
    assert speak(client, agent_id, "and now?") == "You said: and now?"


def test_a_system_prompt_that_no_window_holds_says_so(
    client: Letta, provider: FakeProvider
) -> None:
    agent_id = small_agent(client, 1_000, told=FILLER * 10)
    with pytest.raises(APIStatusError, match="system prompt and the tools take") as failure:
        speak(client, agent_id, "hello")
    assert failure.value.status_code == 400
    (run,) = client.runs.list(agent_id=agent_id).items
    assert (run.status, run.stop_reason) == (
        "failed",
        "context_window_overflow_in_system_prompt",
    )
    assert prompts_of(provider, agent_id) == []
    client.agents.update(agent_id, context_window_limit=30_000, system="Be brief.")
    assert speak(client, agent_id, "hello again") == "You said: hello again"


@pytest.mark.parametrize(
    "settings",
    [
        {"mode": "some"},
        {"sliding_window_percentage": 1.5},
        {"sliding_window_percentage": -0.1},
        {"clip_chars": 0},
        {"clip_chars": "many"},
        {"model": 7},
        {"model_settings": []},
        {"prompt": {}},
    ],
    ids=str,
)
def test_settings_that_make_no_sense_are_refused(
    client: Letta, server: Product, agent: AgentState, settings: dict[str, object]
) -> None:
    given = {"compaction_settings": settings}
    for ask in (
        lambda: client.agents.create(model=HANDLE, extra_body=given),
        lambda: client.agents.update(agent.id, extra_body=given),
        lambda: client.agents.messages.compact(agent.id, extra_body=given),
        lambda: client.conversations.messages.compact(
            "default", agent_id=agent.id, extra_body=given
        ),
    ):
        with pytest.raises(UnprocessableEntityError):
            ask()
    null = dict.fromkeys(settings)
    client.agents.update(agent.id, extra_body={"compaction_settings": null})
