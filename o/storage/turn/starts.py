"""Which tool calls may have had an effect outside of this database."""

from typing import Literal

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from o.storage.quick import QuickConnection

Start = Literal["first", "repeated", "closed"]

# A cancel holds the run's lock: who comes behind it waits for a moment, and sees the run closed.
_START = text(
    """
    WITH run AS (
        SELECT id FROM runs WHERE id = :run_id AND status IN ('created', 'running') FOR SHARE
    ), made AS (
        INSERT INTO tool_starts (step_id, ordinal) SELECT :step_id, :ordinal FROM run
        ON CONFLICT DO NOTHING
        RETURNING ordinal
    )
    SELECT EXISTS (SELECT FROM run) AS is_open, EXISTS (SELECT FROM made) AS is_first
    """
)

_STARTED = text("SELECT ordinal FROM tool_starts WHERE step_id = :step_id")


async def start_call(connection: QuickConnection, run_id: str, step_id: str, ordinal: int) -> Start:
    """Record that a call may have an effect from now on.

    Args:
        connection: Committing by itself.
        run_id: The run that makes the call.
        step_id: The step that asked for it.
        ordinal: Its place in the step, from 0.

    Returns:
        `repeated` where that was recorded before; `closed` where the run is, so that nothing was.
    """
    values = {"run_id": run_id, "step_id": step_id, "ordinal": ordinal}
    row = (await connection.execute(_START, values)).one_or_none()
    if not row.is_open:
        return "closed"
    return "first" if row.is_first else "repeated"


async def list_started(connection: AsyncConnection, step_id: str) -> set[int]:
    """The ordinals of a step's calls that may have had an effect."""
    rows = await connection.execute(_STARTED, {"step_id": step_id})
    return set(rows.scalars())
