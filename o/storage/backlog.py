"""What waits in the database, counted for those who watch the server."""

from dataclasses import dataclass
from typing import Any

from psycopg import Error
from psycopg.rows import namedtuple_row

from o.storage.database import Database
from o.storage.quick import as_sqlalchemy_error

_MOST = 10_000

# Both tables have an index of what is open alone, so that this costs no more than what is open.
_COUNT = f"""
    WITH run AS (
        SELECT status, created_at, conversation_id FROM runs
        WHERE status IN ('created', 'running') ORDER BY created_at LIMIT {_MOST}
    ), asked AS (
        SELECT created_at, conversation_id FROM approvals WHERE status = 'pending' LIMIT {_MOST}
    )
    SELECT
        (SELECT count(*) FROM run WHERE status = 'created') AS waiting,
        (SELECT count(*) FROM run WHERE status = 'running') AS running,
        (SELECT extract(epoch FROM now() - min(created_at)) FROM run WHERE status = 'created'
            AND conversation_id NOT IN (SELECT conversation_id FROM asked)) AS oldest_waiting_s,
        (SELECT count(*) FROM asked) AS approvals,
        (SELECT extract(epoch FROM now() - min(created_at)) FROM asked) AS oldest_approval_s
    """  # noqa: S608 - a number of ours


@dataclass(frozen=True)
class Backlog:
    """What is open now; counts go up to 10,000.

    Attributes:
        waiting: Turns that wait for their beginning.
        running: Turns under way.
        oldest_waiting_s: How long the first of those that wait does, 0 where none does. Those
            behind an approval request wait for a person, and do not count.
        approvals: Approval requests that wait for an answer.
        oldest_approval_s: How long the first of them does.
    """

    waiting: int = 0
    running: int = 0
    oldest_waiting_s: float = 0.0
    approvals: int = 0
    oldest_approval_s: float = 0.0


async def count_backlog(database: Database, *, timeout_s: float) -> Backlog:
    """Count, and have PostgreSQL break off what takes longer than `timeout_s`.

    On a connection beside the pool, so that one that is used up does not look like a database
    that is away.

    Raises:
        SQLAlchemyError: It is away, or took too long.
    """
    try:
        async with await database.connect_alone("counts") as connection:
            await connection.execute(f"SET statement_timeout = {int(timeout_s * 1_000)}")
            rows = await connection.cursor(row_factory=namedtuple_row).execute(_COUNT)
            row: Any = await rows.fetchone()
    except Error as error:
        raise as_sqlalchemy_error(error, is_lost=True) from error
    return Backlog(
        row.waiting,
        row.running,
        float(row.oldest_waiting_s or 0.0),
        row.approvals,
        float(row.oldest_approval_s or 0.0),
    )
