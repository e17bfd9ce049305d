"""The tools that every agent can have without code of its own, and how a model is shown them."""

from collections.abc import Sequence
from typing import Literal

from o.domain.agents import Agent
from o.domain.llm import ToolSpec
from o.domain.loops import SEND_MESSAGE, is_legacy, tools_ruled
from o.domain.memory_specs import MEMORY_TOOLS
from o.domain.runs import ClientTool
from o.domain.thoughts import must_not_be_forced, thinks_natively, tool_for_legacy

_SEND_MESSAGE = ToolSpec(
    name=SEND_MESSAGE,
    description="Say something to the person you talk with. They read nothing else of what you do.",
    parameters={
        "type": "object",
        "properties": {"message": {"type": "string", "description": "What they read."}},
        "required": ["message"],
    },
)

_CONVERSATION_SEARCH = ToolSpec(
    name="conversation_search",
    description="Search everything that was said in earlier messages, also what is out of view.",
    parameters={
        "type": "object",
        "properties": {
            "query": {
                "type": "string",
                "description": "Text that the messages must hold; upper and lower case are alike.",
            },
            "roles": {
                "type": "array",
                "items": {"type": "string", "enum": ["assistant", "user", "tool"]},
                "description": "Only messages from these roles. All when left out.",
            },
            "limit": {"type": "integer", "description": "How many at most.", "default": 5},
            "start_date": {
                "type": "string",
                "description": "Earliest day or time, ISO 8601, in your time zone.",
            },
            "end_date": {
                "type": "string",
                "description": "Latest day or time, ISO 8601; a bare day counts whole.",
            },
        },
        "required": [],
    },
)

BASE_TOOLS = {tool.name: tool for tool in (_SEND_MESSAGE, _CONVERSATION_SEARCH, *MEMORY_TOOLS)}
"""Every tool that comes with the server, by its name."""

PARALLEL_TOOLS = frozenset({"conversation_search"})
"""Tools that only read, so that calls of them may run beside one another."""


def tools_shown(
    agent: Agent, handle: str, names: Sequence[str], client_tools: Sequence[ClientTool] = ()
) -> list[ToolSpec]:
    """The agent's tools of those names and the client's, as the model `handle` is shown them.

    A client's tool goes before one of the agent's with the same name.
    """
    theirs = {tool.name for tool in client_tools}
    tools = [BASE_TOOLS[name] for name in names if name in BASE_TOOLS and name not in theirs]
    tools += [ToolSpec(**tool.model_dump()) for tool in client_tools]
    if not is_legacy(agent):
        return tools
    thinking = not thinks_natively(handle, agent.model_settings)
    ending = tools_ruled(agent, "exit_loop")
    return [
        tool_for_legacy(tool, with_thinking=thinking, with_heartbeat=tool.name not in ending)
        for tool in tools
    ]


def tool_choice(agent: Agent, handle: str, *, must_call: bool) -> Literal["required"] | None:
    """Whether the model is forced to call a tool, which not every provider allows.

    In the legacy loop it always is, elsewhere where the agent's rules ask for it.
    """
    if must_not_be_forced(handle, agent.model_settings):
        return None
    return "required" if agent.tool_names and (must_call or is_legacy(agent)) else None


def calls_in_parallel(agent: Agent) -> bool:
    """Whether the model may ask for several calls at once.

    As in V1 only when that is set, and when no rule but approvals tells of an order of calls.
    """
    is_set = agent.model_settings.get("parallel_tool_calls") is True
    rules = {rule["type"] for rule in agent.tool_rules}
    return is_set and not is_legacy(agent) and rules <= {"requires_approval"}
