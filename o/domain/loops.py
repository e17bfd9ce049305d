"""The two loops that agents run in, and what follows a tool call in each.

In the v1 loop a turn goes on after any tool call and ends with plain text. In the legacy loop
every step must call a tool: a turn goes on when the call asks for a heartbeat, fails, or is one
after which turns go on, and it ends otherwise.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from o.domain.agents import Agent
from o.domain.messages import ToolCall
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
    """What follows a tool call.

    Attributes:
        heartbeat: Why the model is woken again by a heartbeat message; None for none.
        stop: Why the run ends here; None when it goes on.
    """

    heartbeat: str | None = None
    stop: StopReason | None = None


GO_ON = AfterCall()


def after_call(
    agent: Agent, calls: Sequence[ToolCall], ordinal: int, *, failed: bool, is_last_step: bool
) -> AfterCall:
    """What follows call `ordinal` of a step's calls.

    Args:
        agent: Whose type decides.
        calls: All calls of the step, in order.
        ordinal: Which one has returned.
        failed: Whether its return is an error.
        is_last_step: Whether the run may take no further step.
    """
    if is_legacy(agent):
        reason = _why_to_go_on(agent, calls[ordinal], failed=failed)
        return _after_legacy_call(reason, is_last_step=is_last_step)
    is_last_call = ordinal == len(calls) - 1
    if is_last_call and not tools_ruled(agent, "exit_loop").isdisjoint(c.name for c in calls):
        return AfterCall(stop=StopReason.TOOL_RULE)
    return GO_ON


def _after_legacy_call(reason: str | None, *, is_last_step: bool) -> AfterCall:
    if reason is None:
        return AfterCall(stop=StopReason.END_TURN)
    if is_last_step:
        return AfterCall(stop=StopReason.MAX_STEPS)
    return AfterCall(heartbeat=reason)


def _why_to_go_on(agent: Agent, call: ToolCall, *, failed: bool) -> str | None:
    if failed:
        return _FAILED
    if call.name in tools_ruled(agent, "exit_loop"):
        return None
    if call.name in tools_ruled(agent, "continue_loop"):
        return _RULE
    return _ASKED if call.request_heartbeat else None
