"""What was used, as O shows it: V1 has no such resource."""

from datetime import datetime
from typing import Self

from pydantic import BaseModel

from api.wire.runs import dollars
from o.domain.usage import UsageFilter, UsageKey, UsageSum


class UsageSumBody(BaseModel):
    """A sum over model calls.

    Attributes:
        cost_usd: US dollars as a decimal text, of the calls whose cost is known; null for none.
        unpriced_calls: How many calls are not in it.
    """

    calls: int
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    cost_usd: str | None
    unpriced_calls: int

    @classmethod
    def fields_of(cls, found: UsageSum) -> dict[str, int | str | None]:
        """The sum by the names that it has here."""
        usage = found.usage
        told = {name: getattr(usage, name) for name in cls.model_fields if hasattr(usage, name)}
        return told | {
            "calls": usage.step_count,
            "cost_usd": dollars(usage.cost_nano),
            "unpriced_calls": usage.unpriced_steps,
        }


class UsageGroupBody(UsageSumBody):
    """The sum of one group; `key` is an agent's id, a model's handle or a day in UTC."""

    key: str


class UsageBody(BaseModel):
    """What an organization used.

    Attributes:
        start: From when on.
        end: Until when; null for now.
        has_more: Whether there are more groups than were asked for.
    """

    start: datetime
    end: datetime | None
    group_by: UsageKey | None
    total: UsageSumBody
    groups: list[UsageGroupBody]
    has_more: bool

    @classmethod
    def of(
        cls,
        only: UsageFilter,
        total: UsageSum,
        key: UsageKey | None,
        groups: list[UsageSum],
        *,
        limit: int,
    ) -> Self:
        """The answer; of `groups` the first `limit`."""
        return cls(
            start=only.since,
            end=only.until,
            group_by=key,
            total=UsageSumBody.model_validate(UsageSumBody.fields_of(total)),
            groups=[
                UsageGroupBody.model_validate({"key": group.key, **UsageSumBody.fields_of(group)})
                for group in groups[:limit]
            ],
            has_more=len(groups) > limit,
        )
