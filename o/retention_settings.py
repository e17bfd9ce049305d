"""What an operator can set of how long things are kept."""

from dataclasses import dataclass
from datetime import timedelta

from pydantic import Field
from pydantic_settings import BaseSettings

_DAYS = 36_500
_HOURS = 87_600


@dataclass(frozen=True)
class Retention:
    """How long each kind of row is kept; None is for ever.

    Messages, memory, files and all else that somebody made are kept until somebody deletes them.

    Attributes:
        events: What streams are made of, from the end of their run on.
        traces: What was sent to providers and what they answered.
        runs: Runs that are finished, with their steps and decided approvals.
        audit: The record of who did what.
        usage: Sums of what was used by steps that are gone, by day.
        places: Where deleted rows stood, for whoever pages by one of them.
        requests: What the API asked of workers.
    """

    events: timedelta = timedelta(hours=24)
    traces: timedelta = timedelta(hours=72)
    runs: timedelta | None = None
    audit: timedelta | None = None
    usage: timedelta | None = None
    places: timedelta = timedelta(hours=24)
    requests: timedelta = timedelta(hours=1)


class RetentionSettings(BaseSettings):
    """Settings of what is removed by itself, and when."""

    event_retention_h: float = Field(
        24,
        gt=0,
        le=_HOURS,
        description="Hours that a run's events are kept once it is finished.",
    )
    trace_retention_h: float = Field(72, gt=0, le=_HOURS, description="Hours that traces are kept.")
    keep_runs_days: float | None = Field(
        None,
        gt=0,
        le=_DAYS,
        description="Days that a finished run is kept with its steps; unset: for ever. What was "
        "used is still counted, messages stay, and so does the newest run of each conversation.",
    )
    keep_audit_days: float | None = Field(
        None, gt=0, le=_DAYS, description="Days that it is on record who did what; unset: for ever."
    )
    keep_usage_days: float | None = Field(
        None,
        gt=0,
        le=_DAYS,
        description="Days that sums of usage are kept for steps that are gone; unset: for ever.",
    )
    keep_places_h: float = Field(
        24,
        gt=0,
        le=_HOURS,
        description="Hours in which a list goes on behind a row that was deleted meanwhile.",
    )

    temporal_retention_h: float | None = Field(
        None,
        gt=0,
        le=_HOURS,
        description="Hours that Temporal keeps the histories of executions that have ended; unset: "
        "a day in the one that `o up` brings, and in a server of your own what its namespace says.",
    )

    @property
    def temporal_retention_s(self) -> int | None:
        """The same in whole seconds, as Temporal takes it."""
        hours = self.temporal_retention_h
        return None if hours is None else max(1, round(hours * 3600))

    @property
    def retention(self) -> Retention:
        """All of them at once."""
        return Retention(
            events=timedelta(hours=self.event_retention_h),
            traces=timedelta(hours=self.trace_retention_h),
            runs=_days(self.keep_runs_days),
            audit=_days(self.keep_audit_days),
            usage=_days(self.keep_usage_days),
            places=timedelta(hours=self.keep_places_h),
        )


def _days(days: float | None) -> timedelta | None:
    return None if days is None else timedelta(days=days)
