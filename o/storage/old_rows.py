"""Statements that remove what is old of one organization: runs, batches, records, sums of usage.

Each takes a small batch, and goes by an index that begins with the organization.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy import Integer, TextClause, bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

_LIMIT = bindparam("limit", type_=Integer, literal_execute=True)  # so that plans know it

_ORGANIZATIONS = text(
    "SELECT id FROM organizations WHERE id > :after ORDER BY id LIMIT :limit"
).bindparams(_LIMIT)

_OLD_RUNS = text(
    """
    SELECT id, conversation_id, created_at FROM runs
    WHERE organization_id = :organization_id AND created_at < now() - CAST(:kept AS interval)
      AND (created_at, id) > (CAST(:after AS timestamptz), :after_id)
    ORDER BY created_at, id LIMIT :limit
    """
).bindparams(_LIMIT)

# Before their runs, as `o.storage.locks` has it; a run stays while somebody holds one of its own.
_DECIDED = text(
    """
    SELECT id, run_id FROM approvals
    WHERE conversation_id = ANY(:conversation_ids) AND run_id = ANY(:ids) AND status <> 'pending'
    ORDER BY created_at, id FOR UPDATE SKIP LOCKED
    """
)
# The runs of one request go on from one another's steps: none goes before all are finished.
_TO_GO = text(
    """
    SELECT id FROM runs
    WHERE id = ANY(:ids)
      AND status NOT IN ('created', 'running')
      AND completed_at < now() - CAST(:kept AS interval)
      AND (callback_url IS NULL OR callback_sent_at IS NOT NULL)
      AND EXISTS (
          SELECT FROM runs AS newer
          WHERE newer.conversation_id = runs.conversation_id
            AND (newer.created_at, newer.id) > (runs.created_at, runs.id)
      )
      AND NOT EXISTS (
          SELECT FROM approvals
          WHERE approvals.conversation_id = runs.conversation_id
            AND approvals.run_id = runs.id AND approvals.id <> ALL(:decided)
      )
      AND NOT EXISTS (
          SELECT FROM (
              SELECT id, conversation_id, status FROM runs AS first
              WHERE first.id = coalesce(runs.origin_run_id, runs.id)
              UNION ALL
              SELECT id, conversation_id, status FROM runs AS later
              WHERE later.origin_run_id = coalesce(runs.origin_run_id, runs.id)
          ) AS other
          WHERE other.status IN ('created', 'running') OR EXISTS (
              SELECT FROM approvals
              WHERE approvals.conversation_id = other.conversation_id
                AND approvals.run_id = other.id AND approvals.status = 'pending'
          )
      )
      AND NOT EXISTS (
          SELECT FROM agent_waits JOIN runs AS waiting ON waiting.id = agent_waits.run_id
          WHERE agent_waits.awaited_run_id = runs.id AND waiting.status IN ('created', 'running')
      )
    ORDER BY created_at, id FOR UPDATE OF runs SKIP LOCKED
    """
)
# Steps before their runs, all at once: a cascade would count what each run used by itself.
_GO = (
    text("DELETE FROM approvals WHERE id = ANY(:decided)"),
    text("DELETE FROM steps WHERE run_id = ANY(:ids)"),
    text("DELETE FROM run_events WHERE run_id = ANY(:ids)"),
    text("DELETE FROM runs WHERE id = ANY(:ids)"),
)

_APPROVALS = text("SELECT id FROM approvals WHERE id > :after ORDER BY id LIMIT :limit").bindparams(
    _LIMIT
)
_STRAY = text(
    """
    DELETE FROM approvals WHERE id = ANY(ARRAY(
        SELECT id FROM approvals
        WHERE id = ANY(:ids) AND status <> 'pending'
          AND NOT EXISTS (SELECT FROM runs WHERE runs.id = approvals.run_id)
        ORDER BY created_at, id FOR UPDATE SKIP LOCKED
    ))
    """
)


# As long as one of its runs: what is older has nothing to tell.
_BATCHES = text(
    """
    DELETE FROM batches WHERE id = ANY(ARRAY(
        SELECT id FROM batches
        WHERE organization_id = :organization_id
          AND created_at < now() - CAST(:kept AS interval)
          AND (callback_url IS NULL OR callback_sent_at IS NOT NULL)
          AND NOT EXISTS (
              SELECT FROM unnest(batches.run_ids) AS one (id) JOIN runs ON runs.id = one.id
              WHERE runs.completed_at IS NULL
                OR runs.completed_at > now() - CAST(:kept AS interval)
          )
        ORDER BY created_at, id LIMIT :limit FOR UPDATE SKIP LOCKED
    ))
    """
).bindparams(_LIMIT)
_AUDIT = text(
    """
    DELETE FROM audit_records WHERE id = ANY(ARRAY(
        SELECT id FROM audit_records
        WHERE organization_id = :organization_id
          AND created_at < now() - CAST(:kept AS interval)
        ORDER BY created_at, id LIMIT :limit
    ))
    """
).bindparams(_LIMIT)
_USAGE = text(
    """
    DELETE FROM other_usage WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM other_usage
        WHERE organization_id = :organization_id
          AND day < (now() - CAST(:kept AS interval)) AT TIME ZONE 'UTC' - interval '1 day'
        ORDER BY day LIMIT :limit FOR UPDATE SKIP LOCKED
    ))
    """
).bindparams(_LIMIT)


@dataclass(frozen=True)
class Place:
    """How far a look at old runs has come: behind this one."""

    created_at: datetime = field(default_factory=lambda: datetime.min.replace(tzinfo=UTC))
    id: str = ""


@dataclass(frozen=True)
class PurgedRuns:
    """What one batch did.

    Attributes:
        looked_at: How many runs were old enough to be looked at.
        gone: How many of them went.
        last: Where to go on.
    """

    looked_at: int
    gone: int
    last: Place


async def list_organizations(connection: AsyncConnection, *, after: str, limit: int) -> list[str]:
    """Ids of organizations behind `after`, in their order."""
    found = await connection.execute(_ORGANIZATIONS, {"after": after, "limit": limit})
    return list(found.scalars())


async def purge_runs(
    connection: AsyncConnection,
    organization_id: str,
    *,
    kept: timedelta,
    after: Place,
    limit: int,
) -> PurgedRuns:
    """Remove runs that have been finished for longer than `kept`, with their steps.

    Their messages stay, and what they used is counted elsewhere. One stays that is the newest of
    its conversation, belongs to a request that is not finished, is waited for by another one, or
    has a callback to be sent.

    Args:
        connection: In a transaction.
        organization_id: Whose runs.
        kept: How long.
        after: Where the last batch ended.
        limit: How many to look at.
    """
    # Whoever holds a row for long keeps it from being purged, and nobody waiting for a connection.
    await connection.execute(text("SET LOCAL lock_timeout = '1s'"))
    of_it = {"organization_id": organization_id, "kept": kept, "limit": limit}
    place = {"after": after.created_at, "after_id": after.id}
    old = (await connection.execute(_OLD_RUNS, of_it | place)).all()
    if not old:
        return PurgedRuns(0, 0, after)
    of_old = {"ids": [row.id for row in old]}
    threads = {"conversation_ids": list({row.conversation_id for row in old})}
    decided = (await connection.execute(_DECIDED, of_old | threads)).all()
    held = {"decided": [row.id for row in decided], "kept": kept}
    to_go = set((await connection.execute(_TO_GO, of_old | held)).scalars())
    if to_go:
        of_gone = {
            "ids": list(to_go),
            "decided": [row.id for row in decided if row.run_id in to_go],
        }
        for statement in _GO:
            await connection.execute(statement, of_gone)
    return PurgedRuns(len(old), len(to_go), Place(old[-1].created_at, old[-1].id))


async def purge_stray_approvals(
    connection: AsyncConnection, *, after: str, limit: int
) -> tuple[str | None, int]:
    """Remove decided requests whose runs are gone, which earlier releases left behind.

    Args:
        connection: In a transaction.
        after: Where the last batch ended.
        limit: How many requests to look at.

    Returns:
        Where to go on, None where there are no more; and how many went.
    """
    found = await connection.execute(_APPROVALS, {"after": after, "limit": limit})
    ids = list(found.scalars())
    if not ids:
        return None, 0
    gone = await connection.execute(_STRAY, {"ids": ids})
    return ids[-1] if len(ids) == limit else None, gone.rowcount


async def purge_batches(
    connection: AsyncConnection, organization_id: str, *, kept: timedelta, limit: int
) -> int:
    """Remove some batches whose last run was finished longer ago than `kept`; answers how many."""
    return await _purge(connection, _BATCHES, organization_id, kept, limit)


async def purge_audit(
    connection: AsyncConnection, organization_id: str, *, kept: timedelta, limit: int
) -> int:
    """Remove some records of who did what that are older than `kept`; answers how many."""
    return await _purge(connection, _AUDIT, organization_id, kept, limit)


async def purge_usage(
    connection: AsyncConnection, organization_id: str, *, kept: timedelta, limit: int
) -> int:
    """Remove some sums of days that are over for longer than `kept`; answers how many."""
    return await _purge(connection, _USAGE, organization_id, kept, limit)


async def _purge(
    connection: AsyncConnection,
    statement: TextClause,
    organization_id: str,
    kept: timedelta,
    limit: int,
) -> int:
    given = {"organization_id": organization_id, "kept": kept, "limit": limit}
    return (await connection.execute(statement, given)).rowcount
