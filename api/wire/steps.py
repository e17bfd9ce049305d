"""V1's spelling of steps."""

from typing import Any, Literal, Self

from pydantic import BaseModel

from api.wire.fields import RequestBody, Text, with_example
from api.wire.runs import dollars, since_1970_ns, token_details
from o.domain.steps import Step, StepTimes

Feedback = Literal["positive", "negative"]


class FeedbackBody(RequestBody):
    """V1's `ModifyFeedbackRequest`. No feedback takes back what was given."""

    model_config = with_example(feedback="positive")

    feedback: Feedback | None = None
    tags: list[Text] | None = None


class StepBody(BaseModel):
    """V1's `Step`, with what it cost: US dollars as a decimal text, null where it is not known."""

    id: str
    origin: str | None = None
    organization_id: str
    provider_id: str | None = None
    run_id: str
    agent_id: str
    provider_name: str
    provider_category: str = "base"
    model: str
    model_handle: str
    model_endpoint: str | None = None
    context_window_limit: int | None = None
    completion_tokens: int
    prompt_tokens: int
    total_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    completion_tokens_details: dict[str, int]
    prompt_tokens_details: dict[str, int]
    cost_usd: str | None
    stop_reason: str | None
    tags: list[str]
    tid: str | None = None
    trace_id: str | None = None
    request_id: str | None = None
    messages: list[Any] = []
    feedback: str | None
    project_id: str | None = None
    error_type: str | None
    error_data: dict[str, str] | None
    status: str

    @classmethod
    def of(cls, step: Step) -> Self:
        """The step as V1 shows it. The model's address stays with the operator."""
        provider, _, model = step.model.partition("/")
        error = step.error
        return cls(
            id=step.id,
            organization_id=step.organization_id,
            run_id=step.run_id,
            agent_id=step.agent_id,
            provider_id=step.provider_id,
            provider_name=provider,
            provider_category="byok" if step.provider_origin == "api" else "base",
            model=model,
            model_handle=step.model,
            completion_tokens=step.usage.completion_tokens,
            prompt_tokens=step.usage.prompt_tokens,
            total_tokens=step.usage.total_tokens,
            cached_input_tokens=step.usage.cached_input_tokens,
            cache_write_tokens=step.usage.cache_write_tokens,
            reasoning_tokens=step.usage.reasoning_tokens,
            **token_details(step.usage),
            cost_usd=dollars(step.usage.cost_nano),
            stop_reason=step.stop_reason,
            tags=step.tags,
            feedback=step.feedback,
            error_type=error.type if error else None,
            error_data={"message": error.message, "detail": error.detail} if error else None,
            status=step.status,
        )


class StepMetricsBody(BaseModel):
    """V1's `StepMetrics`. Starts count from 1970."""

    id: str
    organization_id: str
    provider_id: str | None = None
    run_id: str
    agent_id: str
    step_start_ns: int
    llm_request_start_ns: int | None
    llm_request_ns: int | None
    tool_execution_ns: int | None
    step_ns: int | None
    base_template_id: str | None = None
    template_id: str | None = None
    project_id: str | None = None

    @classmethod
    def of(cls, times: StepTimes) -> Self:
        """The metrics as V1 shows them; what was not measured is null."""
        step = times.step
        return cls(
            id=step.id,
            organization_id=step.organization_id,
            provider_id=step.provider_id,
            run_id=step.run_id,
            agent_id=step.agent_id,
            step_start_ns=since_1970_ns(step.created_at),
            llm_request_start_ns=step.model_started_ns,
            llm_request_ns=step.model_ns,
            tool_execution_ns=times.tools_ns,
            step_ns=times.total_ns,
        )
