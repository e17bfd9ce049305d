"""Statements about runs as clients read them, long after the turn."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    and_,
    bindparam,
    delete,
    distinct,
    exists,
    func,
    or_,
    select,
    text,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.actors import Actor
from o.domain.messages import Role
from o.domain.runs import Run, RunStatus
from o.errors import Conflict, NotFound
from o.storage.conditions import IS_OPEN, IS_PENDING, is_open
from o.storage.locks import lock_rows
from o.storage.pages import Page, page_by_time
from o.storage.rows import columns_of, model_of, models_of
from o.storage.tables.core import agents, approvals, conversations, messages, runs


@dataclass(frozen=True)
class RunFilter:
    """Which runs a list shows; None of a field means any.

    Attributes:
        agent_ids: Runs of any of these agents.
        active: Only runs that are open.
        background: Whether the request asked to be answered at once.
    """

    agent_ids: Sequence[str] | None = None
    statuses: Sequence[RunStatus] | None = None
    active: bool = False
    background: bool | None = None
    stop_reason: str | None = None
    conversation_id: str | None = None


async def find_run(connection: AsyncConnection, actor: Actor, run_id: str) -> Run:
    """The run by that id.

    Raises:
        NotFound: There is none for this actor, or its agent was deleted.
    """
    rows = await connection.execute(_visible(actor).where(runs.c.id == run_id))
    row = rows.mappings().one_or_none()
    if row is None:
        raise _not_found(run_id)
    return model_of(Run, row)


async def list_runs(
    connection: AsyncConnection, actor: Actor, only: RunFilter, page: Page
) -> list[Run]:
    """Runs by the time they were asked for.

    Raises:
        NotFound: A cursor names no run of this actor.
    """
    statement = _visible(actor)
    if only.agent_ids is not None:
        statement = statement.where(runs.c.agent_id.in_(only.agent_ids))
    if only.statuses is not None:
        statement = statement.where(runs.c.status.in_(only.statuses))
    if only.active:
        statement = statement.where(IS_OPEN)
    if only.background is not None:
        is_background = func.coalesce(runs.c.options["background"].as_boolean(), False)
        statement = statement.where(is_background == only.background)
    if only.stop_reason is not None:
        statement = statement.where(runs.c.stop_reason == only.stop_reason)
    if only.conversation_id is not None:
        statement = statement.where(runs.c.conversation_id == only.conversation_id)
    statement = await page_by_time(connection, statement, page, runs, actor)
    rows = await connection.execute(statement)
    return models_of(Run, rows.mappings().all())


async def delete_run(connection: AsyncConnection, actor: Actor, run_id: str) -> Run:
    """Remove a run that is finished, with its steps, events and decided approval requests.

    Its messages stay in history.

    The runs of one request go on from one another's steps, so that none of them goes before all
    are finished.

    Raises:
        NotFound: There is none for this actor.
        Conflict: It is open, or waits for approval, or a run that carries it on does.
    """
    thread = select(runs.c.conversation_id).where(
        runs.c.id == run_id, runs.c.organization_id == actor.organization_id
    )
    asked = approvals.c.conversation_id.in_(thread) & (approvals.c.run_id == run_id)
    await lock_rows(connection, asked, approvals.c.created_at, approvals.c.id)
    rows = await connection.execute(
        delete(runs)
        .where(
            runs.c.id == run_id,
            runs.c.organization_id == actor.organization_id,
            ~_is_of_unfinished_request(),
            runs.c.agent_id == agents.c.id,
            agents.c.deleted_at.is_(None),
        )
        .returning(*columns_of(runs, Run))
    )
    row = rows.mappings().one_or_none()
    if row is not None:
        run = model_of(Run, row)
        await connection.execute(
            delete(approvals).where(
                approvals.c.conversation_id == run.conversation_id, approvals.c.run_id == run_id
            )
        )
        return run
    await find_run(connection, actor, run_id)
    raise Conflict(
        f"Run {run_id}, or one that carries it on, is open or waits for approval; cancel it, or "
        "wait for its end"
    )


def _is_of_unfinished_request() -> ColumnElement[bool]:
    """Whether a run of the same request as this row of `runs` is open or waits for approval."""
    other = runs.alias("other")
    origin = func.coalesce(runs.c.origin_run_id, runs.c.id)
    waits = exists().where(approvals.c.run_id == other.c.id, IS_PENDING)
    return exists().where(
        or_(other.c.id == origin, other.c.origin_run_id == origin), or_(is_open(other), waits)
    )


async def tools_used(connection: AsyncConnection, run_id: str) -> list[str]:
    """Names of the tools that were called in a run which the caller has already found."""
    name = messages.c.tool_return["name"].astext
    rows = await connection.execute(
        select(distinct(name))
        .where(
            messages.c.run_id == run_id,
            messages.c.role == Role.TOOL,
            messages.c.tool_return["duration_ns"].astext.is_not(None),
        )
        .order_by(name)
    )
    return list(rows.scalars())


_PURGE_EVENTS = text(
    """
    WITH old AS (
        SELECT id FROM runs
        WHERE events_kept AND completed_at < now() - CAST(:kept AS interval)
        ORDER BY completed_at LIMIT :limit
        FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM run_events USING old WHERE run_events.run_id = old.id
    )
    UPDATE runs SET events_kept = false FROM old WHERE runs.id = old.id
    """
).bindparams(bindparam("limit", type_=Integer, literal_execute=True))  # so that plans know it


async def purge_events(connection: AsyncConnection, *, kept: timedelta, limit: int) -> int:
    """Remove the events of up to `limit` runs that have been finished for as long as `kept`.

    Returns:
        Of how many runs.
    """
    purged = await connection.execute(_PURGE_EVENTS, {"kept": kept, "limit": limit})
    return purged.rowcount


def _visible(actor: Actor) -> Select[Any]:
    return (
        select(*columns_of(runs, Run), approvals.c.id.label("pending_approval_id"))
        .join(agents, agents.c.id == runs.c.agent_id)
        .join(conversations, conversations.c.id == runs.c.conversation_id)
        .outerjoin(
            approvals,
            and_(
                approvals.c.conversation_id == runs.c.conversation_id,
                IS_PENDING,
                approvals.c.run_id == runs.c.id,
            ),
        )
        .where(
            runs.c.organization_id == actor.organization_id,
            agents.c.deleted_at.is_(None),
            conversations.c.deleted_at.is_(None),
        )
    )


def _not_found(run_id: str) -> NotFound:
    return NotFound(f"Run with id {run_id} not found")
