"""V1's spelling of what stands in an agent's context window."""

from typing import Any, Literal, Self

from pydantic import BaseModel

from api.wire.fields import EntityTime
from o.domain.llm import ToolSpec
from o.domain.messages import ImagePart, Message, Part, ReasoningPart, RedactedPart, Role, TextPart
from o.memory.overview import Overview, Window


class FunctionBody(BaseModel):
    """V1's `FunctionDefinition`."""

    name: str
    description: str
    parameters: dict[str, Any]


class FunctionToolBody(BaseModel):
    """V1's `FunctionTool`: a tool as the model is told of it."""

    type: Literal["function"] = "function"
    function: FunctionBody

    @classmethod
    def of(cls, tool: ToolSpec) -> Self:
        """The tool as V1 shows it."""
        function = FunctionBody(
            name=tool.name, description=tool.description, parameters=tool.parameters
        )
        return cls(function=function)


class ContextMessageBody(BaseModel):
    """V1's `Message`, shown here and in batches alone: a message as it is stored, in one piece."""

    id: str
    agent_id: str
    conversation_id: str
    run_id: str | None
    step_id: str | None
    role: Role
    content: list[dict[str, Any]]
    name: str | None
    otid: str | None
    sender_id: str | None
    tool_calls: list[dict[str, Any]] | None
    tool_call_id: str | None
    tool_returns: list[dict[str, Any]] | None
    approval_request_id: str | None
    approvals: list[dict[str, Any]] | None
    created_at: EntityTime

    @classmethod
    def of(cls, message: Message) -> Self:
        """The message as V1 shows it."""
        returned, answered = message.tool_return, message.approval
        content = [_part(part) for part in message.parts]
        if returned is not None:
            content.append({"type": "text", "text": returned.content})
        calls = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in message.tool_calls
        ]
        return cls(
            id=message.shown_id,
            agent_id=message.agent_id,
            conversation_id=message.conversation_id,
            run_id=message.run_id,
            step_id=message.step_id,
            role=message.role,
            content=content,
            name=returned.name if returned else message.name,
            otid=message.otid,
            sender_id=message.sender_id,
            tool_calls=calls or None,
            tool_call_id=returned.tool_call_id if returned else None,
            tool_returns=[_returned(message)] if returned else None,
            approval_request_id=answered.approval_request_id if answered else None,
            approvals=[
                {
                    "type": "approval",
                    "tool_call_id": said.tool_call_id,
                    "approve": said.approve,
                    "reason": said.reason,
                }
                for said in answered.decisions
            ]
            if answered
            else None,
            created_at=message.created_at,
        )


class ContextBody(BaseModel):
    """V1's `ContextWindowOverview`. There is no memory file system here."""

    context_window_size_max: int
    context_window_size_current: int
    num_messages: int
    num_archival_memory: int
    num_recall_memory: int
    num_tokens_external_memory_summary: int
    external_memory_summary: str
    num_tokens_system: int
    system_prompt: str
    num_tokens_core_memory: int
    core_memory: str
    num_tokens_memory_filesystem: int = 0
    memory_filesystem: str | None = None
    num_tokens_tool_usage_rules: int
    tool_usage_rules: str | None
    num_tokens_directories: int
    directories: str | None
    num_tokens_summary_memory: int
    summary_memory: str | None
    num_tokens_functions_definitions: int
    functions_definitions: list[FunctionToolBody]
    num_tokens_messages: int
    messages: list[ContextMessageBody]

    @classmethod
    def of(cls, window: Window, counted: Overview, *, archival: int, recall: int) -> Self:
        """The window as V1 shows it.

        Args:
            window: What stands in it.
            counted: What its parts take.
            archival: How many passages the agent's archives hold.
            recall: How many messages its conversations hold.
        """
        shown = window.all_messages
        return cls(
            context_window_size_max=window.agent.context_window,
            context_window_size_current=counted.tokens,
            num_messages=len(shown),
            num_archival_memory=archival,
            num_recall_memory=recall,
            num_tokens_external_memory_summary=counted.metadata,
            external_memory_summary=counted.text.metadata,
            num_tokens_system=counted.instructions,
            system_prompt=counted.text.instructions,
            num_tokens_core_memory=counted.blocks,
            core_memory=counted.text.blocks,
            num_tokens_tool_usage_rules=counted.rules,
            tool_usage_rules=counted.text.rules or None,
            num_tokens_directories=counted.directories,
            directories=counted.text.directories or None,
            num_tokens_summary_memory=counted.summary,
            summary_memory=window.summary.text if window.summary else None,
            num_tokens_functions_definitions=counted.tools,
            functions_definitions=[FunctionToolBody.of(tool) for tool in window.tools],
            num_tokens_messages=counted.messages,
            messages=[ContextMessageBody.of(message) for message in shown],
        )


def _part(part: Part) -> dict[str, Any]:
    match part:
        case TextPart():
            return {"type": "text", "text": part.text}
        case ImagePart():
            return {"type": "image", "source": part.source}
        case ReasoningPart():
            return {
                "type": "reasoning",
                "is_native": part.source == "reasoner_model",
                "reasoning": part.reasoning,
                "signature": part.signature,
            }
        case RedactedPart():
            return {"type": "redacted_reasoning", "data": part.data}


def _returned(message: Message) -> dict[str, Any]:
    returned = message.tool_return
    if returned is None:
        return {}
    return {
        "tool_call_id": returned.tool_call_id,
        "status": returned.status,
        "stdout": returned.stdout,
        "stderr": returned.stderr,
        "func_response": returned.content,
    }
