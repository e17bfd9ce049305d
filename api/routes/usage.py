"""What an organization used: tokens and money, by agent, model or day."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query

from api.deps import ActorDep, ReadsDep
from api.times import moment
from api.wire.usage import UsageBody
from o.domain.usage import UsageFilter, UsageKey
from o.storage.usage import sum_usage, sum_usage_by

router = APIRouter(prefix="/usage", tags=["usage"])
_DAYS = 30


@router.get("", operation_id="retrieve_usage", summary="Retrieve what was used")
async def retrieve(
    connection: ReadsDep,
    actor: ActorDep,
    agent_id: str | None = None,
    model: str | None = None,
    start: str | None = None,
    end: str | None = None,
    group_by: UsageKey | None = None,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
) -> UsageBody:
    """Sums over all model calls since `start` (30 days ago) and before `end`, by the step's time.

    What was deleted is in them, by whole days in UTC. Groups that cost most come first, and the
    newest days.
    """
    since = moment(start) or datetime.now(UTC) - timedelta(days=_DAYS)
    only = UsageFilter(since=since, until=moment(end), agent_id=agent_id, model=model)
    if group_by is None:
        total = await sum_usage(connection, actor, only)
        return UsageBody.of(only, total, None, [], limit=limit)
    total, groups = await sum_usage_by(connection, actor, only, group_by, limit=limit + 1)
    return UsageBody.of(only, total, group_by, groups, limit=limit)
