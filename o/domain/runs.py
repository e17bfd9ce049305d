"""Runs, the steps they take, and the events of their logs."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from o.domain.messages import InputMessage


class RunStatus(StrEnum):
    """Created, then running, then one of the last three."""

    CREATED = "created"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_open(self) -> bool:
        """Whether something is still to happen."""
        return self in OPEN_STATUSES


OPEN_STATUSES = (RunStatus.CREATED, RunStatus.RUNNING)


BusyPolicy = Literal["queue", "reject", "interrupt"]
"""What becomes of a message while its conversation is busy."""


class StopReason(StrEnum):
    """Why a run ended, in V1's words."""

    END_TURN = "end_turn"
    MAX_STEPS = "max_steps"
    TOOL_RULE = "tool_rule"
    REQUIRES_APPROVAL = "requires_approval"
    CANCELLED = "cancelled"
    ERROR = "error"
    LLM_API_ERROR = "llm_api_error"
    SYSTEM_PROMPT_OVERFLOW = "context_window_overflow_in_system_prompt"

    @property
    def status(self) -> RunStatus:
        """The terminal status that follows from the reason."""
        if self in _COMPLETE:
            return RunStatus.COMPLETED
        return RunStatus.CANCELLED if self is StopReason.CANCELLED else RunStatus.FAILED


_COMPLETE = (
    StopReason.END_TURN,
    StopReason.MAX_STEPS,
    StopReason.TOOL_RULE,
    StopReason.REQUIRES_APPROVAL,
)


class Usage(BaseModel):
    """Tokens of one model call, or summed over the steps of a run.

    `context_tokens` is never summed: it is the size of the last call.

    Attributes:
        cost_nano: Billionths of a US dollar; None where nothing is known of what it cost.
        unpriced_steps: How many steps of the sum are not in `cost_nano`.
        estimated_tokens: Of one call: what its prompt was estimated at before (`o.memory.fill`).
        fullest_tokens: What the call had in its context window that filled it most, the reply
            included.
        window_tokens: How much that window takes; 0 where no call has said so.
    """

    model_config = ConfigDict(frozen=True)

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    step_count: int = 0
    context_tokens: int = 0
    cost_nano: int | None = None
    unpriced_steps: int = 0
    estimated_tokens: int = 0
    fullest_tokens: int = 0
    window_tokens: int = 0

    @property
    def fill(self) -> float:
        """The share of the context window that was filled at most."""
        return self.fullest_tokens / self.window_tokens if self.window_tokens else 0.0

    def plus(self, call: "Usage") -> "Usage":
        """The sum with one more call."""
        costs = [cost for cost in (self.cost_nano, call.cost_nano) if cost is not None]
        fullest = max(self, call, key=lambda usage: usage.fill)
        return Usage(
            prompt_tokens=self.prompt_tokens + call.prompt_tokens,
            completion_tokens=self.completion_tokens + call.completion_tokens,
            total_tokens=self.total_tokens + call.total_tokens,
            cached_input_tokens=self.cached_input_tokens + call.cached_input_tokens,
            cache_write_tokens=self.cache_write_tokens + call.cache_write_tokens,
            reasoning_tokens=self.reasoning_tokens + call.reasoning_tokens,
            step_count=self.step_count + 1,
            context_tokens=call.total_tokens,
            cost_nano=sum(costs) if costs else None,
            unpriced_steps=self.unpriced_steps + (call.cost_nano is None),
            fullest_tokens=fullest.fullest_tokens,
            window_tokens=fullest.window_tokens,
        )


class RunError(BaseModel):
    """Why a run failed, in V1's `error_message` shape, with the HTTP status it answers."""

    model_config = ConfigDict(frozen=True)

    type: str
    message: str
    detail: str = ""
    status: int = 500


class RequestConfig(BaseModel):
    """How a client wants the messages of its run shown; `GET /v1/runs/{id}` repeats it."""

    model_config = ConfigDict(frozen=True)

    use_assistant_message: bool = True
    assistant_message_tool_name: str = "send_message"
    assistant_message_tool_kwarg: str = "message"
    include_return_message_types: list[str] | None = None
    include_compaction_messages: bool = False


class ClientTool(BaseModel):
    """A tool that the client runs itself; `parameters` is a JSON schema of type object."""

    model_config = ConfigDict(frozen=True)

    name: str
    description: str = ""
    parameters: dict[str, Any] = {"type": "object", "properties": {}}


class ClientSkill(BaseModel):
    """Something that the client can do, as its request describes it to the model."""

    model_config = ConfigDict(frozen=True)

    name: str
    description: str
    location: str


