"""V1's spelling of runs."""

from datetime import UTC, datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict

from api.wire.fields import EntityTime, ZonelessTime
from o.domain.runs import Run, RunError, Usage
from o.ids import derived_id
from o.memory.fill import WARNING_SHARE
from o.tools.registry import BUILT_IN_TOOLS

StopReasonName = Literal[
    "end_turn",
    "error",
    "llm_api_error",
    "invalid_llm_response",
    "invalid_tool_call",
    "max_steps",
    "max_tokens_exceeded",
    "no_tool_call",
    "tool_rule",
    "cancelled",
    "insufficient_credits",
    "requires_approval",
    "context_window_overflow_in_system_prompt",
]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class RequestConfigBody(BaseModel):
    """V1's `LettaRequestConfig`: how the request wanted its messages shown."""

    model_config = ConfigDict(from_attributes=True)

    use_assistant_message: bool
    assistant_message_tool_name: str
    assistant_message_tool_kwarg: str
    include_return_message_types: list[str] | None


class RunBody(BaseModel):
    """V1's `Run`. Times in nanoseconds count from the request."""

    id: str
    status: str
    created_at: EntityTime
    completed_at: ZonelessTime | None
    agent_id: str
    conversation_id: str
    base_template_id: str | None = None
    background: bool
    metadata: dict[str, Any]
    request_config: RequestConfigBody
    stop_reason: str | None
    callback_url: str | None
    callback_sent_at: EntityTime | None
    callback_status_code: int | None
    callback_error: str | None
    ttft_ns: int | None
    total_duration_ns: int | None

    @classmethod
    def of(cls, run: Run) -> Self:
        """The run as V1 shows it."""
        return cls(
            id=run.id,
            status=run.status,
            created_at=run.created_at,
            completed_at=run.completed_at,
            agent_id=run.agent_id,
            conversation_id=run.conversation_id,
            background=run.options.background,
            metadata=_metadata(run),
            request_config=RequestConfigBody.model_validate(run.options.request_config),
            stop_reason=run.stop_reason,
            callback_url=run.callback_url,
            callback_sent_at=run.callback_sent_at,
            callback_status_code=run.callback_status_code,
            callback_error=run.callback_error,
            ttft_ns=run.first_token_ns,
            total_duration_ns=run.total_ns,
        )


class RunUsageBody(BaseModel):
    """V1's `UsageStatistics`, and what V1 leaves out: the number of steps, and what they cost.

    Attributes:
        cost_usd: US dollars as a decimal text, of the steps whose cost is known; null for none.
        unpriced_steps: How many steps are not in it.
    """

    completion_tokens: int
    prompt_tokens: int
    total_tokens: int
    step_count: int
    prompt_tokens_details: dict[str, int]
    completion_tokens_details: dict[str, int]
    cost_usd: str | None
    unpriced_steps: int

    @classmethod
    def of(cls, usage: Usage) -> Self:
        """The usage as V1 shows it."""
        return cls(
            completion_tokens=usage.completion_tokens,
            prompt_tokens=usage.prompt_tokens,
            total_tokens=usage.total_tokens,
            step_count=usage.step_count,
            **token_details(usage),
            cost_usd=dollars(usage.cost_nano),
            unpriced_steps=usage.unpriced_steps,
        )


class RunMetricsBody(BaseModel):
    """V1's `RunMetrics`. `run_start_ns` counts from 1970, `run_ns` from the request."""

    id: str
    organization_id: str
    agent_id: str
    project_id: str | None = None
    run_start_ns: int
    run_ns: int | None
    num_steps: int
    tools_used: list[str]
    template_id: str | None = None
    base_template_id: str | None = None

    @classmethod
    def of(cls, run: Run, tools: list[str]) -> Self:
        """The metrics as V1 shows them; names of `tools` that are none are left out."""
        return cls(
            id=run.id,
            organization_id=run.organization_id,
            agent_id=run.agent_id,
            run_start_ns=since_1970_ns(run.created_at),
            run_ns=run.total_ns,
            num_steps=run.steps_done,
            tools_used=[
                derived_id("tool", run.organization_id, name)
                for name in tools
                if name in BUILT_IN_TOOLS
            ],
        )


def token_details(usage: Usage) -> dict[str, dict[str, int]]:
    """V1's breakdown of tokens, in runs and steps."""
    return {
        "prompt_tokens_details": {
            "cached_tokens": usage.cached_input_tokens,
            "cache_read_tokens": usage.cached_input_tokens,
            "cache_creation_tokens": usage.cache_write_tokens,
        },
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def dollars(cost_nano: int | None) -> str | None:
    """Billionths of a US dollar as dollars: a decimal text, so that nothing is rounded."""
    if cost_nano is None:
        return None
    whole, rest = divmod(cost_nano, 1_000_000_000)
    return f"{whole}.{rest:09}"


def since_1970_ns(moment: datetime) -> int:
    """Nanoseconds since 1970, without the error of floating point."""
    since = moment - _EPOCH
    return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1_000


def _metadata(run: Run) -> dict[str, Any]:
    """`run_type`, and of a failed run its `error`: a text, or an object when it was streamed.

    A run that has filled `WARNING_SHARE` of its context window says so in `context_warning`.
    """
    metadata: dict[str, Any] = {"run_type": run.options.run_type}
    if run.pending_approval_id is not None:
        metadata["pending_approval"] = run.pending_approval_id
    if run.usage.fill >= WARNING_SHARE:
        metadata["context_warning"] = _warning(run.usage)
    if run.error is None:
        return metadata
    return metadata | {"error": _error(run, run.error)}


def _warning(usage: Usage) -> dict[str, Any]:
    """What a client may show of a window that is nearly full, before it is compacted."""
    percent = int(100 * usage.fill)
    return {
        "context_tokens": usage.fullest_tokens,
        "context_window": usage.window_tokens,
        "percent": percent,
        "message": f"{percent} % of the context window was filled in this run.",
    }


def _error(run: Run, error: RunError) -> str | dict[str, str]:
    if run.options.run_type != "streaming":
        return error.message
    return {
        "run_id": run.id,
        "error_type": error.type,
        "message": error.message,
        "detail": error.detail,
    }
