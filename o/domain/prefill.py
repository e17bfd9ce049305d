"""Arguments that tool rules prefill: they override those that the model wrote."""

import json
from collections.abc import Sequence

from o.domain.messages import ToolCall, ToolReturn
from o.domain.rules import Arguments, Rule, standing


def prefill(
    rules: Sequence[Rule],
    tools: Sequence[str],
    history: Sequence[ToolReturn],
    calls: Sequence[ToolCall],
) -> list[ToolCall]:
    """The calls of one reply with the arguments that the rules prefill.

    They are made one after the other, so each finds the rules as those before it leave them.

    Args:
        rules: The agent's.
        tools: Names of the agent's tools.
        history: Returns of the request's calls before this reply, oldest first.
        calls: As the model wrote them.
    """
    filled: list[ToolCall] = []
    made = list(history)
    for call in calls:
        now = standing(rules, tools, made)
        if call.name not in now.allowed:  # will be refused
            filled.append(call)
            continue
        filled.append(_override(call, now.prefilled.get(call.name, {})))
        made.append(ToolReturn(tool_call_id=call.id, name=call.name, status="success", content=""))
    return filled


def _override(call: ToolCall, prefilled: Arguments) -> ToolCall:
    """Arguments that are no JSON object stay as they are; running the tool then tells why not."""
    if not prefilled:
        return call
    try:
        arguments = json.loads(call.arguments or "{}", strict=False)
    except (ValueError, RecursionError):
        return call
    if not isinstance(arguments, dict):
        return call
    kept = json.dumps(arguments | dict(prefilled), ensure_ascii=False)
    return call.model_copy(update={"arguments": kept})
