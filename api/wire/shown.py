"""What clients are shown, for the documentation: messages, answers and errors as V1 spells them.

The code that answers makes plain dictionaries (`api.wire.messages`, `api.wire.answers`), because
each message is written once; the tests hold what it makes to these models.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.wire.runs import StopReasonName


class _Message(BaseModel):
    """What every message has. `date` is in whole seconds; `otid` tells the parts of one apart."""

    id: str
    date: str
    name: str | None
    otid: str | None
    sender_id: str | None
    step_id: str | None
    is_err: bool | None
    seq_id: int | None
    run_id: str | None


Content = str | list[dict[str, Any]]


class SystemMessage(_Message):
    """The compiled system prompt."""

    message_type: Literal["system_message"]
    content: str


class UserMessage(_Message):
    """What a user said: a text, or parts where it is not one text."""

    message_type: Literal["user_message"]
    content: Content


class EventMessage(_Message):
    """Something that happened to the conversation; `event_data` says how it went."""

    message_type: Literal["event_message"]
    event_type: Literal["compaction"]
    event_data: dict[str, Any]


class SummaryMessage(_Message):
    """What stands in the prompt for a part of history that was taken out of it."""

    message_type: Literal["summary_message"]
    summary: str
    compaction_stats: dict[str, Any] | None


class AssistantMessage(_Message):
    """What the agent said."""

    message_type: Literal["assistant_message"]
    content: Content


class ReasoningMessage(_Message):
    """What the model thought."""

    message_type: Literal["reasoning_message"]
    source: str
    reasoning: str
    signature: str | None


class HiddenReasoningMessage(_Message):
    """What the model thought, as its provider encrypted it."""

    message_type: Literal["hidden_reasoning_message"]
    state: str
    hidden_reasoning: str | None


class ToolCall(BaseModel):
    """A call of a tool; `arguments` is JSON."""

    name: str
    arguments: str
    tool_call_id: str


class ToolCallMessage(_Message):
    """Calls that are made; `tool_call` repeats the first."""

    message_type: Literal["tool_call_message"]
    tool_call: ToolCall
    tool_calls: list[ToolCall]


class ApprovalRequestMessage(_Message):
    """Calls that wait for a person, or for the client whose tools they call."""

    message_type: Literal["approval_request_message"]
    tool_call: ToolCall
    tool_calls: list[ToolCall]


class ApprovalResponseMessage(_Message):
    """What was answered to a request for approval."""

    message_type: Literal["approval_response_message"]
    approvals: list[dict[str, Any]]
    approve: bool
    approval_request_id: str | None
    reason: str | None


class ToolReturn(BaseModel):
    """What one call returned."""

    type: Literal["tool"]
    tool_return: str
    status: Literal["success", "error"]
    tool_call_id: str
    stdout: list[str] | None
    stderr: list[str] | None


class ToolReturnMessage(_Message):
    """What a call returned, in `tool_returns` and once more in the older flat form."""

    message_type: Literal["tool_return_message"]
    tool_return: str
    status: Literal["success", "error"]
    tool_call_id: str
    stdout: list[str] | None
    stderr: list[str] | None
    tool_returns: list[ToolReturn]


ShownMessage = Annotated[
    SystemMessage
    | UserMessage
    | AssistantMessage
    | ReasoningMessage
    | HiddenReasoningMessage
    | ToolCallMessage
    | ToolReturnMessage
    | ApprovalRequestMessage
    | ApprovalResponseMessage
    | EventMessage
    | SummaryMessage,
    Field(discriminator="message_type"),
]


class StopReason(BaseModel):
    """Why the run ended."""

    message_type: Literal["stop_reason"]
    stop_reason: StopReasonName


class UsageStatistics(BaseModel):
    """Tokens, summed over the run's steps; `context_tokens` is the last call's."""

    message_type: Literal["usage_statistics"]
    completion_tokens: int
    prompt_tokens: int
    total_tokens: int
    step_count: int
    cached_input_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    context_tokens: int
    run_ids: list[str] | None


class AnswerBody(BaseModel):
    """V1's `LettaResponse`: what a run has said, why it ended and what it cost."""

    messages: list[ShownMessage]
    stop_reason: StopReason
    usage: UsageStatistics
    logprobs: None
    turns: None


class PendingApproval(BaseModel):
    """Which request for approval has to be answered first."""

    code: Literal["PENDING_APPROVAL"]
    message: str
    pending_request_id: str


class ErrorBody(BaseModel):
    """Why a request is refused, in a sentence; `run_id` is the run that is in the way."""

    model_config = ConfigDict(extra="forbid")

    detail: str | PendingApproval
    run_id: str | None = None


class InvalidBody(BaseModel):
    """A request that breaks its schema: what is wrong with it as one text, as in V1."""

    model_config = ConfigDict(extra="forbid")

    detail: str
    trace_id: str = ""
    examples: list[str] = Field([], description="Ids as the path wants them")


class Failure(BaseModel):
    """What went wrong in a run; `type` is V1's, such as `llm_rate_limit`."""

    type: str
    message: str
    detail: str


class FailedBody(BaseModel):
    """A run that failed while its client waited."""

    error: Failure
