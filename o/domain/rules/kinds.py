"""Tool rules: which tools a model may, must or need not call, by what was called before.

A request's history is the returns of its tool calls in order, over all its runs. Only calls that
were made count: one that a rule refused, or a person denied, leaves the rules where they were.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from o.domain.messages import ToolReturn
from o.domain.rules.outputs import is_case

Rule = Mapping[str, Any]
Arguments = Mapping[str, Any]

REFUSED = "[ToolConstraintError]"
"""What the return of a call begins with that the rules forbid, as in V1."""

_BY_HISTORY = frozenset(
    {
        "run_first",
        "constrain_child_tools",
        "parent_last_tool",
        "conditional",
        "required_before_exit",
        "max_count_per_step",
    }
)


@dataclass(frozen=True)
class RuleState:
    """What an agent's rules say at one moment of a request.

    Attributes:
        tools: All tools of the agent.
        allowed: Those that may be called now, in the order of `tools`. Empty only when every
            tool has been called as often as it may.
        must_call: Whether the model must call one of them.
        prefilled: Arguments by tool, which override those of the model.
        required: Tools to be called before the turn may end.
        hints: Why a tool is not allowed, for the model to read.
    """

    tools: tuple[str, ...]
    allowed: tuple[str, ...]
    must_call: bool = False
    prefilled: Mapping[str, Arguments] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    hints: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def shown(self) -> tuple[str, ...]:
        """The tools that the model is shown: all, when it may call none, as in V1."""
        return self.allowed or self.tools

    def fills_in(self, tool: str) -> Arguments:
        """Arguments that a call of the tool gets whatever the model says; none as a rule."""
        return self.prefilled.get(tool) or {} if tool in self.allowed else {}

    def refusal(self, tool: str, *, beside: Sequence[str] = ()) -> str | None:
        """Why the tool may not be called, in V1's words and our hints; None when it may.

        Args:
            tool: What was called.
            beside: What may be called too, whatever rules say: the client's own tools.
        """
        if tool in self.allowed:
            return None
        valid = ", ".join(dict.fromkeys((*self.allowed, *beside)))
        text = f"{REFUSED} Cannot call {tool}, valid tools include: [{valid}]."
        return " ".join((text, *self.hints.get(tool, ())))

    @property
    def reminder(self) -> str:
        """What the model is told that wants to end its turn while tools are `required`."""
        names = ", ".join(self.required)
        return f"ToolRuleViolated: You must call {names} at least once to exit the loop."


def need_history(rules: Sequence[Rule]) -> bool:
    """Whether these rules depend on what was called before."""
    return any(rule["type"] in _BY_HISTORY for rule in rules)


def rule_state(
    rules: Sequence[Rule], tools: Sequence[str], history: Sequence[ToolReturn] = ()
) -> RuleState:
    """Apply rules to what was called so far.

    Rules about tools that the agent lacks say nothing, and rules that together leave no tool are
    dropped for the moment, as V1 does. A tool that has been called as often as it may stays out.

    Args:
        rules: V1's tool rules, as `api/wire` has checked them.
        tools: Names of the agent's tools.
        history: Returns of the request's calls, oldest first.
    """
    known = [rule for rule in rules if rule["tool_name"] in tools]
    made = [returned for returned in history if returned.was_made]
    used_up = dict(_used_up(known, made))
    limits = list(_limits(known, tools, made))
    left = [tool for tool in tools if tool not in used_up]
    allowed = [tool for tool in left if all(tool in limit.tools for limit in limits)]
    in_force = limits if allowed else []
    return RuleState(
        tools=tuple(tools),
        allowed=tuple(allowed or left),
        must_call=any(limit.forces for limit in in_force),
        prefilled={tool: args for limit in limits for tool, args in limit.prefilled.items()},
        required=tuple(_required(known, history)),
        hints=_hints(tools, in_force, used_up),
    )


@dataclass(frozen=True)
class _Limit:
    """What one rule leaves of the tools, and why."""

    tools: frozenset[str]
    hint: str
    forces: bool = True
    prefilled: Mapping[str, Arguments] = field(default_factory=dict)


def _limits(
    rules: Sequence[Rule], tools: Sequence[str], made: Sequence[ToolReturn]
) -> Iterator[_Limit]:
    """The rules in force. At the beginning those about the first call stand alone, as in V1."""
    first = [rule for rule in rules if rule["type"] == "run_first"]
    if first and not made:
        names = list(dict.fromkeys(rule["tool_name"] for rule in first))
        prefilled = {rule["tool_name"]: rule["args"] for rule in first if rule.get("args")}
        hint = f"The first call must be of {_one_of(names)}."
        yield _Limit(frozenset(names), hint, prefilled=prefilled)
        return
    last = made[-1] if made else None
    for rule in rules:
        match rule["type"]:
            case "constrain_child_tools":
                limit = _children(rule, tools, last)
            case "parent_last_tool":
                limit = _parent(rule, tools, last)
            case "conditional":
                limit = _conditional(rule, tools, last)
            case _:
                limit = None
        if limit is not None and limit.tools:
            yield limit


def _children(rule: Rule, tools: Sequence[str], last: ToolReturn | None) -> _Limit | None:
    if last is None or last.name != rule["tool_name"]:
        return None
    children = [name for name in rule["children"] if name in tools]
    nodes = rule.get("child_arg_nodes") or ()
    prefilled = {node["name"]: node["args"] for node in nodes if node.get("args")}
    hint = f"After {last.name} the next call must be of {_one_of(children)}."
    return _Limit(frozenset(children), hint, prefilled=prefilled)


def _parent(rule: Rule, tools: Sequence[str], last: ToolReturn | None) -> _Limit:
    parent, children = rule["tool_name"], [name for name in rule["children"] if name in tools]
    if last is not None and last.name == parent:
        hint = f"After {parent} the next call must be of {_one_of(children)}."
        return _Limit(frozenset(children), hint)
    hint = f"{_one_of(children)} may only be called right after {parent}."
    return _Limit(frozenset(tools) - frozenset(children), hint, forces=False)


def _conditional(rule: Rule, tools: Sequence[str], last: ToolReturn | None) -> _Limit | None:
    """The tool that follows from a return; any, but one, where no case and no default does."""
    if last is None or last.name != rule["tool_name"]:
        return None
    cases = rule["child_output_mapping"].items()
    default = None if rule.get("require_output_mapping") else rule.get("default_child")
    child = next((child for case, child in cases if is_case(last.content, case)), default)
    if child is None:
        return _Limit(frozenset(tools), "")
    hint = f"After what {last.name} returned the next call must be of {child}."
    return _Limit(frozenset({child}) & frozenset(tools), hint)


def _used_up(rules: Sequence[Rule], made: Sequence[ToolReturn]) -> Iterator[tuple[str, str]]:
    """Tools that were called as often as they may in a request, with a hint for each."""
    names = [returned.name for returned in made]
    for rule in rules:
        if rule["type"] != "max_count_per_step":
            continue
        tool, limit = rule["tool_name"], rule["max_count_limit"]
        if names.count(tool) >= limit:
            yield tool, f"{tool} may be called {limit} times in one request, and it has been."


def _required(rules: Sequence[Rule], history: Sequence[ToolReturn]) -> Iterator[str]:
    """Tools not called yet; a person's denial is an end of it, what rules refused is not."""
    called = {one.name for one in history if not one.content.startswith(REFUSED)}
    names = (rule["tool_name"] for rule in rules if rule["type"] == "required_before_exit")
    return (name for name in dict.fromkeys(names) if name not in called)


def _hints(
    tools: Sequence[str], limits: Sequence[_Limit], used_up: Mapping[str, str]
) -> dict[str, tuple[str, ...]]:
    hints: dict[str, tuple[str, ...]] = {}
    for tool in tools:
        found = [limit.hint for limit in limits if tool not in limit.tools]
        hints[tool] = tuple(found + ([used_up[tool]] if tool in used_up else []))
    return hints


def _one_of(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"one of [{', '.join(names)}]"
