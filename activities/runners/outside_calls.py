"""Tool calls that work outside of this server's transactions: no lock is held while they do."""

import time
from collections.abc import Mapping, Sequence

from sqlalchemy.exc import SQLAlchemyError
from temporalio import activity

from activities.errors import AlreadyStarted
from activities.tool_call import CalledTool, arguments_of, failed
from o.domain.messages import ToolCall, ToolReturn
from o.domain.text import storable
from o.errors import OError, ToolFailed
from o.ids import derived_id
from o.storage.agents.agent_memory import AgentMemory
from o.storage.database import Database
from o.storage.turn.starts import start_call
from o.tools.invocation import EditedBlock, Invocation, Returned, ToolRunner
from o.tools.registry import refusal_of

_MOST_ATTEMPTS = 5
_CHANGED_MEANWHILE = (
    "it was changed by somebody else while the tool ran, and what they wrote stays. Read it again, "
    "and repeat the change if it is still wanted."
)
MAY_HAVE_RUN = (
    "The call was begun, and then the process that made it ended: the tool may have run, in part "
    "or whole, nobody saw it end. It was not called again. Find out what it did before you repeat "
    "it."
)


async def call_outside(
    database: Database, runners: Mapping[str, ToolRunner], called: CalledTool
) -> tuple[ToolReturn, Returned | None]:
    """Make a call, unless it may have been made before and must not be repeated.

    Nothing is committed but the record that it has begun.

    Returns:
        The return, and what the runner gave where it ran.
    """
    call = called.call
    began_ns = time.monotonic_ns()
    try:
        runner = _runner(runners, called)
        invocation = _invocation(called)
        repeats = runner.repeats_safely(invocation)
        if called.is_started and not repeats:
            return _unseen(called), None

        has_begun = False

        async def before_sending() -> None:
            nonlocal has_begun
            if has_begun:  # a sandbox was lost before the job was sent to it
                return
            async with database.quick() as quick:
                start = await start_call(quick, called.run.id, called.step_id, called.ref.ordinal)
            if start == "closed" or (start == "repeated" and not repeats):
                raise AlreadyStarted
            has_begun = True

        returned = await runner.run(invocation, before_sending=before_sending)
    except ToolFailed as error:
        return failed(call, error.message), None
    except AlreadyStarted:
        return _unseen(called), None
    except Exception as error:
        return _given_up(called, error), None
    return _as_return(call, returned, time.monotonic_ns() - began_ns), returned


def _as_return(call: ToolCall, returned: Returned, duration_ns: int) -> ToolReturn:
    return ToolReturn(
        tool_call_id=call.id,
        name=call.name,
        status=returned.status,
        content=storable(returned.content),
        stdout=[storable(text) for text in returned.stdout] or None,
        stderr=[storable(text) for text in returned.stderr] or None,
        duration_ns=duration_ns,
        hosts=list(returned.hosts) or None,
        may_have_run=returned.may_have_run,
    )


def _runner(runners: Mapping[str, ToolRunner], called: CalledTool) -> ToolRunner:
    kind = called.tool.tool_type if called.tool else called.call.name
    if (runner := runners.get(kind)) is None:
        raise ToolFailed(refusal_of(called.call.name))
    return runner


def _invocation(called: CalledTool) -> Invocation:
    return Invocation(
        organization_id=called.agent.organization_id,
        name=called.call.name,
        arguments=arguments_of(called.call),
        # The step is of one run, and the ordinal of one call of it: no attempt has another key.
        idempotency_key=derived_id("call", called.step_id, called.ref.ordinal),
        tool=called.tool,
        agent=called.agent,
        run_id=called.run.id,
        variables=called.variables,
        blocks=called.blocks,
    )


def _given_up(called: CalledTool, error: Exception) -> ToolReturn:
    """The return of a call that fails again and again inside this server.

    What is away is waited for. Anything else would be tried for ever, and the agent with it.

    Raises:
        Exception: The error itself, where the call is to be tried again.
    """
    is_away = isinstance(error, SQLAlchemyError) or (isinstance(error, OError) and error.retryable)
    if is_away or activity.info().attempt < _MOST_ATTEMPTS:
        raise error
    facts = {"tool": called.call.name, "error": type(error).__name__}
    activity.logger.error("tool could not be run", extra=facts, exc_info=error)
    return failed(called.call, "The tool could not be run: something is wrong inside the server.")


async def apply_edits(
    memory: AgentMemory, returned: ToolReturn, edits: Sequence[EditedBlock]
) -> ToolReturn:
    """Change the agent's blocks as the tool has, in the transaction that commits its return.

    What cannot be changed (read-only, too long, changed by somebody else meanwhile) is told to
    the model in the return, and the rest is.
    """
    await memory.hold(edit.label for edit in edits)
    problems = []
    for edit in edits:
        try:
            block = await memory.block(edit.label)
            if block.value == edit.value:
                continue
            if (block.id, block.version) != (edit.id or block.id, edit.version):
                raise ToolFailed(_CHANGED_MEANWHILE)
            await memory.set_value(block, storable(edit.value))
        except ToolFailed as error:
            problems.append(f"[Memory block {edit.label!r} was not changed: {error.message}]")
    if not problems:
        return returned
    return returned.model_copy(update={"content": "\n".join([returned.content, *problems])})


def _unseen(called: CalledTool) -> ToolReturn:
    return ToolReturn(
        tool_call_id=called.call.id,
        name=called.call.name,
        status="error",
        content=MAY_HAVE_RUN,
        duration_ns=0,
        may_have_run=True,
    )
