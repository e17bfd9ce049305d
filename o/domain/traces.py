"""Traces of model calls: what was sent and received, as it may be shown."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict

TracesKept = Literal["off", "failures", "all"]
"""Of which steps traces are kept."""


@dataclass(frozen=True)
class RecordedCall:
    """One model call.

    Attributes:
        request: A JSON object, redacted and cut.
        response: The same; empty where no answer came.
        status: Of the HTTP answer, None where none came.
        exchanges: How many requests were sent; the newest is shown.
    """

    request: str
    response: str
    status: int | None
    exchanges: int = 1


class Recording(Protocol):
    """What is recorded of a call."""

    def call(self) -> RecordedCall | None:
        """The call as far as it went, None where nothing was sent. May block for long ones."""
        ...


class CallRecorder(Protocol):
    """Something that records model calls."""

    def recording(self) -> AbstractContextManager[Recording]:
        """Record the calls that are made while the block lasts."""
        ...


class TraceDetails(BaseModel):
    """What is known of a traced call beside its bodies.

    Attributes:
        model: The handle that was asked.
        error: V1's error type; None for a call that went well.
        latency_ms: From the request to the end of the answer.
        notes: What of the request was sent otherwise than history has it.
    """

    model_config = ConfigDict(frozen=True)

    model: str | None = None
    status: int | None = None
    error: str | None = None
    message: str | None = None
    latency_ms: int | None = None
    exchanges: int = 1
    notes: list[str] = []


class StepTrace(BaseModel):
    """The trace of a step's model call, with what its step, run and agent say.

    Attributes:
        request: A JSON object as text, as is `response`.
        attempt: Which attempt at the step it was, from 1.
        model: The handle that the step is at.
        created_by_id: Who asked for the run.
    """

    model_config = ConfigDict(frozen=True)

    step_id: str
    organization_id: str
    agent_id: str
    run_id: str
    model: str
    attempt: int
    request: str
    response: str
    details: TraceDetails
    agent_tags: list[str]
    created_by_id: str | None
    created_at: datetime
