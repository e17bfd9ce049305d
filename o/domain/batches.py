"""Batches: requests that were accepted at once, each of which is a run of its agent."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from o.domain.runs import nanoseconds_between

BatchStatus = Literal["created", "running", "completed", "failed", "cancelled", "expired"]
"""V1's `JobStatus`, as far as batches have it."""


class Batch(BaseModel):
    """Runs that belong together, and how many of them stand how; it has no state beside theirs.

    Attributes:
        run_ids: One for each request, in their order; those of runs that are gone stay.
        cancelled_at: When the batch was cancelled while something of it was open, None for never.
        callback_url: Where a POST goes once all its runs are finished.
        callback_sent_at: When that was done, or given up; None while it is to be done.
        created: How many of its runs wait for their turns; the next four likewise.
        last_completed_at: The end of the run that ended last.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    organization_id: str
    run_ids: list[str]
    created_by_id: str | None = None
    created_at: datetime
    cancelled_at: datetime | None = None
    callback_url: str | None = None
    callback_sent_at: datetime | None = None
    callback_status_code: int | None = None
    callback_error: str | None = None
    created: int = 0
    running: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    last_completed_at: datetime | None = None

    @property
    def is_open(self) -> bool:
        """Whether something is still to happen."""
        return self.created + self.running > 0

    @property
    def removed(self) -> int:
        """How many of its runs are gone: with their agents, for their age, or by themselves."""
        return len(self.run_ids) - self._there

    @property
    def status(self) -> BatchStatus:
        """What the runs that are there say; `expired` where none is."""
        if self._there == 0:
            return "expired"
        if self.is_open:
            return "created" if self.created == self._there else "running"
        if self.cancelled_at is not None or self.cancelled == self._there:
            return "cancelled"
        return "completed" if self.completed else "failed"

    @property
    def completed_at(self) -> datetime | None:
        """When the last run ended, None while one is open."""
        return None if self.is_open else self.last_completed_at

    @property
    def total_ns(self) -> int | None:
        """Nanoseconds from the request to the end of the last run, None while one is open."""
        return nanoseconds_between(self.created_at, self.completed_at)

    @property
    def _there(self) -> int:
        return self.created + self.running + self.completed + self.failed + self.cancelled
