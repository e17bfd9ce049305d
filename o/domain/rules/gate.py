"""What must come before a tool call is answered: a person's word, or the client."""

from collections.abc import Sequence

from o.domain.agents import Agent
from o.domain.loops import tools_ruled
from o.domain.messages import Gate
from o.domain.runs import ClientTool


def gate_of(agent: Agent, client_tools: Sequence[ClientTool], tool: str) -> Gate | None:
    """What a call of this tool waits for, whatever other rules say; None for nothing."""
    if any(own.name == tool for own in client_tools):
        return "client"
    if tool in agent.tool_names and tool in tools_ruled(agent, "requires_approval"):
        return "approval"
    return None
