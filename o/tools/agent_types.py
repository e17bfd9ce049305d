"""The types of agents: which are served, and the tools and rules that each begins with."""

from collections.abc import Sequence
from typing import Any

from o.domain.agents import DEFAULT_AGENT_TYPE

# V1's base tools by type; the order is that in which models see them.
_BASE_TOOLS: dict[str, tuple[str, ...]] = {
    DEFAULT_AGENT_TYPE: ("conversation_search", "memory_insert", "memory_replace"),
    "memgpt_agent": (
        "send_message",
        "conversation_search",
        "core_memory_append",
        "core_memory_replace",
        "memory",
        "memory_apply_patch",
    ),
    "memgpt_v2_agent": ("send_message", "conversation_search", "memory_replace", "memory_insert"),
    "react_agent": (),
    "workflow_agent": (),
    "sleeptime_agent": (
        "memory_replace",
        "memory_insert",
        "memory_rethink",
        "memory_finish_edits",
    ),
}
SERVED_TYPES = frozenset(_BASE_TOOLS)

_ENDS_TURN = frozenset({"send_message", "memory_finish_edits"})


def base_tools(agent_type: str) -> tuple[str, ...]:
    """Names of the tools that an agent of this type has unless it declines them."""
    return _BASE_TOOLS[agent_type]


def has_base_rules(agent_type: str) -> bool:
    """Whether base tool rules come with the type unless the client says otherwise."""
    return agent_type != DEFAULT_AGENT_TYPE


def base_rules(tool_names: Sequence[str]) -> list[dict[str, Any]]:
    """V1's base tool rules: a message to the user ends the turn, memory and search go on."""
    known = {name for names in _BASE_TOOLS.values() for name in names}
    return [
        {
            "tool_name": name,
            "type": "exit_loop" if name in _ENDS_TURN else "continue_loop",
            "prompt_template": None,
        }
        for name in tool_names
        if name in known
    ]


def clears_buffer(agent_type: str) -> bool:
    """Whether agents of this type forget each turn, which is what V1's workflow agents do."""
    return agent_type == "workflow_agent"
