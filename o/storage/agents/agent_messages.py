"""Statements about messages from agent to agent: sent, waited for, answered.

A run that waits for another one is a row of `agent_waits`. With the order of turns in each
conversation these rows say what holds up what, and no wait is begun that would close a circle.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.actors import Actor
from o.domain.agents import Thread
from o.domain.messages import Message, Role
from o.domain.runs import RunStatus, StopReason
from o.storage.agents.agents import AgentFilter, agents_wanted
from o.storage.rows import columns_of, models_of
from o.storage.tables.core import agent_waits, agents, messages
from o.storage.turn.accepting import NewRun, accept_run
from o.storage.turn.order import comes_before
from o.storage.turn.runs import RunOfAgent


class WaitsInACircle(Exception):
    """The run that would be waited for can only begin, or go on, when the waiting one has ended."""


@dataclass(frozen=True)
class AwaitedRun:
    """How a run stands that somebody waits for.

    Attributes:
        error: Why it failed, in words.
        is_deleted: Whether its agent was deleted.
        waits_for_person: Whether it cannot begin before somebody answers an approval request.
    """

    status: RunStatus
    stop_reason: StopReason | None = None
    error: str = ""
    is_deleted: bool = False
    waits_for_person: bool = False

    @property
    def is_settled(self) -> bool:
        """Whether there is nothing more to wait for."""
        return not self.status.is_open or self.is_deleted or self.waits_for_person


_CLOSES_CIRCLE = text(
    f"""
    WITH RECURSIVE held_up_by (id) AS (
        SELECT CAST(:awaited AS text)
        UNION
        SELECT before.id
        FROM held_up_by
        JOIN runs ON runs.id = held_up_by.id AND runs.status IN ('created', 'running')
        CROSS JOIN LATERAL (
            SELECT agent_waits.awaited_run_id AS id FROM agent_waits
            WHERE agent_waits.run_id = runs.id
            UNION ALL
            SELECT ahead.id FROM runs AS ahead
            WHERE ahead.conversation_id = runs.conversation_id
              AND ahead.status IN ('created', 'running') AND ahead.id <> runs.id
              AND {comes_before("ahead", "runs")}
        ) AS before
    )
    SELECT EXISTS (SELECT FROM held_up_by WHERE id = :waiting)
    """  # noqa: S608
)

_LOOK = text(
    """
    SELECT runs.id, runs.status, runs.stop_reason, runs.error ->> 'message' AS error,
        agents.deleted_at IS NOT NULL AS is_deleted,
        runs.status = 'created' AND EXISTS (
            SELECT FROM approvals
            WHERE approvals.conversation_id = runs.conversation_id
              AND approvals.status = 'pending'
        ) AS waits_for_person
    FROM runs JOIN agents ON agents.id = runs.agent_id
    WHERE runs.id = ANY(:run_ids)
    """
)


async def send_to_agent(
    connection: AsyncConnection,
    actor: Actor,
    agent_id: str,
    new: NewRun,
    *,
    waiting_run_id: str | None,
    most_open: int,
) -> RunOfAgent:
    """Store a run of an agent's own thread, or find the one that the same message made before.

    Waits are begun one after the other in an organization, so that of those which close a circle
    together the last one is refused, whichever that is. Runs that others store meanwhile close
    none: they wait for nothing but their turn.

    Args:
        connection: In a transaction.
        actor: Whose agent it must be.
        agent_id: Who is written to.
        new: The run.
        waiting_run_id: The run that waits for this one; None where none does.
        most_open: How many runs of the thread may be open with it.

    Raises:
        NotFound: There is no such agent for this actor.
        ApprovalPending: The thread waits for an answer to an approval request first.
        ConversationBusy: As many runs are open as may be.
        WaitsInACircle: Neither would ever end. Nothing is stored once the transaction is undone.
    """
    if waiting_run_id is not None:
        line = func.hashtextextended(f"agent waits {actor.organization_id}", 0)
        await connection.execute(select(func.pg_advisory_xact_lock(line)))
    thread = Thread(agent_id=agent_id)
    accepted = await accept_run(connection, actor, thread, new, most_open=most_open)
    if waiting_run_id is None or not accepted.run.status.is_open:
        return accepted
    begun = await connection.execute(
        insert(agent_waits)
        .values(awaited_run_id=accepted.run.id, run_id=waiting_run_id)
        .on_conflict_do_nothing()
    )
    ends = {"awaited": accepted.run.id, "waiting": waiting_run_id}
    if begun.rowcount and await connection.scalar(_CLOSES_CIRCLE, ends):
        raise WaitsInACircle
    return accepted


async def end_wait(connection: AsyncConnection, awaited_run_id: str) -> None:
    """Nobody waits for this run any more."""
    await connection.execute(
        delete(agent_waits).where(agent_waits.c.awaited_run_id == awaited_run_id)
    )


async def look_at_awaited(
    connection: AsyncConnection, run_ids: Collection[str]
) -> dict[str, AwaitedRun]:
    """How these runs stand, by id; one that is not there any more was deleted with its agent."""
    rows = await connection.execute(_LOOK, {"run_ids": list(run_ids)})
    found = {
        row.id: AwaitedRun(
            RunStatus(row.status),
            StopReason(row.stop_reason) if row.stop_reason else None,
            row.error or "",
            row.is_deleted,
            row.waits_for_person,
        )
        for row in rows
    }
    gone = AwaitedRun(RunStatus.CANCELLED, is_deleted=True)
    return {run_id: found.get(run_id, gone) for run_id in run_ids}


async def list_said(connection: AsyncConnection, run_id: str) -> list[Message]:
    """The replies of a run, in the order of history."""
    rows = await connection.execute(
        select(*columns_of(messages, Message))
        .where(messages.c.run_id == run_id, messages.c.role == Role.ASSISTANT)
        .order_by(messages.c.position)
    )
    return models_of(Message, rows.mappings().all())


async def agents_with_tags(
    connection: AsyncConnection,
    actor: Actor,
    *,
    every: Sequence[str],
    some: Sequence[str],
    limit: int,
) -> list[str]:
    """Ids of the agents that have all of some tags and at least one of others, the oldest first.

    Hidden ones are not among them.
    """
    wanted = agents_wanted(actor, AgentFilter(tags=every, match_all_tags=True))
    if some:
        wanted = [*wanted, agents.c.tags.overlap(some)]
    rows = await connection.execute(
        select(agents.c.id).where(*wanted).order_by(agents.c.created_at, agents.c.id).limit(limit)
    )
    return list(rows.scalars())
