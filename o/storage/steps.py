"""Questions about steps: one model call and the tools it asks for."""

from typing import Any

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.messages import Message, Role, ToolCall, return_message_id
from o.domain.runs import Usage
from o.storage.rows import columns_of, model_of
from o.storage.tables import messages, runs, steps


def last_committed_index() -> ColumnElement[Any]:
    """The index of a run's newest committed step, as a column beside `runs`; NULL for none."""
    return (
        select(func.max(steps.c.index))
        .where(steps.c.run_id == runs.c.id, steps.c.status == "success")
        .correlate(runs)
        .scalar_subquery()
        .label("last_committed")
    )


async def start_step(connection: AsyncConnection, step: dict[str, Any]) -> int:
    """Store a step, or count one more attempt at it.

    Returns:
        Which attempt this is, from 1.
    """
    attempt = await connection.scalar(
        insert(steps)
        .values(step)
        .on_conflict_do_update(
            index_elements=["run_id", "index"], set_={"attempts": steps.c.attempts + 1}
        )
        .returning(steps.c.attempts)
    )
    return int(attempt or 0)


async def finish_step(
    connection: AsyncConnection, step_id: str, *, finish_reason: str, usage: Usage
) -> bool:
    """Mark a step as committed; False when an earlier attempt did that already."""
    finished = await connection.execute(
        update(steps)
        .where(steps.c.id == step_id, steps.c.status == "pending")
        .values(
            status="success",
            finish_reason=finish_reason,
            usage=usage.model_dump(mode="json"),
            completed_at=func.now(),
        )
    )
    return finished.rowcount == 1


async def fail_steps(connection: AsyncConnection, run_id: str) -> None:
    """Mark what a failed run left unfinished."""
    await connection.execute(
        update(steps)
        .where(steps.c.run_id == run_id, steps.c.status == "pending")
        .values(status="failed", completed_at=func.now())
    )


async def get_step_reply(connection: AsyncConnection, run_id: str, index: int) -> Message | None:
    """The reply that a step has committed, None while there is none."""
    rows = await connection.execute(
        select(*columns_of(messages, Message))
        .join(steps, steps.c.id == messages.c.step_id)
        .where(steps.c.run_id == run_id, steps.c.index == index, messages.c.role == Role.ASSISTANT)
    )
    row = rows.mappings().one_or_none()
    return model_of(Message, row) if row else None


async def list_unanswered_calls(
    connection: AsyncConnection, run_id: str
) -> list[tuple[str, int, ToolCall]]:
    """Calls of a run's newest step that have no return: (step id, ordinal of the call, call)."""
    newest = await connection.scalar(
        select(func.max(steps.c.index)).where(steps.c.run_id == run_id, steps.c.status == "success")
    )
    reply = None if newest is None else await get_step_reply(connection, run_id, newest)
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
