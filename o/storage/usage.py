"""What was used: sums over steps, and over what no step tells of any more."""

from typing import Any

from sqlalchemy import Row, TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.actors import Actor
from o.domain.runs import Usage
from o.domain.usage import UsageFilter, UsageKey, UsageSum

_TOKENS = (
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
)
_KEYS = {"agent": "agent_id", "model": "model", "day": "day::text"}
_ONLY = """
    organization_id = :organization_id
    AND (CAST(:agent_id AS text) IS NULL OR agent_id = :agent_id)
    AND (CAST(:model AS text) IS NULL OR model = :model
         OR substr(model, strpos(model, '/') + 1) = :model)
"""
_USED = f"""
    SELECT agent_id, model, (created_at AT TIME ZONE 'UTC')::date AS day, 1 AS calls,
        {", ".join(f"o_used(usage, '{name}') AS {name}" for name in _TOKENS)},
        o_used(usage, 'cost_nano') AS cost_nano,
        CASE WHEN o_used(usage, 'cost_nano') IS NULL THEN 1 ELSE 0 END AS unpriced_calls
    FROM steps
    WHERE {_ONLY} AND status = 'success' AND created_at >= :since
      AND (CAST(:until AS timestamptz) IS NULL OR created_at < :until)
    UNION ALL
    SELECT agent_id, model, day, calls, {", ".join(_TOKENS)}, cost_nano, unpriced_calls
    FROM other_usage
    WHERE {_ONLY} AND day >= (CAST(:since AS timestamptz) AT TIME ZONE 'UTC')::date
      AND (CAST(:until AS timestamptz) IS NULL
           OR day < CAST(:until AS timestamptz) AT TIME ZONE 'UTC')
"""  # noqa: S608
_COUNTS = ("calls", *_TOKENS, "unpriced_calls")
_SUM = (
    "SELECT "
    + ", ".join(f"coalesce(sum({name}), 0)::bigint AS {name}" for name in _COUNTS)
    + ", sum(cost_nano)::bigint AS cost_nano"
)


def _grouped(key: UsageKey) -> TextClause:
    """The groups that come first, and before them the total, from one look at the rows."""
    order = "key DESC" if key == "day" else "cost_nano DESC NULLS LAST, total_tokens DESC, key"
    return text(
        f"""
        WITH sums AS MATERIALIZED (
            {_SUM}, {_KEYS[key]} AS key FROM ({_USED}) AS used GROUP BY key
        )
        ({_SUM}, NULL AS key FROM sums)
        UNION ALL
        (SELECT {", ".join(_COUNTS)}, cost_nano, key FROM sums ORDER BY {order} LIMIT :limit)
        """  # noqa: S608
    )


_TOTAL = text(f"{_SUM}, NULL AS key FROM ({_USED}) AS used")
_BY: dict[UsageKey, TextClause] = {key: _grouped(key) for key in ("agent", "model", "day")}

_ADD_LOST = text(
    """
    INSERT INTO other_usage AS known (organization_id, agent_id, model, day, calls,
        prompt_tokens, completion_tokens, total_tokens, cached_input_tokens, cache_write_tokens,
        reasoning_tokens, cost_nano, unpriced_calls)
    VALUES (:organization_id, :agent_id, :model, (now() AT TIME ZONE 'UTC')::date, 1,
        :prompt_tokens, :completion_tokens, :total_tokens, :cached_input_tokens,
        :cache_write_tokens, :reasoning_tokens, :cost_nano, :unpriced_calls)
    ON CONFLICT (organization_id, agent_id, model, day) DO UPDATE SET
        calls = known.calls + 1,
        prompt_tokens = known.prompt_tokens + excluded.prompt_tokens,
        completion_tokens = known.completion_tokens + excluded.completion_tokens,
        total_tokens = known.total_tokens + excluded.total_tokens,
        cached_input_tokens = known.cached_input_tokens + excluded.cached_input_tokens,
        cache_write_tokens = known.cache_write_tokens + excluded.cache_write_tokens,
        reasoning_tokens = known.reasoning_tokens + excluded.reasoning_tokens,
        cost_nano = CASE WHEN known.cost_nano IS NULL THEN excluded.cost_nano
            ELSE known.cost_nano + coalesce(excluded.cost_nano, 0) END,
        unpriced_calls = known.unpriced_calls + excluded.unpriced_calls
    """
)


async def sum_usage(connection: AsyncConnection, actor: Actor, only: UsageFilter) -> UsageSum:
    """What was used in all."""
    rows = await connection.execute(_TOTAL, _parameters(actor, only))
    return _sum_of(rows.one())


async def sum_usage_by(
    connection: AsyncConnection, actor: Actor, only: UsageFilter, key: UsageKey, *, limit: int
) -> tuple[UsageSum, list[UsageSum]]:
    """What was used in all, and by each of a kind: the newest days, else what cost most, first."""
    rows = await connection.execute(_BY[key], _parameters(actor, only) | {"limit": limit})
    found = [_sum_of(row) for row in rows]
    (total,) = (one for one in found if one.key is None)
    return total, [one for one in found if one.key is not None]


async def add_lost_usage(
    connection: AsyncConnection, organization_id: str, agent_id: str, model: str, usage: Usage
) -> None:
    """Count a reply that was paid for and that no step tells of. Adds up: call it once a reply."""
    told = usage.model_dump(include={*_TOKENS, "cost_nano"})
    await connection.execute(
        _ADD_LOST,
        {
            "organization_id": organization_id,
            "agent_id": agent_id,
            "model": model,
            "unpriced_calls": int(usage.cost_nano is None),
            **told,
        },
    )


def _parameters(actor: Actor, only: UsageFilter) -> dict[str, Any]:
    return {
        "organization_id": actor.organization_id,
        "agent_id": only.agent_id,
        "model": only.model,
        "since": only.since,
        "until": only.until,
    }


def _sum_of(row: Row[Any]) -> UsageSum:
    tokens = {name: getattr(row, name) for name in _TOKENS}
    usage = Usage(
        **tokens,
        step_count=row.calls,
        cost_nano=row.cost_nano,
        unpriced_steps=row.unpriced_calls,
    )
    return UsageSum(row.key, usage)
