"""The tools that every agent can have without code of its own, and how a model is shown them."""

from collections.abc import Sequence
from typing import Literal

from o.domain.agents import Agent
from o.domain.llm import ToolSpec
from o.domain.loops import SEND_MESSAGE, is_legacy, tools_ruled
from o.domain.memory_specs import MEMORY_TOOLS
from o.domain.runs import ClientTool
from o.domain.thoughts import must_not_be_forced, thinks_natively, tool_for_legacy
from o.domain.web_specs import WEB_TOOLS

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

BASE_TOOLS = {
    tool.name: tool for tool in (_SEND_MESSAGE, _CONVERSATION_SEARCH, *MEMORY_TOOLS, *WEB_TOOLS)
}
"""Every tool that comes with the server, by its name."""


def tools_shown(
    agent: Agent, handle: str, client_tools: Sequence[ClientTool] = ()
) -> list[ToolSpec]:
    """The agent's tools and the client's, as the model `handle` is shown them.

    A client's tool goes before one of the agent's with the same name.
    """
    theirs = {tool.name for tool in client_tools}
    tools = [
        BASE_TOOLS[name] for name in agent.tool_names if name in BASE_TOOLS and name not in theirs
    ] + [ToolSpec(**tool.model_dump()) for tool in client_tools]
    if not is_legacy(agent):
        return tools
    thinking = not thinks_natively(handle, agent.model_settings)
    ending = tools_ruled(agent, "exit_loop")
    return [
        tool_for_legacy(tool, with_thinking=thinking, with_heartbeat=tool.name not in ending)
        for tool in tools
    ]


def tool_choice(agent: Agent, handle: str) -> Literal["required"] | None:
    """Whether the model must call a tool: in the legacy loop, where the provider allows it."""
    if not is_legacy(agent) or must_not_be_forced(handle, agent.model_settings):
        return None
    return "required" if agent.tool_names else None
