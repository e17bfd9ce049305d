"""Approval requests: what waits for an answer, and the answer, which is a run of its own.

While a conversation has a pending request, none of its runs takes a step (`open_step`). The
transaction that completes the answer makes the run that carries on with it.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import RowMapping, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.actors import Actor
from o.domain.approvals import (
    NOTHING_WAITS,
    Approval,
    ApprovalStatus,
    decided_with,
    find_answered,
    is_about,
)
from o.domain.messages import Decision, Message, only_calls, say_the_same
from o.domain.runs import Run, RunClosed, RunStatus, StopReason
from o.errors import Conflict, InvalidArgument, Unreadable
from o.storage.conditions import IS_PENDING
from o.storage.history.messages import get_message
from o.storage.organizations.audit import put_on_record
from o.storage.rows import columns_of, model_of, readable, sort_out, without_json
from o.storage.tables.core import agents, approvals, conversations, runs
from o.storage.turn.accepting import NewRun
from o.storage.turn.events import add_events
from o.storage.turn.runs import advance_run, get_run

EXPIRY = "expiry"
"""Who denies what nobody has answered in time."""

_NEWEST = 20


@dataclass(frozen=True)
class Answer:
    """What is said to an approval request.

    Attributes:
        decisions: As they came, with ids of calls or of the request's message, never without.
        decided_by: The user's id, `temporal`, or `expiry`.
        key_id: The key of the API that the user decides with.
    """

    decisions: list[Decision]
    decided_by: str
    key_id: str | None = None


async def get_approval(connection: AsyncConnection, approval_id: str) -> Approval | None:
    """The approval request by that id, None when it is gone."""
    rows = await connection.execute(
        select(*columns_of(approvals, Approval)).where(approvals.c.id == approval_id)
    )
    row = rows.mappings().one_or_none()
    return model_of(Approval, row) if row else None


async def get_pending_approval(
    connection: AsyncConnection, conversation_id: str
) -> Approval | None:
    """What a conversation waits for, None when it waits for nothing."""
    statement = select(*columns_of(approvals, Approval)).where(
        approvals.c.conversation_id == conversation_id,
        IS_PENDING,
    )
    rows = await connection.execute(statement)
    row = rows.mappings().one_or_none()
    return model_of(Approval, row) if row else None


async def answer_approval(
    connection: AsyncConnection, conversation_id: str, answer: Answer, new: NewRun
) -> Run:
    """Record an answer, and make the run that carries on once nothing is left to be answered.

    Answering again what was answered gives the run that the first answer made. An answer to some
    of the calls makes a run that closes at once with `requires_approval` and shows the others.

    Args:
        connection: In a transaction.
        conversation_id: Which conversation; the caller has made sure that it is the actor's.
        answer: What is said, and by whom.
        new: The run to make. Its input is said after the answer.

    Raises:
        InvalidArgument: Nothing waits, or the answer is about calls that do not wait.
        Conflict: A call was answered otherwise before, or with something else said behind it; or
            the ids that are given fit several calls or requests.
    """
    approval = await _lock_answered(connection, conversation_id, answer.decisions)
    decisions = decided_with(approval, answer.decisions)
    if approval.answer_run_id is not None and approval.decisions == decisions:
        first = await get_run(connection, approval.answer_run_id)
        if first is not None:
            _check_nothing_is_lost(first, new)
            return first
    if approval.status is not ApprovalStatus.PENDING:
        raise InvalidArgument(f"{NOTHING_WAITS}: the answer was given, and its run was deleted")
    is_whole = len(decisions) == len(approval.calls)
    if new.input and not is_whole:
        raise InvalidArgument("Answer every call that waits before you say more")
    await _record(connection, approval, decisions, answer.decided_by, new.id, is_whole=is_whole)
    await _put_on_record(connection, approval, answer, decisions)
    run = await _add_run(connection, approval, new)
    if is_whole:
        return run
    return await _close_part(connection, approval, run, decisions)


async def bare_approval(connection: AsyncConnection, row: RowMapping) -> Approval:
    """What is left of a request that cannot be read: enough to deny all that it asks for.

    Its calls are told by the message that asks.
    """
    request = await get_message(connection, row["id"])
    calls = [call.id for call in request.gated_calls] if request else []
    return model_of(Approval, without_json(approvals, row) | {"calls": calls})


async def cancel_approval(connection: AsyncConnection, approval: Approval) -> None:
    """Close a pending request that the caller has locked; its calls are the caller's to answer."""
    await connection.execute(
        update(approvals)
        .where(approvals.c.id == approval.id)
        .values(status=ApprovalStatus.CANCELLED, decided_at=func.now())
    )


