"""The ends of things: a tool call that has returned, a run that is finished without a step."""

from datetime import UTC, datetime
from functools import partial

from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.loops import GO_ON, AfterCall
from o.domain.messages import Message, Role, ToolReturn, return_message_id
from o.domain.runs import Run, RunClosed, RunError, StopReason, Usage
from o.memory.legacy_events import heartbeat_message
from o.metrics.measures import turn_ended
from o.storage.approvals import get_approval
from o.storage.database import after_commit
from o.storage.quick import QuickConnection
from o.storage.turn.calls import append_return_alone, append_returns
from o.storage.turn.events import add_events
from o.storage.turn.opening import place_input
from o.storage.turn.runs import advance_run
from o.storage.turn.starts import list_started
from o.storage.turn.steps import fail_steps, list_unanswered_calls

_WAS_BEGUN = "The call was begun before: the tool may have run, in part or whole."


async def commit_return(
    connection: AsyncConnection,
    run: Run,
    step_id: str,
    ordinal: int,
    returned: ToolReturn,
    *,
    then: AfterCall = GO_ON,
    timezone: str = "UTC",
) -> None:
    """Put a tool's return into history and into the run's log, with what follows from it.

    The caller holds the run's lock. A heartbeat of the legacy loop is for the model: V1 lists it
    in history and leaves it out of answers, so it is no event.
    """
    message = _return_message(run, step_id, ordinal, returned)
    new = [message]
    if then.heartbeat is not None:
        new.append(heartbeat_message(message, step_id, then.heartbeat, timezone))
    closed = RunClosed(stop_reason=then.stop, usage=run.usage) if then.stop else None
    shown = new if then.is_shown else new[:1]
    await append_returns(connection, run, new, shown, closed)
    if closed:
        after_commit(connection, partial(turn_ended, closed.stop_reason, run.created_at))
    if closed and run.steps_done == 0:  # what was said with the answer to an approval request
        await place_input(connection, run.id)


async def commit_return_alone(
    connection: QuickConnection, run: Run, step_id: str, ordinal: int, returned: ToolReturn
) -> bool:
    """The same without a transaction and its lock, for a call after which the turn just goes on.

    Returns:
        False, and nothing is written, when the run is closed or its agent is gone.

    Raises:
        psycopg.errors.UniqueViolation: The call has returned before.
    """
    message = _return_message(run, step_id, ordinal, returned)
    return await append_return_alone(connection, run, message)


def _return_message(run: Run, step_id: str, ordinal: int, returned: ToolReturn) -> Message:
    """A return at position 0; its id says which call it answers, so that it is stored once."""
    return Message(
        id=return_message_id(step_id, ordinal),
        organization_id=run.organization_id,
        agent_id=run.agent_id,
        conversation_id=run.conversation_id,
        run_id=run.id,
        step_id=step_id,
        position=0,
        role=Role.TOOL,
        tool_return=returned,
        name=returned.name,
        created_at=datetime.now(UTC),
    )


async def close_open_run(
    connection: AsyncConnection,
    run: Run,
    stop_reason: StopReason,
    *,
    unanswered: str,
    error: RunError | None = None,
) -> None:
    """Close an open run, leaving a history that the next prompt can be made of.

    The user's message stays, and calls without a return get an error return.

    Args:
        connection: In the transaction that has locked the run.
        run: As it was when it was locked.
        stop_reason: Why it ends.
        unanswered: What the model reads of calls without a return.
        error: Why it failed, if it did.
    """
    await refuse_calls(connection, run, *await step_under_way(connection, run), unanswered)
    await place_input(connection, run.id)
    await fail_steps(connection, run.id)
    closed = RunClosed(stop_reason=stop_reason, usage=run.usage, error=error)
    first_seq = await advance_run(connection, run.id, events=1, closed=closed)
    if first_seq is not None:
        await add_events(connection, run.id, first_seq, 1, [closed])


async def close_unreadable_run(
    connection: AsyncConnection, run_id: str, stop_reason: StopReason = StopReason.ERROR
) -> None:
    """Close an open run that is stored and cannot be read, without reading it.

    What it was to say is lost; the other runs of its conversation come to their turns.

    Args:
        connection: In a transaction.
        run_id: Which run; one that is finished stays as it is.
        stop_reason: Why it ends.
    """
    error = RunError(type="internal_error", message="The run is stored, and cannot be read.")
    shown = error if stop_reason is StopReason.ERROR else None
    closed = RunClosed(stop_reason=stop_reason, usage=Usage(), error=shown)
    first_seq = await advance_run(connection, run_id, events=1, closed=closed)
    if first_seq is not None:
        await fail_steps(connection, run_id)
        await add_events(connection, run_id, first_seq, 1, [closed])


async def step_under_way(connection: AsyncConnection, run: Run) -> tuple[str, int]:
    """The newest step whose calls the run answers, as (run id, index).

    An answer to an approval request begins with the step of the run that asked.
    """
    if run.steps_done == 0 and run.approval_id is not None:
        approval = await get_approval(connection, run.approval_id)
        if approval is not None:
            return approval.run_id, approval.step_index
    return run.id, run.steps_done - 1


async def refuse_calls(
    connection: AsyncConnection, run: Run, asked_in: str, index: int, reason: str
) -> None:
    """Give an error return to every call of a step that has none.

    Args:
        connection: In a transaction.
        run: What the returns belong to; events are stored while it is open.
        asked_in: The run of the step.
        index: Which step.
        reason: What the model reads; also that a call was begun, where it was.
    """
    unanswered = await list_unanswered_calls(connection, asked_in, index)
    started = await list_started(connection, unanswered[0][0]) if unanswered else set()
    for step_id, ordinal, call in unanswered:
        returned = ToolReturn(tool_call_id=call.id, name=call.name, status="error", content=reason)
        if ordinal in started:
            told = {"content": f"{reason} {_WAS_BEGUN}", "may_have_run": True, "duration_ns": 0}
            returned = returned.model_copy(update=told)
        await commit_return(connection, run, step_id, ordinal, returned)
