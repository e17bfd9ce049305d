"""What is known of a reply's calls before any is made: what rules allow, and what is waited for."""

from collections.abc import Sequence
from dataclasses import dataclass

from o.domain.agents import Agent
from o.domain.messages import Gate, ToolReturn
from o.domain.rules.gate import gate_of
from o.domain.rules.kinds import RuleState, rule_state
from o.domain.runs import ClientTool


@dataclass(frozen=True)
class ForeseenCall:
    """A call as it will be found.

    Attributes:
        rules: How the rules stand before it.
        gate: What must come before it is answered, None for nothing.
    """

    rules: RuleState
    gate: Gate | None


class Foresight:
    """The rules call by call: each finds them as those before it leave them, if those go well.

    Args:
        agent: Whose rules and tools.
        client_tools: The client's own.
        history: Returns of the request's calls before this reply, oldest first.
    """

    def __init__(
        self, agent: Agent, client_tools: Sequence[ClientTool], history: Sequence[ToolReturn]
    ) -> None:
        self._agent = agent
        self._client_tools = client_tools
        self._made = list(history)

    def of_next(self, tool: str) -> ForeseenCall:
        """The next call of the reply, which is of `tool`.

        What rules forbid anyway is not asked for. Should they turn out to allow it, it is refused
        for want of approval when it is to be made.
        """
        rules = rule_state(self._agent.tool_rules, self._agent.tool_names, self._made)
        gate = gate_of(self._agent, self._client_tools, tool)
        if tool in rules.allowed:
            self._made.append(ToolReturn(tool_call_id="", name=tool, status="success", content=""))
        is_idle = gate == "approval" and rules.refusal(tool) is not None
        return ForeseenCall(rules, None if is_idle else gate)
