"""A tool call as its activity finds it: whether it may be made, and how its return is committed."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.agents import Agent
from o.domain.blocks import Block
from o.domain.json_bounds import JsonOutOfBounds, parse_json
from o.domain.loops import after_call, goes_on_after_calls
from o.domain.messages import ToolCall, ToolReturn, return_message_id
from o.domain.rules.gate import gate_of
from o.domain.rules.kinds import REFUSED, need_history, rule_state
from o.domain.runs import Run
from o.domain.tool_variables import ToolVariable
from o.domain.tools import StoredTool
from o.errors import Conflict, NotFound, ToolFailed
from o.storage.approvals import get_approval
from o.storage.database import Database
from o.storage.turn.calls import CalledStep, read_called_step
from o.storage.turn.closing import commit_return, commit_return_alone
from o.storage.turn.runs import lock_run
from o.storage.turn.steps import list_request_returns
from o.tools.registry import BUILT_IN_TOOLS
from workflows.contract import CallOutcome, CallRef

CLOSED = CallOutcome("closed", done=True)
"""Nothing may happen any more."""


@dataclass(frozen=True)
class CalledTool:
    """A call that has not returned, with what it takes to run it and to commit its return.

    Attributes:
        tool: What it calls, where that is a row; None for a tool that comes with the server.
        is_started: Whether an attempt before this one may have had an effect outside of here.
        history: What the request's calls have returned, where rules ask for it.
        variables: What the tool sees of variables, where they were read with the call.
        blocks: What it sees of the agent's memory, likewise.
    """

    run: Run
    agent: Agent
    step_id: str
    calls: Sequence[ToolCall]
    ref: CallRef
    returns: Sequence[ToolReturn]
    history: Sequence[ToolReturn]
    tool: StoredTool | None
    is_started: bool
    variables: Sequence[ToolVariable] | None = None
    blocks: Sequence[Block] | None = None

    @property
    def call(self) -> ToolCall:
        """What the model asked for."""
        return self.calls[self.ref.ordinal]


async def read_called(database: Database, ref: CallRef) -> CalledTool | CallOutcome:
    """The call that is to be made now, with what its tool sees; in one statement as a rule.

    Returns:
        How it went, when it has returned or when nothing may happen any more.
    """
    async with database.quick() as quick:
        step = await read_called_step(
            quick, ref.run_id, ref.asked_in, ref.step_index, ref.ordinal, to_run=True
        )
    return await _called(step, ref, database.connect)


async def read_called_locked(connection: AsyncConnection, ref: CallRef) -> CalledTool | CallOutcome:
    """The same with the run locked, so that its returns can be counted."""
    await lock_run(connection, ref.run_id)
    step = await read_called_step(
        connection, ref.run_id, ref.asked_in, ref.step_index, ref.ordinal, to_run=False
    )
    return await _called(step, ref, lambda: nullcontext(connection))


async def _called(
    step: CalledStep | None,
    ref: CallRef,
    connect: Callable[[], AbstractAsyncContextManager[AsyncConnection]],
) -> CalledTool | CallOutcome:
    if step is None or not step.run.status.is_open:
        return CLOSED
    if step.reply is None:
        raise NotFound(f"Step {ref.step_index} of run {step.run.id} has no reply")
    step_id, call = str(step.reply.step_id), step.reply.tool_calls[ref.ordinal]
    if (stored := step.returns.get(return_message_id(step_id, ref.ordinal))) is not None:
        return CallOutcome(stored.status)
    if step.agent is None:
        return CLOSED
    agent = step.agent.model_copy(update={"conversation_id": step.run.conversation_id})
    history: list[ToolReturn] = []
    if call.gate == "approval" or need_history(agent.tool_rules):
        async with connect() as connection:
            await _refuse_unapproved(connection, step.run, ref, call)
            if need_history(agent.tool_rules):
                history = await list_request_returns(connection, step.run.id)
    return CalledTool(
        step.run,
        agent,
        step_id,
        step.reply.tool_calls,
        ref,
        list(step.returns.values()),
        history,
        step.tool,
        ref.ordinal in step.started,
        step.variables,
        step.blocks,
    )


async def _refuse_unapproved(
    connection: AsyncConnection, run: Run, ref: CallRef, call: ToolCall
) -> None:
    """Make sure that the record has the approval, whoever scheduled this activity.

    Raises:
        Conflict: The run does not answer a request in which this call was approved.
    """
    if call.gate != "approval":
        return
    approval = await get_approval(connection, run.approval_id or "")
    if (
        approval is None
        or (approval.run_id, approval.step_index) != (ref.asked_in, ref.step_index)
        or not any(one.approve and one.tool_call_id == call.id for one in approval.decisions)
    ):
        raise Conflict(f"Call {call.id} of {call.name} was not approved")


def refusal(called: CalledTool) -> ToolReturn | None:
    """Why rules forbid a call, or what it wants first; None when it may be made."""
    agent, call = called.agent, called.call
    is_there = called.tool is not None or call.name in BUILT_IN_TOOLS
    usable = [name for name in agent.tool_names if is_there or name != call.name]
    of_client = [tool.name for tool in called.run.options.client_tools or ()]
    rules = rule_state(agent.tool_rules, usable, called.history)
    reason = rules.refusal(call.name, beside=of_client)
    if call.gate == "client":
        reason = f"{REFUSED} {call.name} is the client's own tool, which has not made the call."
    elif reason is None and call.gate is None and gate_of(agent, (), call.name) is not None:
        reason = f"{REFUSED} {call.name} needs approval: call it by itself."
    return None if reason is None else failed(call, reason)


def failed(call: ToolCall, reason: str) -> ToolReturn:
    """The return of a call that was not made."""
    return ToolReturn(tool_call_id=call.id, name=call.name, status="error", content=reason)


async def commit(
    connection: AsyncConnection, called: CalledTool, returned: ToolReturn
) -> CallOutcome:
    """Commit a return with what follows from it. The run is locked, so one of them is the last."""
    agent, run, ref = called.agent, called.run, called.ref
    then = after_call(
        agent,
        called.call,
        [*called.returns, returned],
        rule_state(agent.tool_rules, agent.tool_names, [*called.history, returned]),
        is_last_call=len(called.returns) + 1 == len(called.calls),
        is_last_step=not ref.asked_in and ref.step_index + 1 >= run.options.max_steps,
    )
    await commit_return(
        connection,
        run,
        called.step_id,
        ref.ordinal,
        returned,
        then=then,
        timezone=agent.timezone,
    )
    return CallOutcome(returned.status, done=then.stop is not None)


async def commit_alone(
    database: Database, called: CalledTool, returned: ToolReturn
) -> CallOutcome | None:
    """Commit a return in one statement, where nothing but the next step can follow from it.

    Returns:
        None, and nothing is written, where more is to be looked at, under the run's lock.
    """
    if not goes_on_after_calls(called.agent):
        return None
    run, step_id, ordinal = called.run, called.step_id, called.ref.ordinal
    try:
        async with database.quick() as quick:
            is_stored = await commit_return_alone(quick, run, step_id, ordinal, returned)
    except IntegrityError:  # another attempt has committed one
        return None
    return CallOutcome(returned.status) if is_stored else None


def arguments_of(call: ToolCall) -> Mapping[str, Any]:
    """What the model calls a tool with.

    Raises:
        ToolFailed: It is no JSON object.
    """
    try:
        arguments = parse_json(call.arguments or "{}")
    except JsonOutOfBounds as error:
        raise ToolFailed(f"The arguments cannot be read: {error}. Nothing was done.") from None
    except ValueError:
        raise ToolFailed("The arguments are not valid JSON. Nothing was done.") from None
    if not isinstance(arguments, dict):
        raise ToolFailed("The arguments are not a JSON object. Nothing was done.")
    return arguments