class RunOptions(BaseModel):
    """What a request asked of its run.

    Attributes:
        override_system: What stands in the place of the system prompt; None for the agent's.
        client_tools: Tools that the client brings; None where it says nothing of them.
        client_skills: What its model calls say that the client can do; None as above.
        run_type: How it was asked, in V1's words: `send_message`, `streaming`,
            `send_message_async`, ….
    """

    model_config = ConfigDict(frozen=True)

    max_steps: int = 50
    stream_tokens: bool = False
    background: bool = False
    override_model: str | None = None
    override_system: str | None = None
    run_type: str = "send_message"
    client_tools: list[ClientTool] | None = None
    client_skills: list[ClientSkill] | None = None
    request_config: RequestConfig = RequestConfig()

    def going_on_from(self, asked: "RunOptions") -> "RunOptions":
        """These options for a run that carries an earlier request on.

        What that brought and asked for its model calls holds, unless something else is said:
        who approves a call in Temporal, or lets it expire, has nothing to say of it.
        """
        kept = ("client_tools", "client_skills", "override_model", "override_system")
        unsaid = [name for name in kept if getattr(self, name) is None]
        return self.model_copy(update={name: getattr(asked, name) for name in unsaid})


class Run(BaseModel):
    """From one request to rest.

    Attributes:
        request_key: Equal for requests that are the same one repeated.
        body_hash: Digest of the request's body, by which a retried POST finds its run.
        steps_done: How many steps are committed.
        input: What was said; it takes its place in history when the run starts.
        approval_id: The approval request that the run answers, None for none.
        origin_run_id: The run of the request that this one carries on, None where it is its own.
        pending_approval_id: The approval request that the run ended with and that still waits;
            known where runs are read for clients.
        first_token_at: When the first piece of a reply was stored.
        events_kept: Whether its log is whole; it is purged long after the run.
        callback_url: Where a POST goes once the run is finished.
        callback_sent_at: When that was done, or given up; None while it is to be done.
        callback_status_code: What the last try was answered.
        callback_error: What was wrong with the last try.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    organization_id: str
    agent_id: str
    conversation_id: str
    request_key: str
    body_hash: str
    status: RunStatus = RunStatus.CREATED
    stop_reason: StopReason | None = None
    input: list[InputMessage]
    options: RunOptions = RunOptions()
    usage: Usage = Usage()
    error: RunError | None = None
    steps_done: int = 0
    approval_id: str | None = None
    origin_run_id: str | None = None
    pending_approval_id: str | None = None
    created_by_id: str | None = None
    created_at: datetime
    started_at: datetime | None = None
    completed_at: datetime | None = None
    first_token_at: datetime | None = None
    events_kept: bool = True
    callback_url: str | None = None
    callback_sent_at: datetime | None = None
    callback_status_code: int | None = None
    callback_error: str | None = None

    @property
    def total_ns(self) -> int | None:
        """Nanoseconds from the request to rest, None while it is open."""
        return nanoseconds_between(self.created_at, self.completed_at)

    @property
    def first_token_ns(self) -> int | None:
        """Nanoseconds from the request to the first piece of a reply, None before it."""
        return nanoseconds_between(self.created_at, self.first_token_at)


def nanoseconds_between(start: datetime, end: datetime | None) -> int | None:
    """How long something took, None while it has no end."""
    return None if end is None else (end - start) // timedelta(microseconds=1) * 1_000


class EventKind(StrEnum):
    """What an event of a run is about."""

    MESSAGE = "message"
    """A message was committed; the body is the message."""
    DELTA = "delta"
    """A piece of the reply that a model is writing; the body is a `ReplyDelta` with ids."""
    CLOSED = "closed"
    """The run is finished; the body is a `RunClosed`. Always the last event."""
    UNKNOWN = "unknown"
    """Written by a newer release, as may be while one is rolled out. Never stored."""

    @classmethod
    def _missing_(cls, value: object) -> "EventKind":
        """Any other word: whoever reads passes over what it does not know, and goes on."""
        return cls.UNKNOWN


class RunEvent(BaseModel):
    """One entry of a run's log. `seq` counts from 1; `attempt` is the step's, from 1."""

    model_config = ConfigDict(frozen=True)

    run_id: str
    seq: int
    attempt: int
    kind: EventKind
    body: dict[str, Any]


class RunClosed(BaseModel):
    """The body of a closing event."""

    model_config = ConfigDict(frozen=True)

    stop_reason: StopReason
    usage: Usage
    error: RunError | None = None
