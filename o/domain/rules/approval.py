"""The tool rules by which a tool waits for a person's approval."""

from collections.abc import Iterable, Sequence
from typing import Any

from o.domain.llm import ToolSpec

_TYPE = "requires_approval"
Rules = list[dict[str, Any]]


def with_approval(rules: Sequence[dict[str, Any]], tool_name: str) -> Rules:
    """The rules under which this tool waits for approval; once is enough."""
    if any(_is_about(rule, tool_name) for rule in rules):
        return list(rules)
    return [*rules, {"tool_name": tool_name, "type": _TYPE, "prompt_template": None}]


def without_approval(rules: Sequence[dict[str, Any]], tool_name: str) -> Rules:
    """The rules under which this tool does not wait for approval."""
    return [rule for rule in rules if not _is_about(rule, tool_name)]


def with_default_approvals(rules: Sequence[dict[str, Any]], added: Iterable[ToolSpec]) -> Rules:
    """The rules of an agent that is given these tools: some ask for approval of themselves.

    That is V1's `default_requires_approval`, which counts when an agent gets the tool; what is
    ruled afterwards stays.
    """
    found = list(rules)
    for tool in added:
        if tool.default_requires_approval:
            found = with_approval(found, tool.name)
    return found


def _is_about(rule: dict[str, Any], tool_name: str) -> bool:
    return (rule["type"], rule["tool_name"]) == (_TYPE, tool_name)
