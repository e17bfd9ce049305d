"""What is known of a reply's calls before any is made: what rules allow, and fill in."""

import json
from collections.abc import Sequence

from o.domain.json_bounds import parse_json
from o.domain.messages import ToolCall, ToolReturn
from o.domain.rules.standing import Rule, Standing, standing


class Foreseen:
    """The rules call by call: each finds them as those before it leave them, if those go well.

    Args:
        rules: The agent's.
        tools: Names of all tools.
        history: Returns of the request's calls before this reply, oldest first.
    """

    def __init__(
        self, rules: Sequence[Rule], tools: Sequence[str], history: Sequence[ToolReturn]
    ) -> None:
        self._rules = rules
        self._tools = tools
        self._made = list(history)

    def before(self, tool: str) -> Standing:
        """How the rules stand before the next call, which is of `tool`."""
        now = standing(self._rules, self._tools, self._made)
        if tool in now.allowed:
            self._made.append(ToolReturn(tool_call_id="", name=tool, status="success", content=""))
        return now


def prefilled(call: ToolCall, rules: Standing) -> ToolCall:
    """The call with the arguments that the rules prefill, which override those of the model.

    Arguments that are no JSON object stay as they are; running the tool then tells why not.
    """
    filled = rules.fills_in(call.name)
    if not filled:
        return call
    try:
        arguments = parse_json(call.arguments or "{}")
    except ValueError:
        return call
    if not isinstance(arguments, dict):
        return call
    kept = json.dumps(arguments | dict(filled), ensure_ascii=False)
    return call.model_copy(update={"arguments": kept})
