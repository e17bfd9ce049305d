"""What workers run tools in, as they tell of it now and then."""

from typing import Any

from pydantic_core import to_json
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

SAID_EVERY_S = 20.0
_KEPT_S = 3 * SAID_EVERY_S

_SAY = text(
    """
    WITH gone AS (
        DELETE FROM sandbox_states WHERE worker = ANY(ARRAY(
            SELECT worker FROM sandbox_states
            WHERE worker <> :worker AND seen_at < now() - make_interval(secs => :kept_s)
            FOR UPDATE SKIP LOCKED)))
    INSERT INTO sandbox_states (worker, state) VALUES (:worker, CAST(:state AS jsonb))
    ON CONFLICT (worker) DO UPDATE SET state = excluded.state, seen_at = now()
    """
)
_NEWEST = text(
    """
    SELECT state FROM sandbox_states
    WHERE seen_at > now() - make_interval(secs => :kept_s)
    ORDER BY (state->>'problem') = '', seen_at DESC LIMIT 1
    """
)
_FORGET = text("DELETE FROM sandbox_states WHERE worker = :worker")


async def say_sandbox_state(
    connection: AsyncConnection, worker: str, state: dict[str, Any]
) -> None:
    """Keep what a worker runs tools in, for a minute; to be said again every 20 s."""
    given = {"worker": worker, "state": to_json(state).decode(), "kept_s": _KEPT_S}
    await connection.execute(_SAY, given)


async def forget_sandbox_state(connection: AsyncConnection, worker: str) -> None:
    """The worker ends."""
    await connection.execute(_FORGET, {"worker": worker})


async def read_sandbox_state(connection: AsyncConnection) -> dict[str, Any] | None:
    """What tools run in: of a worker with a problem where there is one, else of the last to tell.

    None where no worker has told within a minute.
    """
    found = (await connection.execute(_NEWEST, {"kept_s": _KEPT_S})).scalar_one_or_none()
    return dict(found) if found is not None else None