async def list_expired_approvals(
    connection: AsyncConnection,
) -> tuple[list[Approval], list[str]]:
    """Pending requests whose time is over, of conversations that are there.

    Returns:
        The requests, and the ids of those among them that are stored and cannot be read.
    """
    rows = await connection.execute(
        select(*columns_of(approvals, Approval))
        .join(agents, agents.c.id == approvals.c.agent_id)
        .join(conversations, conversations.c.id == approvals.c.conversation_id)
        .where(
            IS_PENDING,
            approvals.c.expires_at <= func.now(),
            agents.c.deleted_at.is_(None),
            conversations.c.deleted_at.is_(None),
        )
        .order_by(approvals.c.expires_at)
        .limit(_NEWEST)
    )
    found, unreadable = sort_out(rows.mappings(), lambda row: model_of(Approval, row))
    return found, [row["id"] for row in unreadable]


def _check_nothing_is_lost(first: Run, new: NewRun) -> None:
    """What is said behind an answer that is repeated was said the first time, or is refused."""
    if new.input and not say_the_same(first.input, new.input):
        raise Conflict(
            "The approval request was answered before, and this was not said behind the answer: "
            "send it by itself"
        )


async def _record(
    connection: AsyncConnection,
    approval: Approval,
    decisions: Sequence[Decision],
    decided_by: str,
    run_id: str,
    *,
    is_whole: bool,
) -> None:
    expired = decided_by == EXPIRY
    values: dict[str, object] = {
        "decisions": [decision.model_dump(mode="json") for decision in decisions],
        "decided_by": decided_by,
        "answer_run_id": run_id,
    }
    if is_whole:
        values["status"] = ApprovalStatus.EXPIRED if expired else ApprovalStatus.DECIDED
        values["decided_at"] = func.now()
    await connection.execute(
        update(approvals).where(approvals.c.id == approval.id).values(**values)
    )


async def _put_on_record(
    connection: AsyncConnection,
    approval: Approval,
    answer: Answer,
    decisions: Sequence[Decision],
) -> None:
    """Keep who decided which calls, beside what is kept of the request for as long as it is."""
    new = [one for one in decisions if one not in approval.decisions]
    details = {
        "approved": [one.tool_call_id for one in new if one.approve],
        "denied": [one.tool_call_id for one in new if not one.approve],
    }
    actor = Actor(answer.decided_by, approval.organization_id, answer.key_id)
    await put_on_record(connection, actor, "decide_approval", approval.id, details)


async def _add_run(connection: AsyncConnection, approval: Approval, new: NewRun) -> Run:
    """The run that answers. It goes before all that wait, and back to the same origin."""
    asked = await get_run(connection, approval.run_id)
    origin = (asked.origin_run_id or asked.id) if asked else approval.run_id
    options = new.options.going_on_from(asked.options) if asked else new.options
    rows = await connection.execute(
        insert(runs)
        .values(
            id=new.id,
            organization_id=approval.organization_id,
            agent_id=approval.agent_id,
            conversation_id=approval.conversation_id,
            request_key=new.request_key,
            body_hash=new.body_hash,
            status=RunStatus.CREATED,
            input=[message.model_dump(mode="json") for message in new.input],
            options=options.model_dump(mode="json"),
            created_by_id=new.created_by_id,
            approval_id=approval.id,
            origin_run_id=origin,
            callback_url=new.callback_url,
            created_at=func.now(),
        )
        .returning(*columns_of(runs, Run))
    )
    return model_of(Run, rows.mappings().one())


