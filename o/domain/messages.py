"""Messages: what was said, called and returned in a conversation."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from o.ids import derived_id


class Role(StrEnum):
    """Who a message is from."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


class TextPart(BaseModel):
    """Plain text."""

    type: Literal["text"] = "text"
    text: str


class ImagePart(BaseModel):
    """An image, kept as the client described it: `source` is V1's url or base64 form."""

    type: Literal["image"] = "image"
    source: dict[str, Any]


class ReasoningPart(BaseModel):
    """What a model thought.

    Attributes:
        signature: The provider's, where it gave one: such reasoning is sent back to it.
        source: In V1's words: a reasoning model's own, or the `thinking` argument of a call.
    """

    type: Literal["reasoning"] = "reasoning"
    reasoning: str
    signature: str | None = None
    source: Literal["reasoner_model", "non_reasoner_model"] = "reasoner_model"


class RedactedPart(BaseModel):
    """Reasoning that the provider encrypted; it is sent back as it came."""

    type: Literal["redacted_reasoning"] = "redacted_reasoning"
    data: str


Part = Annotated[TextPart | ImagePart | ReasoningPart | RedactedPart, Field(discriminator="type")]


class ToolCall(BaseModel):
    """A model's wish to have a tool run.

    Attributes:
        id: The provider's id; providers may repeat it, so it keys nothing here.
        arguments: JSON text as the model wrote it, which may be broken.
        request_heartbeat: Whether an agent of the legacy loop asked to go on after it; None where
            the tool has no such argument.
    """

    id: str
    name: str
    arguments: str
    request_heartbeat: bool | None = None


class ToolReturn(BaseModel):
    """What came of a tool call; `duration_ns` is None for a call that was never made."""

    tool_call_id: str
    name: str
    status: Literal["success", "error"]
    content: str
    duration_ns: int | None = None

    @property
    def was_made(self) -> bool:
        """Whether the tool ran: not when a rule or a person forbade the call, or the run ended."""
        return self.duration_ns is not None or self.status == "success"


class Message(BaseModel):
    """One stored message.

    Attributes:
        position: Its place in the conversation, rising without meaning in the gaps.
        otid: The id that the client gave an input message.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    organization_id: str
    agent_id: str
    conversation_id: str
    run_id: str | None = None
    step_id: str | None = None
    position: int
    role: Role
    parts: list[Part] = []
    tool_calls: list[ToolCall] = []
    tool_return: ToolReturn | None = None
    name: str | None = None
    otid: str | None = None
    sender_id: str | None = None
    created_at: datetime

    @property
    def text(self) -> str:
        """The text parts, joined by line breaks."""
        return "\n".join(part.text for part in self.parts if isinstance(part, TextPart))


class InputMessage(BaseModel):
    """A message that a client sends, before it has a place in history."""

    model_config = ConfigDict(frozen=True)

    role: Role
    parts: list[Part]
    name: str | None = None
    otid: str | None = None
    sender_id: str | None = None


def input_message_id(run_id: str, place: int) -> str:
    """The id of a run's n-th input message."""
    return derived_id("message", run_id, "input", place)


def reply_message_id(step_id: str, attempt: int) -> str:
    """The id of a step's reply. Each attempt has its own, so that no client joins two halves."""
    return derived_id("message", step_id, "reply", attempt)


def return_message_id(step_id: str, ordinal: int) -> str:
    """The id of the return of a step's n-th tool call, the same for every attempt."""
    return derived_id("message", step_id, "return", ordinal)


def heartbeat_message_id(step_id: str) -> str:
    """The id of the heartbeat that follows a step."""
    return derived_id("message", step_id, "heartbeat")
