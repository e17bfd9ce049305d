"""V1's spelling of batches: many sends in one request, and how they stand."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, model_validator

from api.wire.callbacks import CallbackUrl
from api.wire.context import ContextMessageBody
from api.wire.fields import EntityTime, RequestBody, ZonelessTime, with_example
from api.wire.turns import SendBody
from o.domain.batches import Batch, BatchStatus
from o.domain.runs import RunOptions
from o.ids import pattern

MAX_REQUESTS = 500
"""Each becomes a run, in one transaction with the others."""


class BatchRequestBody(SendBody):
    """V1's `LettaBatchRequest`. What is about streams is ignored."""

    model_config = with_example(
        agent_id="agent-123e4567-e89b-42d3-8456-426614174000", input="Hello! My name is Ada."
    )

    agent_id: str = Field(pattern=pattern("agent"))

    @model_validator(mode="after")
    def _is_a_send_that_waits_its_turn(self) -> Self:
        if self.messages is not None and not self.messages:
            raise ValueError("messages must not be empty")
        if self.to_decisions() is not None:
            raise ValueError(
                "a batch answers no approval request: send the answer to "
                "/v1/agents/{agent_id}/messages"
            )
        if self.busy_policy not in (None, "queue"):
            raise ValueError("a request of a batch waits for its turn: leave busy_policy out")
        return self

    def to_options(self, *, streams: bool) -> RunOptions:
        """What the run keeps of the request: it is in the background, whatever the body says."""
        kept = super().to_options(streams=streams)
        return kept.model_copy(update={"background": True, "run_type": "batch"})


class CreateBatchBody(RequestBody):
    """V1's `CreateBatch`."""

    model_config = with_example(
        requests=[
            {
                "agent_id": "agent-123e4567-e89b-42d3-8456-426614174000",
                "input": "Hello! My name is Ada.",
            }
        ]
    )

    requests: Annotated[list[BatchRequestBody], Field(min_length=1, max_length=MAX_REQUESTS)]
    callback_url: CallbackUrl | None = None


class BatchBody(BaseModel):
    """V1's `BatchJob`. `metadata` has how many of its runs stand how, and by itself their ids."""

    id: str
    status: BatchStatus
    job_type: Literal["batch"] = "batch"
    created_at: EntityTime
    updated_at: EntityTime | None = None
    completed_at: ZonelessTime | None
    created_by_id: str | None
    last_updated_by_id: str | None
    user_id: str | None
    agent_id: str | None = None
    background: bool = True
    stop_reason: Literal["cancelled"] | None
    metadata: dict[str, Any]
    callback_url: str | None
    callback_sent_at: EntityTime | None
    callback_status_code: int | None
    callback_error: str | None
    ttft_ns: int | None = None
    total_duration_ns: int | None

    @classmethod
    def of(cls, batch: Batch, *, names_runs: bool = True) -> Self:
        """The batch as V1 shows it.

        Args:
            batch: Which.
            names_runs: Whether with the ids of its runs, in the order of its requests.
        """
        metadata: dict[str, Any] = {"requests": len(batch.run_ids), "runs": _counts(batch)}
        if names_runs:
            metadata["run_ids"] = batch.run_ids
        return cls(
            id=batch.id,
            status=batch.status,
            created_at=batch.created_at,
            completed_at=batch.completed_at,
            created_by_id=batch.created_by_id,
            last_updated_by_id=batch.created_by_id,
            user_id=batch.created_by_id,
            stop_reason="cancelled" if batch.status == "cancelled" else None,
            metadata=metadata,
            callback_url=batch.callback_url,
            callback_sent_at=batch.callback_sent_at,
            callback_status_code=batch.callback_status_code,
            callback_error=batch.callback_error,
            total_duration_ns=batch.total_ns,
        )


class BatchMessagesBody(BaseModel):
    """V1's `LettaBatchMessages`."""

    messages: list[ContextMessageBody]


def batch_callback_body(batch: Batch) -> dict[str, Any]:
    """What a callback is sent of a batch, in V1's words."""
    shown = BatchBody.of(batch).model_dump(mode="json")
    return {
        "job_id": shown["id"],
        "status": shown["status"],
        "completed_at": shown["completed_at"],
    }


def _counts(batch: Batch) -> dict[str, int]:
    return {
        "created": batch.created,
        "running": batch.running,
        "completed": batch.completed,
        "failed": batch.failed,
        "cancelled": batch.cancelled,
        "removed": batch.removed,
    }
