"""Questions about runs."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import RowMapping, Select, and_, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.actors import Actor
from o.domain.agents import Thread
from o.domain.runs import Run, RunClosed, RunStatus
from o.storage.agents import is_meant
from o.storage.conditions import IS_OPEN
from o.storage.rows import columns_of, model_of
from o.storage.tables import agents, conversations, runs


@dataclass(frozen=True)
class RunOfAgent:
    """A run with what its workflow shows of its agent.

    Attributes:
        is_warm: Whether the conversation was spoken to lately, so that its workflow is likely to
            be there.
    """

    run: Run
    agent_name: str
    model: str
    is_warm: bool = False


async def get_run(connection: AsyncConnection, run_id: str, *, lock: bool = False) -> Run | None:
    """The run by that id, None when it was deleted meanwhile."""
    question = select(*columns_of(runs, Run)).where(runs.c.id == run_id)
    if lock:
        question = question.with_for_update()
    row = (await connection.execute(question)).mappings().one_or_none()
    return model_of(Run, row) if row else None


async def list_request_runs(connection: AsyncConnection, run: Run) -> list[str]:
    """Ids of the runs of the request that a run carries on, none when it carries nothing on."""
    if run.origin_run_id is None:
        return []
    origin = run.origin_run_id
    rows = await connection.execute(
        select(runs.c.id).where(or_(runs.c.id == origin, runs.c.origin_run_id == origin))
    )
    return list(rows.scalars())


async def start_run(connection: AsyncConnection, run_id: str) -> None:
    """Note that a run which begins otherwise than with a step has begun."""
    await connection.execute(
        update(runs)
        .where(runs.c.id == run_id)
        .values(status=RunStatus.RUNNING, started_at=func.coalesce(runs.c.started_at, func.now()))
    )


async def list_open_runs(connection: AsyncConnection, *, older_than_s: float) -> list[RunOfAgent]:
    """Open runs of a certain age, in the order they were made."""
    rows = await connection.execute(
        _open_runs()
        .where(runs.c.created_at < func.now() - timedelta(seconds=older_than_s))
        .order_by(runs.c.created_at)
    )
    return [with_agent(row) for row in rows.mappings()]


async def open_conversations(connection: AsyncConnection) -> list[str]:
    """Ids of the conversations, and so of the workflows, that have an open run."""
    rows = await connection.execute(select(runs.c.conversation_id).where(IS_OPEN).distinct())
    return list(rows.scalars())


async def first_open_run(connection: AsyncConnection, conversation_id: str) -> RunOfAgent | None:
    """The run whose turn it is, None when none is open.

    The one that has begun, else the answer to an approval request, else the oldest.
    """
    rows = await connection.execute(
        _open_runs()
        .where(runs.c.conversation_id == conversation_id)
        .order_by(
            (runs.c.status == RunStatus.RUNNING).desc(),
            runs.c.approval_id.is_not(None).desc(),
            runs.c.created_at,
            runs.c.id,
        )
        .limit(1)
    )
    row = rows.mappings().one_or_none()
    return with_agent(row) if row else None


def _runs() -> Select[Any]:
    return (
        select(
            *columns_of(runs, Run),
            agents.c.name.label("agent_name"),
            func.coalesce(conversations.c.model, agents.c.model).label("agent_model"),
        )
        .join(agents, agents.c.id == runs.c.agent_id)
        .join(conversations, conversations.c.id == runs.c.conversation_id)
        .where(agents.c.deleted_at.is_(None), conversations.c.deleted_at.is_(None))
    )


def runs_of(actor: Actor, thread: Thread) -> Select[Any]:
    """Runs of a thread that is the actor's, with what their workflow shows of the agent."""
    return _runs().where(is_meant(thread), runs.c.organization_id == actor.organization_id)


def _open_runs() -> Select[Any]:
    return _runs().where(IS_OPEN)


def with_agent(row: RowMapping) -> RunOfAgent:
    """A row of such a question."""
    run = model_of(Run, row)
    return RunOfAgent(run, row["agent_name"], run.options.override_model or row["agent_model"])


async def advance_run(
    connection: AsyncConnection,
    run_id: str,
    *,
    events: int,
    closed: RunClosed | None = None,
) -> int | None:
    """Take numbers for `events` more events of an open run, lock it, and close it if told to.

    Returns:
        The first number, or None when the run is closed or gone, so that nothing may be added.
    """
    question = (
        update(runs)
        .where(runs.c.id == run_id, IS_OPEN)
        .values(next_seq=runs.c.next_seq + events)
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
