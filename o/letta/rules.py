"""V1's tool rules as ours, which have the same spelling."""

from collections.abc import Callable
from typing import Any

from o.domain.text import storable, storable_json
from o.letta.notes import Notes
from o.letta.values import count_of, objects_of, text_of, texts_of

UNKNOWN_RULE = "A tool rule that makes no sense here is left out, and kept for exports"

# The names of V1's classes, by which very old data may call them.
_OLDER = {
    "InitToolRule": "run_first",
    "TerminalToolRule": "exit_loop",
    "ContinueToolRule": "continue_loop",
    "ToolRule": "constrain_child_tools",
    "ChildToolRule": "constrain_child_tools",
}


def rules_of(given: Any, notes: Notes, where: str) -> tuple[list[dict[str, Any]], list[Any]]:
    """The rules that an agent has, and those that are none here.

    Args:
        given: V1's `tool_rules`.
        notes: Takes that there are such.
        where: Whose they are.
    """
    rules: list[dict[str, Any]] = []
    others: list[Any] = []
    for place, one in enumerate(given if isinstance(given, list) else []):
        rule = _rule_of(one) if isinstance(one, dict) else None
        if rule is None:
            notes.tell(UNKNOWN_RULE, f"{where}.tool_rules[{place}]")
            others.append(storable_json(one))
        elif rule not in rules:
            rules.append(rule)
    return rules, others


def _rule_of(given: dict[str, Any]) -> dict[str, Any] | None:
    kind, tool_name = given.get("type"), text_of(given.get("tool_name"))
    name = _OLDER.get(kind, kind) if isinstance(kind, str) else None
    read = _KINDS.get(name or "")
    if read is None or tool_name is None:
        return None
    own = read(given)
    if own is None:
        return None
    template = text_of(given.get("prompt_template"))
    return {"tool_name": tool_name, "prompt_template": template, "type": name} | own


def _plain(_given: dict[str, Any]) -> dict[str, Any]:
    return {}


def _first(given: dict[str, Any]) -> dict[str, Any]:
    args = given.get("args")
    return {"args": storable_json(args) if isinstance(args, dict) else None}


def _children(given: dict[str, Any]) -> dict[str, Any] | None:
    if not isinstance(given.get("children"), list):
        return None
    nodes = [
        {"name": storable(node["name"]), **_first(node)}
        for node in objects_of(given.get("child_arg_nodes"))
        if isinstance(node.get("name"), str)
    ]
    return {"children": texts_of(given["children"]), "child_arg_nodes": nodes or None}


def _parent(given: dict[str, Any]) -> dict[str, Any] | None:
    found = given.get("children")
    return {"children": texts_of(found)} if isinstance(found, list) else None


def _conditional(given: dict[str, Any]) -> dict[str, Any] | None:
    cases = given.get("child_output_mapping")
    if not isinstance(cases, dict):
        return None
    return {
        "default_child": text_of(given.get("default_child")),
        "child_output_mapping": {
            storable(case): storable(child)
            for case, child in cases.items()
            if isinstance(child, str)
        },
        "require_output_mapping": given.get("require_output_mapping") is True,
    }


def _max_count(given: dict[str, Any]) -> dict[str, Any] | None:
    limit = count_of(given.get("max_count_limit"))
    return {"max_count_limit": limit} if limit else None


_KINDS: dict[str, Callable[[dict[str, Any]], dict[str, Any] | None]] = {
    "exit_loop": _plain,
    "continue_loop": _plain,
    "required_before_exit": _plain,
    "requires_approval": _plain,
    "run_first": _first,
    "constrain_child_tools": _children,
    "parent_last_tool": _parent,
    "conditional": _conditional,
    "max_count_per_step": _max_count,
}
