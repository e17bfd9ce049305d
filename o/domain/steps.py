"""Steps as clients read them: one model call of a run, and the tools it asked for."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from o.domain.runs import RunError, RunStatus, StopReason, Usage, nanoseconds_between


class Step(BaseModel):
    """One step, with what its run knows of the end.

    Attributes:
        index: Its place in the run, from 0.
        status: `pending`, `success` or `failed`.
        model: The handle that was asked, `<provider>/<model>`.
        model_started_ns: When the model was asked for what was committed, since 1970.
        model_ns: How long the model took to answer.
        run_steps_done: How many steps of the run are committed.
        run_error: Why the run failed, None when it did not.
        provider_id: Of the provider that has the handle's first name now, None where none has.
        provider_origin: `environment` or `api`.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    organization_id: str
    run_id: str
    agent_id: str
    index: int
    status: str
    model: str
    usage: Usage
    created_at: datetime
    completed_at: datetime | None
    model_started_ns: int | None
    model_ns: int | None
    feedback: str | None
    tags: list[str]
    run_status: RunStatus
    run_steps_done: int
    run_stop_reason: StopReason | None
    run_error: RunError | None
    provider_id: str | None = None
    provider_origin: str | None = None

    @property
    def stop_reason(self) -> StopReason | None:
        """Why the run ended with this step; None for a step that others followed."""
        is_last = self.index >= self.run_steps_done - 1
        return self.run_stop_reason if is_last and not self.run_status.is_open else None

    @property
    def error(self) -> RunError | None:
        """Why the step failed, None when it did not."""
        return self.run_error if self.status == "failed" else None


class StepTimes(BaseModel):
    """How long a step took. `tools_ns` is the sum over its tool calls, None when none was made."""

    model_config = ConfigDict(frozen=True)

    step: Step
    tools_ns: int | None

    @property
    def total_ns(self) -> int | None:
        """From the step's beginning to its committed reply, and its tools; None before that."""
        reply_ns = nanoseconds_between(self.step.created_at, self.step.completed_at)
        return None if reply_ns is None else reply_ns + (self.tools_ns or 0)
