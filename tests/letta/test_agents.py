"""What V1 says of an agent is what ours is, and what makes no sense is told and kept."""

from typing import Any

import pytest

from o.letta.agents import agent_fields
from o.letta.notes import Notes

CONFIG = {
    "model": "gpt-4o-mini",
    "model_endpoint_type": "openai",
    "model_endpoint": "https://example.com/v1",
    "context_window": 32000,
    "temperature": 0.7,
    "max_tokens": None,
    "enable_reasoner": False,
}


def fields(**given: Any) -> tuple[dict[str, Any], dict[str, Any], Notes]:
    notes = Notes()
    found = agent_fields(given, notes, "agents[0]")
    return found.values, found.kept, notes


def test_a_model_is_named_by_its_config_and_never_by_its_address() -> None:
    values, _, _ = fields(name="a", agent_type="letta_v1_agent", llm_config=CONFIG)
    assert values["model"] == "openai/gpt-4o-mini"
    assert values["context_window"] == 32000
    assert values["model_settings"] == {"temperature": 0.7}
    assert values["llm_options"] == {"enable_reasoner": False}
    named, _, _ = fields(llm_config=CONFIG | {"handle": "openai-proxy/qwen/3"}, model=None)
    assert named["model"] == "openai-proxy/qwen/3"


@pytest.mark.parametrize(
    ("given", "served"),
    [
        (None, "memgpt_agent"),
        ("voice_convo_agent", "letta_v1_agent"),
        ("voice_sleeptime_agent", "sleeptime_agent"),
        ("hive_mind", "letta_v1_agent"),
        ("sleeptime_agent", "sleeptime_agent"),
    ],
)
def test_an_agent_of_a_type_that_is_not_served_goes_on_as_what_comes_nearest(
    given: str | None, served: str
) -> None:
    values, kept, notes = fields(agent_type=given)
    assert values["agent_type"] == served
    is_told = given is not None and given != served
    assert kept == ({"agent_type": given} if is_told else {})
    assert any(served in line for line in notes.lines()) == is_told


def test_rules_that_make_no_sense_are_kept_and_told() -> None:
    rules = [
        {"type": "exit_loop", "tool_name": "bye", "prompt_template": None},
        {"type": "TerminalToolRule", "tool_name": "bye"},
        {"type": "max_count_per_step", "tool_name": "x", "max_count_limit": 2},
        {"type": "max_count_per_step", "tool_name": "x", "max_count_limit": "many"},
        {"type": "conditional", "tool_name": "x", "child_output_mapping": {"a": "b", "c": 1}},
        {"type": "sing", "tool_name": "x"},
        "nonsense",
    ]
    values, kept, notes = fields(agent_type="letta_v1_agent", tool_rules=rules)
    assert [rule["type"] for rule in values["tool_rules"]] == [
        "exit_loop",
        "max_count_per_step",
        "conditional",
    ]
    assert len(kept["tool_rules"]) == 3
    assert "agents[0].tool_rules[3]" in notes.lines()[0] or "3 times" in notes.lines()[0]


@pytest.mark.parametrize(
    "given",
    [
        {"llm_config": 3, "embedding_config": [], "metadata": "x", "tool_rules": {}},
        {"llm_config": {"handle": 7, "context_window": "big"}, "timezone": "Mars/Olympus"},
        {"response_format": {"type": "yaml"}, "compaction_settings": {"mode": "burn"}},
        {"name": "", "system": None, "hidden": "yes", "max_files_open": 10**30},
        {"name": "a\x00\ud800b", "system": {"a": 1}},
    ],
)
def test_wrong_types_say_nothing(given: dict[str, Any]) -> None:
    values, _, _ = fields(**given)
    assert values["name"]
    assert isinstance(values["model"], str)
    assert values["context_window"] >= 1
    assert values["timezone"] == "UTC"
    assert values["hidden"] is None
    assert values["response_format"] is None
