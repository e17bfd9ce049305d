"""Questions about runs."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import RowMapping, Select, and_, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.runs import OPEN_STATUSES, Run, RunClosed, RunStatus
from o.storage.rows import columns_of, model_of, row_of
from o.storage.tables import agents, runs


@dataclass(frozen=True)
class OpenRun:
    """A run that is not at rest, with what its workflow shows."""

    run: Run
    agent_name: str
    model: str


async def accept_run(connection: AsyncConnection, run: Run) -> Run:
    """Store a run, or return the one that the same request has made before."""
    stored = await connection.execute(
        insert(runs)
        .values(row_of(runs, run) | {"created_at": func.now()})  # one clock orders all runs
        .on_conflict_do_nothing(index_elements=["conversation_id", "request_key"])
        .returning(*columns_of(runs, Run))
    )
    row = stored.mappings().one_or_none()
    if row is None:
        existing = await connection.execute(
            select(*columns_of(runs, Run)).where(
                runs.c.conversation_id == run.conversation_id,
                runs.c.request_key == run.request_key,
            )
        )
        row = existing.mappings().one()
    return model_of(Run, row)


async def find_repeated_run(
    connection: AsyncConnection, conversation_id: str, user_id: str, body_hash: str
) -> Run | None:
    """The run that this user's same body made, for a POST that a client says it re-sends.

    Open, or at rest for less than a minute: an older one is a message of the same words that was
    answered, and what is sent now never arrived before.
    """
    rows = await connection.execute(
        select(*columns_of(runs, Run))
        .where(
            runs.c.conversation_id == conversation_id,
            runs.c.created_by_id == user_id,
            runs.c.body_hash == body_hash,
            or_(
                runs.c.status.in_(OPEN_STATUSES),
                runs.c.completed_at > func.now() - timedelta(minutes=1),
            ),
        )
        .order_by(runs.c.created_at.desc())
        .limit(1)
    )
    row = rows.mappings().one_or_none()
    return model_of(Run, row) if row else None


async def get_run(connection: AsyncConnection, run_id: str, *, lock: bool = False) -> Run | None:
    """The run by that id, None when it was deleted meanwhile."""
    question = select(*columns_of(runs, Run)).where(runs.c.id == run_id)
    if lock:
        question = question.with_for_update()
    row = (await connection.execute(question)).mappings().one_or_none()
    return model_of(Run, row) if row else None


async def list_open_runs(connection: AsyncConnection, *, older_than_s: float) -> list[OpenRun]:
    """Open runs of a certain age, in the order they were made."""
    rows = await connection.execute(
        _open_runs()
        .where(runs.c.created_at < func.now() - timedelta(seconds=older_than_s))
        .order_by(runs.c.created_at)
    )
    return [_open_run(row) for row in rows.mappings()]


async def open_conversations(connection: AsyncConnection) -> list[str]:
    """Ids of the conversations, and so of the workflows, that have an open run."""
    rows = await connection.execute(
        select(runs.c.conversation_id).where(runs.c.status.in_(OPEN_STATUSES)).distinct()
    )
    return list(rows.scalars())


async def first_open_run(connection: AsyncConnection, conversation_id: str) -> OpenRun | None:
    """The run whose turn it is: the one that has begun, else the oldest. None when none is open."""
    rows = await connection.execute(
        _open_runs()
        .where(runs.c.conversation_id == conversation_id)
        .order_by((runs.c.status == RunStatus.RUNNING).desc(), runs.c.created_at, runs.c.id)
        .limit(1)
    )
    row = rows.mappings().one_or_none()
    return _open_run(row) if row else None


def _open_runs() -> Select[Any]:
    return (
        select(
            *columns_of(runs, Run),
            agents.c.name.label("agent_name"),
            agents.c.model.label("agent_model"),
        )
        .join(agents, agents.c.id == runs.c.agent_id)
        .where(runs.c.status.in_(OPEN_STATUSES), agents.c.deleted_at.is_(None))
    )


def _open_run(row: RowMapping) -> OpenRun:
    run = model_of(Run, row)
    return OpenRun(run, row["agent_name"], run.options.override_model or row["agent_model"])


async def advance_run(
    connection: AsyncConnection,
    run_id: str,
    *,
    events: int,
    closed: RunClosed | None = None,
    **changes: Any,
) -> int | None:
    """Take numbers for `events` more events of an open run, lock it, and close it if told to.

    Returns:
        The first number, or None when the run is closed or gone, so that nothing may be added.
    """
    question = (
        update(runs)
        .where(runs.c.id == run_id, runs.c.status.in_(OPEN_STATUSES))
        .values(next_seq=runs.c.next_seq + events, **changes)
        .returning(runs.c.next_seq - events)
    )
    if closed is not None:
        question = question.values(
            status=closed.stop_reason.status,
            stop_reason=closed.stop_reason,
            usage=closed.usage.model_dump(mode="json"),
            error=closed.error.model_dump(mode="json") if closed.error else None,
            completed_at=func.now(),
        ).add_cte(
            update(agents)
            .where(and_(runs.c.id == run_id, agents.c.id == runs.c.agent_id))
            .values(last_run_completion=func.now(), last_stop_reason=closed.stop_reason)
            .cte("agent")
        )
    first: int | None = await connection.scalar(question)
    return first
