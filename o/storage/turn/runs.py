"""Statements about single runs, and about those of a conversation whose turns come."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import RowMapping, Select, and_, func, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.actors import Actor
from o.domain.agents import Thread
from o.domain.runs import Run, RunClosed, RunStatus
from o.metrics.measures import turn_ended
from o.storage.agents.agents import is_thread
from o.storage.conditions import IS_OPEN
from o.storage.database import after_commit
from o.storage.rows import columns_of, model_of, sort_out, without_json
from o.storage.tables.core import agents, conversations, runs
from o.storage.turn.order import turn_order

_LOCK_RUN = text("SELECT id FROM runs WHERE id = :run_id FOR UPDATE")


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
    """The run by that id, None when it was deleted meanwhile.

    Raises:
        Unreadable: It is stored, and cannot be read.
    """
    statement = select(*columns_of(runs, Run)).where(runs.c.id == run_id)
    if lock:
        statement = statement.with_for_update()
    row = (await connection.execute(statement)).mappings().one_or_none()
    return model_of(Run, row) if row else None


async def lock_run(connection: AsyncConnection, run_id: str) -> None:
    """Nobody else commits anything of a run until this transaction ends."""
    await connection.execute(_LOCK_RUN, {"run_id": run_id})


async def lock_run_for_its_end(connection: AsyncConnection, run_id: str) -> Run | None:
    """The run by that id, None when it is gone; one that cannot be read as `bare_run`."""
    statement = select(*columns_of(runs, Run)).where(runs.c.id == run_id).with_for_update()
    row = (await connection.execute(statement)).mappings().one_or_none()
    if row is None:
        return None
    found, _ = sort_out([row], lambda row: model_of(Run, row))
    return found[0] if found else bare_run(row)


def bare_run(row: RowMapping) -> Run:
    """What is left of a run that cannot be read: enough to end it, and nothing to carry out."""
    return model_of(Run, without_json(runs, row) | {"input": []})


async def age_of_run_s(connection: AsyncConnection, run_id: str) -> float:
    """Seconds since a run was stored, by the database's clock; 0 where it is gone."""
    age_s = func.extract("epoch", func.now() - runs.c.created_at)
    return float(await connection.scalar(select(age_s).where(runs.c.id == run_id)) or 0)


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


async def open_conversations(connection: AsyncConnection, *, limit: int) -> list[str]:
    """Ids of conversations, and so of workflows, that have an open run: first what has begun."""
    has_begun = (runs.c.status == RunStatus.RUNNING).desc()
    rows = await connection.execute(
        select(runs.c.conversation_id).where(IS_OPEN).order_by(has_begun).limit(limit)
    )
    return list(dict.fromkeys(rows.scalars()))


async def first_open_run(connection: AsyncConnection, conversation_id: str) -> RunOfAgent | None:
    """The run whose turn it is (`turn_order`), None when none is open.

    Raises:
        Unreadable: It is stored, and cannot be read.
    """
    rows = await connection.execute(_in_line(conversation_id, limit=1))
    row = rows.mappings().one_or_none()
    return with_agent(row) if row else None


async def list_runs_in_line(
    connection: AsyncConnection, conversation_id: str, *, limit: int
) -> tuple[list[RunOfAgent], list[str]]:
    """The open runs of a conversation whose turns come first, in order.

    Returns:
        The runs, and the ids of those among them that are stored and cannot be read.
    """
    rows = await connection.execute(_in_line(conversation_id, limit=limit))
    found, unreadable = sort_out(rows.mappings(), with_agent)
    return found, [row["id"] for row in unreadable]


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
    return _runs().where(is_thread(thread), runs.c.organization_id == actor.organization_id)


def _in_line(conversation_id: str, *, limit: int) -> Select[Any]:
    line = text(turn_order(runs.name))
    of_conversation = _runs().where(IS_OPEN, runs.c.conversation_id == conversation_id)
    return of_conversation.order_by(line).limit(limit)


def with_agent(row: RowMapping) -> RunOfAgent:
    """A row of such a statement.

    Raises:
        Unreadable: It is stored, and cannot be read.
    """
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
    statement = (
        update(runs)
        .where(runs.c.id == run_id, IS_OPEN)
        .values(next_seq=runs.c.next_seq + events)
        .returning(runs.c.next_seq - events)
    )
    if closed is not None:
        statement = statement.values(
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
    first: int | None = await connection.scalar(statement)
    if closed is not None and first is not None:
        after_commit(connection, partial(turn_ended, closed.stop_reason))
    return first
