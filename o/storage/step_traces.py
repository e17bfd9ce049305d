"""Statements about traces of steps. A trace goes with its step."""

from datetime import timedelta
from typing import Any

from sqlalchemy import Select, delete, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.actors import Actor
from o.domain.traces import RecordedCall, StepTrace, TraceDetails
from o.storage.rows import model_of, models_of
from o.storage.tables.core import agents, runs, step_traces, steps

_MOST_CHARS = 16 * 1024 * 1024
"""Of what is read at once."""

_STORE = text(
    """
    INSERT INTO step_traces AS known (step_id, organization_id, attempt, request, response, details)
    SELECT id, organization_id, :attempt, :request, :response, CAST(:details AS jsonb)
    FROM steps WHERE id = :step_id
    ON CONFLICT (step_id) DO UPDATE SET attempt = excluded.attempt, request = excluded.request,
        response = excluded.response, details = excluded.details, created_at = now()
    WHERE known.attempt <= excluded.attempt
    """
)


async def store_trace(
    connection: AsyncConnection,
    step_id: str,
    attempt: int,
    call: RecordedCall,
    details: TraceDetails,
) -> None:
    """Keep the trace of a step's newest attempt; nothing where the step is gone."""
    await connection.execute(
        _STORE,
        {
            "step_id": step_id,
            "attempt": attempt,
            "request": call.request,
            "response": call.response,
            "details": details.model_dump_json(),
        },
    )


async def get_step_trace(
    connection: AsyncConnection, actor: Actor, step_id: str
) -> StepTrace | None:
    """The trace of a step, None where none is kept for this actor."""
    rows = await connection.execute(_traces(actor).where(steps.c.id == step_id))
    row = rows.mappings().one_or_none()
    return model_of(StepTrace, row) if row else None


async def list_run_traces(
    connection: AsyncConnection, actor: Actor, run_id: str, *, limit: int
) -> list[StepTrace]:
    """The traces of a run in the order of its steps: as many as are 16 MB, and at least one."""
    size = func.octet_length(step_traces.c.request) + func.octet_length(step_traces.c.response)
    sizes = (
        select(
            step_traces.c.step_id,
            (func.sum(size).over(order_by=steps.c.index) - size).label("before"),
        )
        .join(steps, steps.c.id == step_traces.c.step_id)
        .where(steps.c.run_id == run_id)
        .subquery()
    )
    rows = await connection.execute(
        _traces(actor)
        .join(sizes, sizes.c.step_id == steps.c.id)
        .where(sizes.c.before < _MOST_CHARS)
        .order_by(steps.c.index)
        .limit(limit)
    )
    return models_of(StepTrace, rows.mappings().all())


async def purge_traces(connection: AsyncConnection, *, kept: timedelta, limit: int) -> int:
    """Remove some traces that are older than `kept`; answers how many."""
    old = (
        select(step_traces.c.step_id)
        .where(step_traces.c.created_at < func.now() - kept)
        .order_by(step_traces.c.created_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    gone = await connection.execute(
        delete(step_traces).where(step_traces.c.step_id.in_(old)).returning(step_traces.c.step_id)
    )
    return len(gone.all())


def _traces(actor: Actor) -> Select[Any]:
    return (
        select(
            steps.c.id.label("step_id"),
            steps.c.organization_id,
            steps.c.agent_id,
            steps.c.run_id,
            steps.c.model,
            step_traces.c.attempt,
            step_traces.c.request,
            step_traces.c.response,
            step_traces.c.details,
            agents.c.tags.label("agent_tags"),
            runs.c.created_by_id,
            step_traces.c.created_at,
        )
        .join(steps, steps.c.id == step_traces.c.step_id)
        .join(runs, runs.c.id == steps.c.run_id)
        .join(agents, agents.c.id == steps.c.agent_id)
        .where(steps.c.organization_id == actor.organization_id, agents.c.deleted_at.is_(None))
    )
