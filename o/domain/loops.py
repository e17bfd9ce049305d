"""The two loops that agents run in, and what follows a tool call in each.

In the v1 loop a turn goes on after any tool call and ends with plain text. In the legacy loop
every step must call a tool: a turn goes on when the call asks for a heartbeat, fails, or is one
after which turns go on, and it ends otherwise.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from o.domain.agents import Agent
from o.domain.messages import ToolCall, ToolReturn
from o.domain.rules.kinds import RuleState
from o.domain.runs import StopReason

SEND_MESSAGE = "send_message"

_LEGACY_TYPES = frozenset({"memgpt_agent", "memgpt_v2_agent"})
_WITHOUT_BLOCKS = frozenset({"react_agent", "workflow_agent"})

_HIDDEN = "[This is an automated system message hidden from the user]"
_ASKED = f"{_HIDDEN} The tool call asked for a heartbeat: it is your turn again."
_FAILED = f"{_HIDDEN} The tool call failed: it is your turn again."
_RULE = f"{_HIDDEN} Turns go on after this tool: it is your turn again."


def is_legacy(agent: Agent) -> bool:
    """Whether the agent runs in the legacy loop: calls are forced, heartbeats go on."""
    return agent.agent_type in _LEGACY_TYPES


def shows_blocks(agent: Agent) -> bool:
    """Whether the agent's prompt shows its blocks."""
    return agent.agent_type not in _WITHOUT_BLOCKS


def tools_ruled(agent: Agent, rule: str) -> frozenset[str]:
    """Names of the agent's tools that have a rule of this type, such as `exit_loop`."""
    return frozenset(one["tool_name"] for one in agent.tool_rules if one["type"] == rule)


@dataclass(frozen=True)
class AfterCall:
    """What follows a tool call, or a reply without one.

    Attributes:
        heartbeat: Why the model is woken again by a heartbeat message; None for none.
        is_shown: Whether clients are shown the heartbeat in the answer too, as V1 does with what
            rules require, but not in the legacy loop.
        stop: Why the run ends here; None when it goes on.
    """

    heartbeat: str | None = None
    is_shown: bool = False
    stop: StopReason | None = None


GO_ON = AfterCall()


def after_text(rules: RuleState, *, is_last_step: bool) -> AfterCall:
    """What follows a reply in plain text: the end, unless a tool is still to be called."""
    if not rules.required:
        return AfterCall(stop=StopReason.END_TURN)
    if is_last_step:
        return AfterCall(stop=StopReason.MAX_STEPS)
    return AfterCall(heartbeat=f"{_HIDDEN} {rules.reminder}", is_shown=True)


def after_call(
    agent: Agent,
    call: ToolCall,
    returns: Sequence[ToolReturn],
    rules: RuleState,
    *,
    is_last_call: bool,
    is_last_step: bool,
) -> AfterCall:
    """What follows a call that has returned.

    Args:
        agent: Whose type decides.
        call: Which call it was.
        returns: What the step's calls have returned so far, this one last.
        rules: How the agent's rules stand now.
        is_last_call: Whether every call of the step has returned.
        is_last_step: Whether the run may take no further step.
    """
    if is_legacy(agent):
        reason = _why_to_go_on(agent, call, rules, failed=returns[-1].status == "error")
        return _after_legacy_call(reason, is_last_step=is_last_step)
    made = {returned.name for returned in returns if returned.was_made}
    if not is_last_call or made.isdisjoint(tools_ruled(agent, "exit_loop")):
        return GO_ON
    if not rules.required:
        return AfterCall(stop=StopReason.TOOL_RULE)
    return GO_ON if is_last_step else after_text(rules, is_last_step=False)


def goes_on_after_calls(agent: Agent) -> bool:
    """Whether a turn goes on after any call, whatever is called beside it and comes of it."""
    return not is_legacy(agent) and not tools_ruled(agent, "exit_loop")


def _after_legacy_call(reason: str | None, *, is_last_step: bool) -> AfterCall:
    if reason is None:
        return AfterCall(stop=StopReason.END_TURN)
    if is_last_step:
        return AfterCall(stop=StopReason.MAX_STEPS)
    return AfterCall(heartbeat=reason)


def _why_to_go_on(agent: Agent, call: ToolCall, rules: RuleState, *, failed: bool) -> str | None:
    if failed:
        return _FAILED
    if call.name not in tools_ruled(agent, "exit_loop"):
        if rules.must_call or call.name in tools_ruled(agent, "continue_loop"):
            return _RULE
        if call.request_heartbeat:
            return _ASKED
    return f"{_HIDDEN} {rules.reminder}" if rules.required else None
