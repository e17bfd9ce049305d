"""What an organization used over a time, summed up."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from o.domain.runs import Usage

UsageKey = Literal["agent", "model", "day"]
"""What sums are told apart by."""


@dataclass(frozen=True)
class UsageFilter:
    """Which calls are counted; None means any.

    Attributes:
        model: A handle, or its part behind the provider.
        until: Calls of steps that began before that time.
    """

    since: datetime
    until: datetime | None = None
    agent_id: str | None = None
    model: str | None = None


@dataclass(frozen=True)
class UsageSum:
    """A sum over model calls.

    Attributes:
        key: An agent's id, a handle or a day in UTC (`2026-01-31`); None for all together.
        usage: `step_count` is the number of calls, and of those that have no known cost
            `unpriced_steps`.
    """

    key: str | None
    usage: Usage
