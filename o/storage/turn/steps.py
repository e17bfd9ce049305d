"""Statements about steps: one model call and the tools it asks for."""

from sqlalchemy import func, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.messages import Message, Role, ToolCall, ToolReturn, return_message_id
from o.domain.runs import RunError
from o.storage.rows import columns_of, model_of, model_of_json
from o.storage.tables.core import messages, runs, steps


async def fail_steps(connection: AsyncConnection, run_id: str) -> None:
    """Mark what a failed run left unfinished."""
    await connection.execute(
        update(steps)
        .where(steps.c.run_id == run_id, steps.c.status == "pending")
        .values(status="failed", completed_at=func.now())
    )


# A step that is closed, or was begun anew since, stays as it is.
_RECORD_FAILURE = text(
    """
    UPDATE steps SET tries = tries + 1, failures = failures + 1, error = CAST(:error AS jsonb)
    WHERE id = :step_id AND status = 'pending'
        AND attempts = coalesce(CAST(:attempt AS integer), attempts)
    RETURNING tries
    """
)


async def record_failure(
    connection: AsyncConnection, step_id: str, attempt: int | None, error: RunError
) -> int | None:
    """Keep what a model call met; the workflow is told no words of it.

    Args:
        connection: Any.
        step_id: Which step.
        attempt: Which attempt; None where it may be any.
        error: What it met.

    Returns:
        How often this model has failed at the step; None when the attempt counts no more.
    """
    found: int | None = await connection.scalar(
        _RECORD_FAILURE,
        {"step_id": step_id, "attempt": attempt, "error": error.model_dump_json()},
    )
    return found


async def turn_to(connection: AsyncConnection, step_id: str, fallback: int, model: str) -> None:
    """Give up a step's model for another one: whoever takes the step goes on with that.

    Args:
        connection: Any.
        step_id: Which step.
        fallback: The place of the other model.
        model: Its handle.
    """
    await connection.execute(
        update(steps)
        .where(steps.c.id == step_id, steps.c.status == "pending", steps.c.fallback < fallback)
        .values(fallback=fallback, model=model, tries=0)
    )


async def last_failure(connection: AsyncConnection, run_id: str) -> RunError | None:
    """What the step that a run is at has met last, None for nothing."""
    rows = await connection.execute(
        select(steps.c.error)
        .where(steps.c.run_id == run_id, steps.c.status == "pending")
        .order_by(steps.c.index.desc())
        .limit(1)
    )
    error = rows.scalar_one_or_none()
    return None if error is None else model_of_json(RunError, error, run_id)


async def get_step_reply(connection: AsyncConnection, run_id: str, index: int) -> Message | None:
    """The reply that a step has committed, None while there is none."""
    rows = await connection.execute(
        select(*columns_of(messages, Message))
        .join(steps, steps.c.id == messages.c.step_id)
        .where(steps.c.run_id == run_id, steps.c.index == index, messages.c.role == Role.ASSISTANT)
    )
    row = rows.mappings().one_or_none()
    return model_of(Message, row) if row else None


async def list_step_returns(connection: AsyncConnection, step_id: str) -> dict[str, ToolReturn]:
    """What the calls of a step have returned so far, by message id, in the order of history."""
    rows = await connection.execute(
        select(messages.c.id, messages.c.tool_return)
        .where(messages.c.step_id == step_id, messages.c.role == Role.TOOL)
        .order_by(messages.c.position)
    )
    return {row.id: model_of_json(ToolReturn, row.tool_return, row.id) for row in rows}


async def list_request_returns(connection: AsyncConnection, run_id: str) -> list[ToolReturn]:
    """What the tool calls of a run's request returned, oldest first, over all of its runs.

    A request goes on in a new run when a person has answered what it stopped for.
    """
    origin = select(func.coalesce(runs.c.origin_run_id, runs.c.id)).where(runs.c.id == run_id)
    first = origin.scalar_subquery()
    of_request = select(runs.c.id).where(or_(runs.c.id == first, runs.c.origin_run_id == first))
    rows = await connection.execute(
        select(messages.c.tool_return)
        .where(messages.c.run_id.in_(of_request), messages.c.role == Role.TOOL)
        .order_by(messages.c.position)
    )
    return [model_of_json(ToolReturn, returned, run_id) for returned in rows.scalars()]


async def list_unanswered_calls(
    connection: AsyncConnection, run_id: str, index: int
) -> list[tuple[str, int, ToolCall]]:
    """Calls of a step that have no return: (step id, ordinal of the call, call)."""
    reply = await get_step_reply(connection, run_id, index)
    if reply is None or not reply.tool_calls:
        return []
    step_id = str(reply.step_id)
    rows = await connection.execute(
        select(messages.c.id).where(messages.c.step_id == step_id, messages.c.role == Role.TOOL)
    )
    answered = set(rows.scalars())
    return [
        (step_id, n, call)
        for n, call in enumerate(reply.tool_calls)
        if return_message_id(step_id, n) not in answered
    ]


# A step that has begun and was asked of no model yet; see `uncount_attempt`. Each run has one
# newest step, so the look costs no more than the open runs that it is held to.
_WAITING_FOR_ROOM = text(
    """
    SELECT split_part(steps.model, '/', 1) AS provider, count(*) AS waiting
    FROM (SELECT id, steps_done FROM runs WHERE status IN ('created', 'running')
          ORDER BY created_at LIMIT 1000) AS run
    JOIN steps ON steps.run_id = run.id AND steps.index = run.steps_done
    WHERE steps.status = 'pending' AND steps.attempts = 0
    GROUP BY 1
    """
)


async def count_waiting_for_room(connection: AsyncConnection) -> dict[str, int]:
    """Model calls that wait for room at their provider, by provider; of the 1,000 oldest runs."""
    rows = await connection.execute(_WAITING_FOR_ROOM)
    return {row.provider: row.waiting for row in rows}
