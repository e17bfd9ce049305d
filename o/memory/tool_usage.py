"""What a prompt says of an agent's tool rules, so that the model need not run into them."""

from collections.abc import Iterator, Sequence

from o.domain.agents import Agent
from o.domain.loops import is_legacy
from o.domain.rules.kinds import Rule
from o.memory.structure import inert


def tool_usage_rules(agent: Agent) -> str:
    """The section of the prompt, empty where no rule asks anything of the model.

    Rules about tools that the agent lacks say nothing, and of a tool that waits for approval the
    model has nothing to heed. As in V1 a rule's `prompt_template` is not read.
    """
    known = [rule for rule in agent.tool_rules if rule["tool_name"] in agent.tool_names]
    lines = list(dict.fromkeys([*_of_all(agent, known), *_of_each(agent, known)]))
    if not lines:
        return ""
    shown = "\n".join(f"- {inert(line)}" for line in lines)
    return (
        "<tool_usage_rules>\n"
        "These rules hold for your tools. A call that breaks one is refused.\n"
        f"{shown}\n</tool_usage_rules>"
    )


def _of_all(agent: Agent, rules: Sequence[Rule]) -> Iterator[str]:
    """What several rules say together."""
    if first := _names(rules, "run_first"):
        yield f"The first tool that you call in a turn is {_any_of(first)}."
    if ending := _names(rules, "exit_loop"):
        yield f"Your turn ends after {_any_of(ending)}."
    continuing = _names(rules, "continue_loop")
    if continuing and is_legacy(agent):  # elsewhere it goes on after every call
        yield f"Your turn goes on after {_any_of(continuing)}."


def _of_each(agent: Agent, rules: Sequence[Rule]) -> Iterator[str]:
    for rule in rules:
        tool = rule["tool_name"]
        children = [name for name in rule.get("children") or () if name in agent.tool_names]
        match rule["type"]:
            case "constrain_child_tools" if children:
                yield f"Right after {tool}, call {_any_of(children)}."
            case "parent_last_tool" if children:
                yield f"Right after {tool}, and only then, call {_any_of(children)}."
            case "conditional":
                yield from _conditional(agent, rule)
            case "required_before_exit":
                yield f"Call {tool} at least once before your turn ends."
            case "max_count_per_step":
                limit = rule["max_count_limit"]
                yield f"Call {tool} at most {limit} {'time' if limit == 1 else 'times'} in a turn."


def _conditional(agent: Agent, rule: Rule) -> Iterator[str]:
    tool = rule["tool_name"]
    for case, child in rule["child_output_mapping"].items():
        if child in agent.tool_names:
            yield f'Right after {tool} has returned "{case}", call {child}.'
    default = None if rule.get("require_output_mapping") else rule.get("default_child")
    if default in agent.tool_names:
        yield f"Right after {tool} has returned anything else, call {default}."


def _names(rules: Sequence[Rule], kind: str) -> list[str]:
    return list(dict.fromkeys(rule["tool_name"] for rule in rules if rule["type"] == kind))


def _any_of(names: Sequence[str]) -> str:
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))
