"""Tool rules when a tool gets another name, or is gone."""

from collections.abc import Collection, Sequence
from typing import Any

Rules = list[dict[str, Any]]


def with_tool_renamed(rules: Sequence[dict[str, Any]], name: str, new: str) -> Rules:
    """The rules with another name for one tool, wherever they speak of it."""
    return [_renamed(rule, name, new) for rule in rules]


def without_tools(rules: Sequence[dict[str, Any]], names: Collection[str]) -> Rules:
    """The rules without those about tools that are gone.

    Where others name one as a child it stays: a tool that an agent lacks means nothing there.
    """
    return [rule for rule in rules if rule.get("tool_name") not in names]


def _renamed(rule: dict[str, Any], name: str, new: str) -> dict[str, Any]:
    def named(value: Any) -> Any:
        return new if value == name else value

    changed = dict(rule)
    for key in ("tool_name", "default_child"):
        if key in rule:
            changed[key] = named(rule[key])
    if isinstance(children := rule.get("children"), list):
        changed["children"] = [named(child) for child in children]
    if isinstance(nodes := rule.get("child_arg_nodes"), list):
        changed["child_arg_nodes"] = [
            node | {"name": named(node.get("name"))} if isinstance(node, dict) else node
            for node in nodes
        ]
    if isinstance(mapping := rule.get("child_output_mapping"), dict):
        changed["child_output_mapping"] = {case: named(tool) for case, tool in mapping.items()}
    return changed
