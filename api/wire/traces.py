"""V1's spelling of traces."""

import json
from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel

from o.domain.traces import StepTrace
from o.ids import derived_id


class ProviderTraceBody(BaseModel):
    """V1's `ProviderTrace`: the newest request of a step to its provider, and the answer.

    Attributes:
        attempt: Which attempt at the step it was, from 1; O's own, as is what follows.
        status: Of the HTTP answer, null where none came.
        error: V1's error type and a sentence, null for a call that went well.
        exchanges: How many requests the call took; the newest is shown.
        notes: What of the request was sent otherwise than history has it.
    """

    id: str
    request_json: dict[str, Any]
    response_json: dict[str, Any]
    step_id: str
    run_id: str
    agent_id: str
    agent_tags: list[str]
    call_type: str = "agent_step"
    source: str = "o"
    org_id: str
    user_id: str | None
    llm_config: dict[str, Any]
    compaction_settings: dict[str, Any] | None = None
    billing_context: dict[str, Any] | None = None
    latency_ms: int | None
    created_by_id: str | None
    last_updated_by_id: str | None = None
    created_at: datetime
    updated_at: datetime | None = None
    attempt: int
    status: int | None
    error: dict[str, str] | None
    exchanges: int
    notes: list[str]

    @classmethod
    def of(cls, trace: StepTrace) -> Self:
        """The trace as V1 shows it."""
        details = trace.details
        handle = details.model or trace.model  # the step may be at another one since
        provider, _, model = handle.partition("/")
        error = {"type": details.error, "message": details.message or ""} if details.error else None
        return cls(
            id=derived_id("provider_trace", trace.step_id),
            request_json=json.loads(trace.request),
            response_json=json.loads(trace.response),
            step_id=trace.step_id,
            run_id=trace.run_id,
            agent_id=trace.agent_id,
            agent_tags=trace.agent_tags,
            org_id=trace.organization_id,
            user_id=trace.created_by_id,
            llm_config={"model": model, "handle": handle, "provider_name": provider},
            latency_ms=details.latency_ms,
            created_by_id=trace.created_by_id,
            created_at=trace.created_at,
            attempt=trace.attempt,
            status=details.status,
            error=error,
            exchanges=details.exchanges,
            notes=details.notes,
        )
