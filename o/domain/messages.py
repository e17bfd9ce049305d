"""Messages: what was said, called and returned in a conversation."""

from collections.abc import Collection, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from o.domain.extras import Extras
from o.ids import derived_id

Gate = Literal["approval", "client"]
"""What a tool call waits for: a person's word, or the client whose own tool it is."""


class Role(StrEnum):
    """Who a message is from."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"
    APPROVAL = "approval"
    SUMMARY = "summary"
    """Tells what was said in a part of history that is not in the prompt any more."""


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


class GivenId(BaseModel):
    """The id that a model gave its call. It is sent back to this model, and to no other.

    Some count from 0 in each reply, or give all calls the same one: nothing here goes by it.

    Attributes:
        model: Its handle.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    model: str


class ToolCall(BaseModel):
    """A model's wish to have a tool run.

    Attributes:
        id: Ours, by which clients and returns name the call: no other call has it. In messages of
            older releases it may be the model's, which others may have too. Of a reply that is
            not stored yet it is the model's, empty where that gives none.
        given: The model's id; None where it gave none, or an older release stored the call.
        arguments: JSON text as the model wrote it, which may be broken.
        request_heartbeat: Whether an agent of the legacy loop asked to go on after it; None where
            the tool has no such argument.
        gate: What must come before it is answered, None for nothing.
    """

    id: str
    name: str
    arguments: str
    given: GivenId | None = None
    request_heartbeat: bool | None = None
    gate: Gate | None = None


class ToolReturn(BaseModel):
    """What came of a tool call.

    Attributes:
        stdout: What it printed, in pieces; None where nothing is kept.
        duration_ns: None for a call that was never made here.
        hosts: Which hosts it asked for, with `-` before those refused; None where nothing is kept.
        may_have_run: Whether it is unknown how far the call came.
    """

    tool_call_id: str
    name: str
    status: Literal["success", "error"]
    content: str
    stdout: list[str] | None = None
    stderr: list[str] | None = None
    duration_ns: int | None = None
    hosts: list[str] | None = None
    may_have_run: bool = False

    @property
    def was_made(self) -> bool:
        """Whether the tool ran: not when a rule or a person forbade the call, or the run ended."""
        return self.duration_ns is not None or self.status == "success"


class ClientReturn(BaseModel):
    """What a client's own tool returned."""

    status: Literal["success", "error"] = "success"
    content: str = ""
    stdout: list[str] | None = None
    stderr: list[str] | None = None


class Decision(BaseModel):
    """What was said to one call of an approval request.

    Attributes:
        tool_call_id: Which call; the id of the request's message for every call.
        approve: Whether the call may be made; also true of a call that the client made itself.
        reason: Why, for the model to read.
        returned: What the client's tool returned; the call is then not made here.
        request_id: The request that the client names beside the call. It is compared, not stored.
    """

    model_config = ConfigDict(frozen=True)

    tool_call_id: str
    approve: bool
    reason: str | None = None
    returned: ClientReturn | None = None
    request_id: str | None = Field(None, exclude=True)


class ApprovalResponse(BaseModel):
    """What was said to an approval request as a whole, and by whom."""

    approval_request_id: str
    decisions: list[Decision]
    decided_by: str | None = None


class Message(BaseModel):
    """One stored message.

    Attributes:
        position: Its place in the conversation, rising without meaning in the gaps.
        otid: The id that the client gave an input message.
        copy_of: In a fork, the message that both conversations share: the copy is shown by its id.
        extras: What the provider of a reply added to it and wants back.
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
    approval: ApprovalResponse | None = None
    name: str | None = None
    otid: str | None = None
    sender_id: str | None = None
    copy_of: str | None = None
    extras: Extras | None = None
    created_at: datetime

    @property
    def shown_id(self) -> str:
        """The id by which clients know it."""
        return self.copy_of or self.id

    @property
    def gated_calls(self) -> list[ToolCall]:
        """The calls that wait, or waited, for an answer from outside."""
        return [call for call in self.tool_calls if call.gate is not None]

    @property
    def text(self) -> str:
        """The text parts, joined by line breaks."""
        return "\n".join(part.text for part in self.parts if isinstance(part, TextPart))


def only_calls(request: Message, decided: Collection[str]) -> Message:
    """The message of an approval request with the calls only that still wait."""
    waiting = [call for call in request.gated_calls if call.id not in decided]
    return request.model_copy(update={"parts": [], "tool_calls": waiting})


class InputMessage(BaseModel):
    """A message that a client sends, before it has a place in history."""

    model_config = ConfigDict(frozen=True)

    role: Role
    parts: list[Part]
    name: str | None = None
    otid: str | None = None
    sender_id: str | None = None


def say_the_same(first: Sequence[InputMessage], second: Sequence[InputMessage]) -> bool:
    """Whether nothing is lost when one of two inputs stands for both; their `otid`s may differ."""
    nameless = [
        [message.model_copy(update={"otid": None}) for message in said] for said in (first, second)
    ]
    return nameless[0] == nameless[1]


def input_message_id(run_id: str, place: int) -> str:
    """The id of a run's n-th input message."""
    return derived_id("message", run_id, "input", place)


def reply_message_id(step_id: str, attempt: int) -> str:
    """The id of a step's reply. Each attempt has its own, so that no client joins two halves."""
    return derived_id("message", step_id, "reply", attempt)


def return_message_id(step_id: str, ordinal: int) -> str:
    """The id of the return of a step's n-th tool call, the same for every attempt."""
    return derived_id("message", step_id, "return", ordinal)


def tool_call_id(message_id: str, ordinal: int) -> str:
    """The id by which clients know the n-th call of a reply, whatever the provider calls it.

    What approves one call must never fit another: not of the same reply, nor of a later one, nor
    of another attempt at this one, which may call with other arguments.
    """
    return derived_id("call", message_id, ordinal).replace("call-", "call_").replace("-", "")


def response_message_id(run_id: str) -> str:
    """The id of the message that holds what a run answers to an approval request."""
    return derived_id("message", run_id, "approval")


def heartbeat_message_id(step_id: str) -> str:
    """The id of the heartbeat that follows a step."""
    return derived_id("message", step_id, "heartbeat")
