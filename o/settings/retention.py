"""What an operator can set of how long things are kept."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings

_DAY_S = 86_400
_HOUR_S = 3_600
_MOST_DAYS = 36_500
_MOST_HOURS = 87_600
_LEAST_S = 60
"""What clients come back for within seconds is there: a run they poll, a stream that broke off, a
page behind a row that was deleted, a request that they send again."""


def _bounds(unit_s: int, most: int) -> AfterValidator:
    """Keeps a span of so many units within a minute and the most."""

    def check(span: float) -> float:
        if not _LEAST_S - 0.5 <= span * unit_s <= most * unit_s:
            raise ValueError(
                f"{span:g} is not from {_LEAST_S / unit_s:.4f}, a minute, to {most:,}: "
                "clients come back for what they have just made"
            )
        return span

    return AfterValidator(check)


Hours = Annotated[float, _bounds(_HOUR_S, _MOST_HOURS)]
Days = Annotated[float, _bounds(_DAY_S, _MOST_DAYS)]


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

    event_retention_h: Hours = Field(
        24,
        description="Hours that a run's events are kept once it is finished.",
    )
    trace_retention_h: Hours = Field(72, description="Hours that traces are kept.")
    keep_runs_days: Days | None = Field(
        None,
        description="Days that a finished run is kept with its steps; unset: for ever. What was "
        "used is still counted, messages stay, and so does the newest run of each conversation.",
    )
    keep_audit_days: Days | None = Field(
        None, description="Days that it is on record who did what; unset: for ever."
    )
    keep_usage_days: Days | None = Field(
        None,
        description="Days that sums of usage are kept for steps that are gone; unset: for ever.",
    )
    keep_places_h: Hours = Field(
        24,
        description="Hours in which a list goes on behind a row that was deleted meanwhile.",
    )

    temporal_retention_h: Hours | None = Field(
        None,
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
