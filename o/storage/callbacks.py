"""Statements about callbacks: which are due, and how each try went."""

from sqlalchemy import Table, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from o.storage.conditions import IS_OPEN
from o.storage.tables.core import agents, runs

_DUE_BATCHES = text(
    """
    SELECT batches.id FROM batches
    JOIN organizations ON organizations.id = batches.organization_id
    WHERE callback_url IS NOT NULL AND callback_sent_at IS NULL
      AND organizations.deleted_at IS NULL AND NOT EXISTS (
        SELECT FROM unnest(batches.run_ids) AS one (id) JOIN runs ON runs.id = one.id
        WHERE runs.status IN ('created', 'running')
    )
    ORDER BY callback_error IS NOT NULL, random() LIMIT :limit
    """
)


async def list_due_callbacks(connection: AsyncConnection, *, limit: int) -> list[tuple[str, str]]:
    """Finished runs whose callback is neither sent nor given up, with their agents.

    Those that nobody has tried come first; the others, whose next try is likely to be waited for,
    by chance, so that none is left out for ever.
    """
    rows = await connection.execute(
        select(runs.c.id, runs.c.agent_id)
        .join(agents, agents.c.id == runs.c.agent_id)
        .where(
            runs.c.callback_url.is_not(None),
            runs.c.callback_sent_at.is_(None),
            ~IS_OPEN,
            agents.c.deleted_at.is_(None),
        )
        .order_by(runs.c.callback_error.is_not(None), func.random())
        .limit(limit)
    )
    return [(run_id, agent_id) for run_id, agent_id in rows]


async def list_due_batches(connection: AsyncConnection, *, limit: int) -> list[str]:
    """The same of batches all of whose runs are finished, or gone."""
    return list((await connection.execute(_DUE_BATCHES, {"limit": limit})).scalars())


async def record_callback(
    connection: AsyncConnection,
    of: Table,
    id_: str,
    *,
    status_code: int | None,
    error: str | None,
    is_over: bool,
) -> None:
    """Keep how a try went; when that was the last one, the callback is no longer due.

    Args:
        connection: Any.
        of: `runs` or `batches`.
        id_: Which of them.
        status_code: What the receiver answered, if it did.
        error: What was wrong with the try, None where it was received.
        is_over: Whether there is no other one.
    """
    kept: dict[str, object] = {"callback_status_code": status_code, "callback_error": error}
    if is_over:
        kept["callback_sent_at"] = func.now()
    await connection.execute(
        update(of).where(of.c.id == id_, of.c.callback_sent_at.is_(None)).values(kept)
    )