async def _close_part(
    connection: AsyncConnection, approval: Approval, run: Run, decisions: Sequence[Decision]
) -> Run:
    """Close the run of an answer to a part of a request; it shows the calls that still wait."""
    request = await get_message(connection, approval.id)
    shown: list[Message | RunClosed] = []
    if request is not None:
        shown.append(only_calls(request, [decision.tool_call_id for decision in decisions]))
    closed = RunClosed(stop_reason=StopReason.REQUIRES_APPROVAL, usage=run.usage)
    shown.append(closed)
    first_seq = await advance_run(connection, run.id, events=len(shown), closed=closed)
    if first_seq is not None:
        await add_events(connection, run.id, first_seq, 1, shown)
    return run.model_copy(
        update={"status": closed.stop_reason.status, "stop_reason": closed.stop_reason}
    )


async def sample_pending_approvals(
    connection: AsyncConnection, *, older_than_s: float, limit: int
) -> list[tuple[Approval, str]]:
    """Some of the requests that wait, each with its agent's name; others each time."""
    rows = await connection.execute(
        select(*columns_of(approvals, Approval), agents.c.name.label("agent_name"))
        .join(agents, agents.c.id == approvals.c.agent_id)
        .join(conversations, conversations.c.id == approvals.c.conversation_id)
        .where(
            IS_PENDING,
            approvals.c.created_at < func.now() - timedelta(seconds=older_than_s),
            agents.c.deleted_at.is_(None),
            conversations.c.deleted_at.is_(None),
        )
        .order_by(func.random())
        .limit(limit)
    )
    return readable(rows.mappings(), lambda row: (model_of(Approval, row), row["agent_name"]))


async def conversations_that_wait(
    connection: AsyncConnection, conversation_ids: Collection[str]
) -> set[str]:
    """Of these conversations those that have a pending request."""
    rows = await connection.execute(
        select(approvals.c.conversation_id).where(
            IS_PENDING,
            approvals.c.conversation_id == func.any(list(conversation_ids)),
        )
    )
    return set(rows.scalars())


async def check_same_answer(
    connection: AsyncConnection, run: Run, given: Sequence[Decision]
) -> None:
    """Make sure that an answer is the one that made this run, which has the same `otid`.

    A client that counts its ids anew would otherwise believe that it has answered what it has not.

    Raises:
        Conflict: It is another one.
    """
    approval = await get_approval(connection, run.approval_id) if run.approval_id else None
    if approval is None or not is_about(approval, given):
        raise Conflict(
            "The otid was used before, and not for an answer to this approval request: give each "
            "answer an otid of its own"
        )
    decided_with(approval, given)


async def _lock_answered(
    connection: AsyncConnection, conversation_id: str, given: Sequence[Decision]
) -> Approval:
    """The request that an answer is about, locked; see `find_answered`."""
    rows = await connection.execute(
        select(*columns_of(approvals, Approval))
        .where(approvals.c.conversation_id == conversation_id)
        .order_by(IS_PENDING.desc(), approvals.c.created_at.desc())
        .limit(_NEWEST)
        .with_for_update()
    )
    return find_answered(_that_count(rows.mappings().all()), given)


def _that_count(rows: Sequence[RowMapping]) -> list[Approval]:
    """The requests of a conversation; one that is over and cannot be read is not asked about.

    Raises:
        Unreadable: The one that waits cannot be read.
    """
    found, unreadable = sort_out(rows, lambda row: model_of(Approval, row))
    for row in unreadable:
        if row["status"] == ApprovalStatus.PENDING:
            raise Unreadable("Approval request", row["id"])
    return found
