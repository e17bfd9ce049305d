"""The built-in tools by which agents write to one another, with V1's names and arguments."""

from typing import Annotated, Any

from pydantic import Field

from o.domain.agents import Agent
from o.domain.llm import ToolSpec
from o.tools.tool import Arguments, RunElsewhere, Tool, schema, string

_TYPE = "letta_multi_agent_core"
_NOT_HERE = "Nothing was sent: agents cannot write to one another from here."
WAIT = "send_message_to_agent_and_wait_for_reply"
ASYNC = "send_message_to_agent_async"
BY_TAGS = "send_message_to_agents_matching_tags"

_MESSAGE = string("What the other agent reads. It is told who you are.")
_OTHER = string("Id of the agent to write to: agent-…")


def _tags(description: str) -> dict[str, Any]:
    return {"type": "array", "items": {"type": "string"}, "description": description}


_WAIT = ToolSpec(
    name=WAIT,
    description="Write to another agent and wait for what it answers. You do nothing else "
    "meanwhile, so it must not need an answer of yours.",
    parameters=schema(
        {"message": _MESSAGE, "other_agent_id": _OTHER}, ["message", "other_agent_id"]
    ),
    tool_type=_TYPE,
)

_ASYNC = ToolSpec(
    name=ASYNC,
    description="Write to another agent and go on at once. If it answers, it writes to you.",
    parameters=schema(
        {"message": _MESSAGE, "other_agent_id": _OTHER}, ["message", "other_agent_id"]
    ),
    tool_type=_TYPE,
)

_BY_TAGS = ToolSpec(
    name=BY_TAGS,
    description="Write to every agent with certain tags, and wait for what they all answer.",
    parameters=schema(
        {
            "message": _MESSAGE,
            "match_all": _tags("Tags of which an agent must have every one. May be empty."),
            "match_some": _tags("Tags of which an agent must have at least one. May be empty."),
        },
        ["message", "match_all", "match_some"],
    ),
    tool_type=_TYPE,
)

_Message = Annotated[str, Field(min_length=1)]


class OneAgentArguments(Arguments):
    """Arguments of the tools that write to one agent."""

    message: _Message
    other_agent_id: str


class TagsArguments(Arguments):
    """Arguments of the tool that writes to agents by their tags."""

    message: _Message
    match_all: list[str] | None = None
    match_some: list[str] | None = None


MULTI_AGENT_TOOLS: tuple[Tool, ...] = tuple(
    RunElsewhere(spec, _NOT_HERE) for spec in (_WAIT, _ASYNC, _BY_TAGS)
)
MULTI_AGENT_NAMES = tuple(tool.spec.name for tool in MULTI_AGENT_TOOLS)


def incoming(message: str, sender: Agent, *, waits: bool) -> str:
    """A message as the other agent reads it: who wrote it, and where an answer goes.

    It begins as V1's does, by which client code knows such messages.
    """
    answer = (
        "it waits for your answer, which is what you say at the end of this turn"
        if waits
        else f"it does not wait; if it needs an answer, send one with the tool '{ASYNC}'"
    )
    return f"[Incoming message from agent with ID '{sender.id}' - {answer}] {message}"


def replies(agent_id: str, said: list[str]) -> dict[str, Any]:
    """What an agent answered, in V1's form."""
    return {"agent_id": agent_id, "response": said or ["<no response>"]}
