"""What prompts say of tool rules: all that a model can heed, and nothing else."""

from datetime import UTC, datetime
from typing import Any

import pytest

from o.domain.agents import Agent, Conversation
from o.memory.prompt import compile_prompt, prompt_key
from o.memory.tool_usage import tool_usage_rules

NOW = datetime(2026, 3, 1, 9, 15, tzinfo=UTC)


def agent(*rules: dict[str, Any], **fields: Any) -> Agent:
    base = {"id": "agent-1", "organization_id": "org-1", "name": "ada", "system": "Be kind."}
    more = {"model": "openai/x", "created_at": NOW, "updated_at": NOW, "tool_names": list("abc")}
    return Agent.model_validate(base | more | {"tool_rules": list(rules)} | fields)


def rule(kind: str, tool: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, "tool_name": tool, **fields}


@pytest.mark.parametrize(
    ("rules", "lines"),
    [
        ([rule("run_first", "a")], ["The first tool that you call in a turn is a."]),
        (
            [rule("run_first", "a"), rule("run_first", "b"), rule("run_first", "c")],
            ["The first tool that you call in a turn is a, b or c."],
        ),
        ([rule("exit_loop", "a"), rule("exit_loop", "b")], ["Your turn ends after a or b."]),
        (
            [rule("constrain_child_tools", "a", children=["b", "gone", "c"])],
            ["Right after a, call b or c."],
        ),
        (
            [rule("parent_last_tool", "a", children=["b"])],
            ["Right after a, and only then, call b."],
        ),
        (
            [rule("conditional", "a", child_output_mapping={"1": "b"}, default_child="c")],
            [
                'Right after a has returned "1", call b.',
                "Right after a has returned anything else, call c.",
            ],
        ),
        (
            [
                rule(
                    "conditional",
                    "a",
                    child_output_mapping={"1": "b", "2": "gone"},
                    default_child="c",
                    require_output_mapping=True,
                )
            ],
            ['Right after a has returned "1", call b.'],
        ),
        ([rule("required_before_exit", "a")], ["Call a at least once before your turn ends."]),
        (
            [
                rule("max_count_per_step", "a", max_count_limit=1),
                rule("max_count_per_step", "b", max_count_limit=2),
            ],
            ["Call a at most 1 time in a turn.", "Call b at most 2 times in a turn."],
        ),
    ],
)
def test_a_rule_is_told_in_a_line(rules: list[dict[str, Any]], lines: list[str]) -> None:
    section = tool_usage_rules(agent(*rules)).split("\n")
    assert (section[0], section[-1]) == ("<tool_usage_rules>", "</tool_usage_rules>")
    assert section[2:-1] == [f"- {line}" for line in lines]


@pytest.mark.parametrize(
    "rules",
    [
        [],
        [rule("requires_approval", "a")],
        [rule("exit_loop", "gone")],
        [rule("constrain_child_tools", "a", children=["gone"])],
        [rule("parent_last_tool", "a", children=["gone"])],
        [rule("continue_loop", "a")],
    ],
)
def test_rules_that_ask_nothing_of_the_model_leave_the_prompt_as_it_is(
    rules: list[dict[str, Any]],
) -> None:
    assert prompt_key(agent(*rules), []) == prompt_key(agent(), [])
    assert "<tool_usage_rules>" not in compiled(agent(*rules))


def test_the_legacy_loop_is_told_which_tools_it_goes_on_after() -> None:
    rules = [rule("continue_loop", "a"), rule("continue_loop", "b")]
    section = tool_usage_rules(agent(*rules, agent_type="memgpt_agent"))
    assert "- Your turn goes on after a or b.\n" in section


@pytest.mark.parametrize("agent_type", ["letta_v1_agent", "react_agent"])
def test_the_section_stands_ahead_of_what_changes_with_time(agent_type: str) -> None:
    prompt = compiled(agent(rule("exit_loop", "a"), agent_type=agent_type))
    places = [prompt.find(name) for name in ("<tool_usage_rules>", "<memory_metadata>")]
    assert 0 < places[0] < places[1]
    assert prompt.find("<memory_blocks>") < places[0]


def test_the_key_of_the_prompt_changes_with_what_the_rules_say() -> None:
    key = prompt_key(agent(rule("exit_loop", "a")), [])
    assert key != prompt_key(agent(), [])
    assert key != prompt_key(agent(rule("exit_loop", "b")), [])
    assert key != prompt_key(agent(rule("exit_loop", "a"), tool_names=["b"]), [])
    assert key == prompt_key(agent(rule("exit_loop", "a"), tool_names=["c", "a"]), [])


def compiled(agent: Agent) -> str:
    conversation = Conversation(
        id="conv-1", organization_id="org-1", agent_id="agent-1", created_at=NOW, updated_at=NOW
    )
    return compile_prompt(agent, conversation, [], recall_count=0, now=NOW)
