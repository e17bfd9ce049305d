"""Cancelling: what is open is closed at once, in one transaction, whoever works at it.

A worker that comes late finds its run closed and writes nothing. The caller then tells the
conversation's workflow, so that the model call and the tool under way are stopped as well.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from sqlalchemy import (
    ColumnElement,
    RowMapping,
    Text,
    and_,
    any_,
    func,
    literal,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.elements import CollectionAggregate

from o.domain.actors import Actor
from o.domain.agents import Thread
from o.domain.approvals import Approval, response_message
from o.domain.messages import Decision
from o.domain.runs import Run, RunClosed, RunStatus, StopReason, Usage
from o.errors import Conflict, NotFound
from o.ids import derived_id
from o.metrics.measures import turn_ended
from o.storage.agents.agents import get_agent, is_thread
from o.storage.approvals import bare_approval, cancel_approval
from o.storage.conditions import IS_OPEN, IS_PENDING
from o.storage.database import after_commit
from o.storage.locks import lock_rows
from o.storage.rows import columns_of, model_of, sort_out
from o.storage.tables.core import agents, approvals, conversations, runs
from o.storage.turn.accepting import find_conversation
from o.storage.turn.closing import close_open_run, close_unreadable_run, refuse_calls
from o.storage.turn.committing import append_messages
from o.storage.turn.runs import bare_run, lock_run_for_its_end

_DENIED = "The user cancelled the request, so the tool call was denied."
_STOPPED = "The user cancelled the run before this tool call returned."
_STILL_AT_WORK = timedelta(minutes=30)  # as long as a step may take
_NEWEST = 50


# In one statement, however many: nothing was begun of them, so nothing else is to be closed.
_CLOSE_WAITING = text(
    """
    WITH closed AS (
        UPDATE runs SET status = 'cancelled', stop_reason = 'cancelled', completed_at = now(),
            next_seq = next_seq + 1
        WHERE id = ANY(:ids) AND status IN ('created', 'running')
        RETURNING id, agent_id, next_seq - 1 AS seq
    ), told AS (
        INSERT INTO run_events (run_id, seq, attempt, kind, body, created_at)
        SELECT id, seq, 1, 'closed', CAST(:body AS jsonb), now() FROM closed
    )
    UPDATE agents SET last_run_completion = now(), last_stop_reason = 'cancelled'
    FROM closed WHERE agents.id = closed.agent_id
    """
)
_CLOSED = RunClosed(stop_reason=StopReason.CANCELLED, usage=Usage()).model_dump_json()


@dataclass(frozen=True)
class Scope:
    """What a cancel is about.

    Attributes:
        agent_id: All conversations of this agent.
        thread: One conversation.
        run_ids: Only these runs; None for all that is open.
        among: Only what is open of these runs, in whatever conversations. Those that are finished
            or gone are left alone, and nothing to cancel is no error.
        only_first: Only what is under way, not what waits for its turn.
    """

    agent_id: str | None = None
    thread: Thread | None = None
    run_ids: Sequence[str] | None = None
    among: Sequence[str] | None = None
    only_first: bool = False


@dataclass(frozen=True)
class Cancelled:
    """What came of a cancel.

    Attributes:
        results: Run id to `cancelled`, or `failed` where the run was finished already.
        conversations: Whose workflows are to be notified, each with the runs that were cancelled.
    """

    results: dict[str, str] = field(default_factory=dict)
    conversations: dict[str, list[str]] = field(default_factory=dict)

    def add(self, run: Run) -> None:
        """Note a run that was cancelled."""
        self.results[run.id] = "cancelled"
        self.conversations.setdefault(run.conversation_id, []).append(run.id)


async def cancel_runs(connection: AsyncConnection, actor: Actor, scope: Scope) -> Cancelled:
    """Cancel open runs, and approval requests that wait, with the runs that ended with them.

    A run that had begun leaves what was said in history, with an error return for every call that
    has none. One that waited for its turn leaves nothing.

    Args:
        connection: In a transaction.
        actor: Whose runs.
        scope: Which of them.

    Raises:
        NotFound: There is no such agent, conversation or run for this actor.
        Conflict: Nothing is named, and there is nothing to cancel.
    """
    await _find(connection, actor, scope)
    pending = await _lock_pending(connection, actor, scope)
    found, unreadable = await _lock_runs(connection, actor, scope, pending)
    if scope.among is not None:
        await _lock_threads(connection, found)
    done = Cancelled()
    if scope.run_ids is not None:
        known = {run.id for run in found}
        for run_id in scope.run_ids:
            if run_id not in known:
                raise NotFound(f"Run with id {run_id[:100]} not found")
            done.results[run_id] = "failed"
    await _cancel_named(connection, scope, pending, done)
    to_end = [run for run in found if _is_to_end(run, scope)]
    await _cancel_open(connection, to_end, unreadable)
    for run in to_end:
        done.add(run)
    # A run may have ended with a request while its lock was waited for. Whoever has locked that
    # meanwhile answers or cancels it.
    late = await _lock_pending(connection, actor, scope, skip_locked=True)
    await _cancel_named(connection, scope, late, done)
    if not done.results and scope.among is None:
        raise Conflict("No active runs to cancel")
    return done


async def list_cancelled_lately(connection: AsyncConnection, conversation_id: str) -> list[str]:
    """Runs that were cancelled so lately that a model call for them may still be under way."""
    rows = await connection.execute(
        select(runs.c.id)
        .where(
            runs.c.conversation_id == conversation_id,
            runs.c.status == RunStatus.CANCELLED,
            runs.c.completed_at > func.now() - _STILL_AT_WORK,
        )
        .order_by(runs.c.completed_at.desc())
        .limit(_NEWEST)
    )
    return list(rows.scalars())


async def cancel_requests(connection: AsyncConnection, actor: Actor, scope: Scope) -> Cancelled:
    """Cancel the approval requests that wait there, if any, and the runs that ended with them."""
    done = Cancelled()
    for approval in await _lock_pending(connection, actor, scope):
        run = await cancel_request(connection, approval)
        if run is not None:
            done.add(run)
    return done


async def cancel_pending(connection: AsyncConnection, approval_id: str) -> Run | None:
    """Cancel an approval request, if it still waits; one that cannot be read as well.

    Returns:
        The run that ended with it, which is now cancelled.
    """
    rows = await connection.execute(
        select(*columns_of(approvals, Approval))
        .where(IS_PENDING, approvals.c.id == approval_id)
        .with_for_update()
    )
    for approval in await _all_of(connection, rows.mappings().all()):
        return await cancel_request(connection, approval)
    return None


async def cancel_request(connection: AsyncConnection, approval: Approval) -> Run | None:
    """Close a pending approval request that the caller has locked, denying what it asks for.

    Returns:
        The run that ended with it, which is now cancelled.
    """
    await cancel_approval(connection, approval)
    run = await lock_run_for_its_end(connection, approval.run_id)
    if run is None:
        return None
    decisions = [
        Decision(tool_call_id=call, approve=False, reason=_DENIED) for call in approval.undecided
    ]
    message_id = derived_id("message", approval.id, "cancelled")
    said = [*approval.decisions, *decisions]
    response = response_message(run, approval, message_id, said)
    await append_messages(connection, run.conversation_id, [response])
    await refuse_calls(connection, run, run.id, approval.step_index, _DENIED)
    await connection.execute(
        update(runs)
        .where(runs.c.id == run.id)
        .values(status=RunStatus.CANCELLED, stop_reason=StopReason.CANCELLED)
    )
    return run


async def _find(connection: AsyncConnection, actor: Actor, scope: Scope) -> None:
    if scope.agent_id is not None:
        await get_agent(connection, actor, scope.agent_id)
    if scope.thread is not None:
        await find_conversation(connection, actor, scope.thread)


async def _cancel_named(
    connection: AsyncConnection, scope: Scope, pending: Sequence[Approval], done: Cancelled
) -> None:
    for approval in pending:
        if scope.run_ids is None or approval.run_id in scope.run_ids:
            run = await cancel_request(connection, approval)
            if run is not None:
                done.add(run)


def _is_to_end(run: Run, scope: Scope) -> bool:
    return run.status.is_open and not (scope.only_first and _waits_for_its_turn(run))


def _waits_for_its_turn(run: Run) -> bool:
    """Whether nothing of it was begun; an answer carries on what was."""
    return run.status is RunStatus.CREATED and run.approval_id is None


async def _cancel_open(
    connection: AsyncConnection, to_end: Sequence[Run], unreadable: Collection[str]
) -> None:
    """Close open runs whose rows the caller has locked."""
    waiting: list[Run] = []
    for run in to_end:
        if run.id in unreadable:
            await close_unreadable_run(connection, run.id, StopReason.CANCELLED)
        elif _waits_for_its_turn(run):
            waiting.append(run)
        else:
            await close_open_run(connection, run, StopReason.CANCELLED, unanswered=_STOPPED)
    if not waiting:
        return
    ids = [run.id for run in waiting]
    await connection.execute(_CLOSE_WAITING, {"ids": ids, "body": _CLOSED})
    for _ in waiting:
        after_commit(connection, partial(turn_ended, StopReason.CANCELLED))


async def _lock_threads(connection: AsyncConnection, found: Sequence[Run]) -> None:
    """Lock the conversations and agents of runs of several agents before any of them is changed."""
    for table, ids in (
        (conversations, {run.conversation_id for run in found}),
        (agents, {run.agent_id for run in found}),
    ):
        await lock_rows(connection, table.c.id == _any_of(list(ids)), table.c.id, key_share=True)


async def _lock_runs(
    connection: AsyncConnection, actor: Actor, scope: Scope, pending: Sequence[Approval]
) -> tuple[list[Run], set[str]]:
    """The runs that are named, all locked before any is changed; none starts meanwhile.

    Returns:
        The runs, and the ids of those of which no more than `bare_run` can be read.
    """
    which = IS_OPEN if scope.run_ids is None else runs.c.id.in_(list(scope.run_ids))
    if scope.among is not None:
        have_asked = runs.c.id == _any_of([approval.run_id for approval in pending])
        which = and_(runs.c.id == _any_of(scope.among), or_(IS_OPEN, have_asked))
    rows = await connection.execute(
        select(*columns_of(runs, Run))
        .join(agents, agents.c.id == runs.c.agent_id)
        .join(conversations, conversations.c.id == runs.c.conversation_id)
        .where(which, _is_in(actor, scope))
        .order_by(runs.c.created_at, runs.c.id)
        .with_for_update(of=runs)
    )
    found, unreadable = sort_out(rows.mappings(), lambda row: model_of(Run, row))
    return [*found, *map(bare_run, unreadable)], {row["id"] for row in unreadable}


async def _lock_pending(
    connection: AsyncConnection, actor: Actor, scope: Scope, *, skip_locked: bool = False
) -> list[Approval]:
    which = IS_PENDING
    if scope.among is not None:
        runs_named = runs.c.id == _any_of(scope.among)
        which = and_(
            IS_PENDING,
            approvals.c.run_id == _any_of(scope.among),
            # The index of what waits is by conversation, and has what waits everywhere.
            approvals.c.conversation_id.in_(select(runs.c.conversation_id).where(runs_named)),
        )
    rows = await connection.execute(
        select(*columns_of(approvals, Approval))
        .join(agents, agents.c.id == approvals.c.agent_id)
        .join(conversations, conversations.c.id == approvals.c.conversation_id)
        .where(which, _is_in(actor, scope))
        .order_by(approvals.c.created_at, approvals.c.id)
        .with_for_update(of=approvals, skip_locked=skip_locked)
    )
    return await _all_of(connection, rows.mappings().all())


async def _all_of(connection: AsyncConnection, rows: Sequence[RowMapping]) -> list[Approval]:
    """Requests; those that cannot be read too, because they keep their conversations waiting."""
    found, unreadable = sort_out(rows, lambda row: model_of(Approval, row))
    return [*found, *[await bare_approval(connection, row) for row in unreadable]]


def _any_of(ids: Sequence[str]) -> CollectionAggregate[bool]:
    """Any of these ids: one parameter, however many they are."""
    return any_(literal(list(ids), ARRAY(Text)))


def _is_in(actor: Actor, scope: Scope) -> ColumnElement[bool]:
    owned = and_(
        agents.c.organization_id == actor.organization_id,
        agents.c.deleted_at.is_(None),
        conversations.c.deleted_at.is_(None),
    )
    if scope.thread is not None:
        owned = and_(owned, is_thread(scope.thread))
    if scope.agent_id is not None:
        owned = and_(owned, agents.c.id == scope.agent_id)
    return owned
