"""Activities that run the tools which a step asked for."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio import activity

from activities.errors import as_activity_failure
from activities.heartbeat import heartbeating
from o.domain.agents import Agent
from o.domain.json_bounds import JsonOutOfBounds, parse_json
from o.domain.loops import after_call
from o.domain.messages import ToolCall, ToolReturn, return_message_id
from o.domain.rules.gate import gate_of
from o.domain.rules.kinds import REFUSED, need_history, rule_state
from o.domain.runs import Run
from o.domain.text import storable
from o.errors import Conflict, NotFound, ToolFailed
from o.storage.agent_memory import AgentMemory
from o.storage.approvals import get_approval
from o.storage.database import Database
from o.storage.turn.calls import read_called_step
from o.storage.turn.closing import commit_return
from o.storage.turn.runs import get_run
from o.storage.turn.steps import list_request_returns
from o.tools.registry import BUILT_IN_TOOLS
from o.tools.tool import Caller
from workflows.contract import CallOutcome, CallRef

_CLOSED = CallOutcome("closed", done=True)


@dataclass(frozen=True)
class _Wanted:
    """A call that has not returned, with what it takes to run it and to commit its return."""

    run: Run
    agent: Agent
    step_id: str
    calls: Sequence[ToolCall]
    ref: CallRef
    returns: Sequence[ToolReturn]
    history: Sequence[ToolReturn]

    @property
    def call(self) -> ToolCall:
        """What the model asked for."""
        return self.calls[self.ref.ordinal]


class ToolActivities:
    """Runs one tool call and commits its return."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @activity.defn(name="run_tool")
    async def run_tool(self, call: CallRef) -> CallOutcome:
        """Run call `call.ordinal` of a committed step.

        Safe to retry: effect and return are one transaction under the run's lock, and a call
        that has returned is not run again. What goes wrong inside a tool is its return. A call
        that may run beside others only reads, so it holds the lock for its return alone.
        """
        with as_activity_failure(), heartbeating():
            returned: ToolReturn | None = None
            if call.parallel:
                async with self._database.connect() as connection:
                    wanted = await _wanted(connection, call, lock=False)
                    if isinstance(wanted, CallOutcome):
                        return wanted
                    returned = await _call(connection, wanted)
            async with self._database.begin() as connection:
                wanted = await _wanted(connection, call, lock=True)
                if isinstance(wanted, CallOutcome):
                    return wanted
                if returned is None:
                    returned = await _call(connection, wanted)
                outcome = await _commit(connection, wanted, returned)
        activity.logger.info("tool returned", extra={"tool": call.name, "status": outcome.status})
        return outcome


async def _wanted(
    connection: AsyncConnection, ref: CallRef, *, lock: bool
) -> _Wanted | CallOutcome:
    """The call, or how it went when it has returned or when nothing may happen any more."""
    run = await get_run(connection, ref.run_id, lock=lock)
    if run is None or not run.status.is_open:
        return _CLOSED
    step = await read_called_step(connection, ref.asked_in or run.id, ref.step_index, ref.ordinal)
    if step is None:
        raise NotFound(f"Step {ref.step_index} of run {run.id} has no reply")
    step_id = str(step.reply.step_id)
    if (stored := step.returns.get(return_message_id(step_id, ref.ordinal))) is not None:
        return CallOutcome(stored.status)
    if step.agent is None:
        return _CLOSED
    await _refuse_unapproved(connection, run, ref, step.reply.tool_calls[ref.ordinal])
    agent = step.agent.model_copy(update={"conversation_id": run.conversation_id})
    history: list[ToolReturn] = []
    if need_history(agent.tool_rules):
        history = await list_request_returns(connection, run.id)
    return _Wanted(
        run, agent, step_id, step.reply.tool_calls, ref, list(step.returns.values()), history
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


async def _commit(
    connection: AsyncConnection, wanted: _Wanted, returned: ToolReturn
) -> CallOutcome:
    """Commit a return with what follows from it. The run is locked, so one of them is the last."""
    agent, run, ref = wanted.agent, wanted.run, wanted.ref
    then = after_call(
        agent,
        wanted.call,
        [*wanted.returns, returned],
        rule_state(agent.tool_rules, agent.tool_names, [*wanted.history, returned]),
        is_last_call=len(wanted.returns) + 1 == len(wanted.calls),
        is_last_step=not ref.asked_in and ref.step_index + 1 >= run.options.max_steps,
    )
    await commit_return(
        connection,
        run,
        wanted.step_id,
        wanted.ref.ordinal,
        returned,
        then=then,
        timezone=agent.timezone,
    )
    return CallOutcome(returned.status, done=then.stop is not None)


async def _call(connection: AsyncConnection, wanted: _Wanted) -> ToolReturn:
    """What comes of a call, which is not made when rules forbid it or want approval first."""
    agent, call = wanted.agent, wanted.call
    usable = [name for name in agent.tool_names if name in BUILT_IN_TOOLS]
    refusal = rule_state(agent.tool_rules, usable, wanted.history).refusal(call.name)
    if call.gate == "client":
        refusal = f"{REFUSED} {call.name} is the client's own tool, which has not made the call."
    elif refusal is None and call.gate is None and gate_of(agent, (), call.name) is not None:
        refusal = f"{REFUSED} {call.name} needs approval: call it by itself."
    if refusal is not None:
        return ToolReturn(tool_call_id=call.id, name=call.name, status="error", content=refusal)
    began_ns = time.monotonic_ns()
    status: Literal["success", "error"] = "success"
    try:
        caller = Caller(agent, AgentMemory(connection, agent))
        content = await BUILT_IN_TOOLS[call.name](caller, _arguments(call))
    except ToolFailed as error:
        status, content = "error", error.message
    return ToolReturn(
        tool_call_id=call.id,
        name=call.name,
        status=status,
        content=storable(content),
        duration_ns=time.monotonic_ns() - began_ns,
    )


def _arguments(call: ToolCall) -> dict[str, Any]:
    try:
        arguments = parse_json(call.arguments or "{}")
    except JsonOutOfBounds as error:
        raise ToolFailed(f"The arguments cannot be read: {error}. Nothing was done.") from None
    except ValueError:
        raise ToolFailed("The arguments are not valid JSON. Nothing was done.") from None
    if not isinstance(arguments, dict):
        raise ToolFailed("The arguments are not a JSON object. Nothing was done.")
    return arguments
