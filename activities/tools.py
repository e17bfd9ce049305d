"""Activities that run the tools which a step asked for."""

import time
from collections.abc import Mapping
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio import activity

from activities.called import CalledTool, arguments_of, commit, read_called, refusal
from activities.errors import as_activity_failure
from activities.heartbeat import heartbeating
from activities.outside import apply_edits, call_outside
from o.domain.messages import ToolReturn
from o.domain.text import storable
from o.errors import ToolFailed
from o.storage.agent_memory import AgentMemory
from o.storage.database import Database, with_patience
from o.tools.invocation import Returned, ToolRunner
from o.tools.registry import BUILT_IN_TOOLS
from o.tools.tool import Caller
from workflows.contract import CallOutcome, CallRef

_PATIENCE_S = 120.0
"""How long a return is kept for a database that is away: it is nowhere else."""


class ToolActivities:
    """Runs one tool call and commits its return."""

    def __init__(self, database: Database, runners: Mapping[str, ToolRunner]) -> None:
        """Nothing is run yet.

        Args:
            database: Where calls and returns are.
            runners: Of tools that work outside of transactions: by the name of a tool that comes
                with the server, else by `StoredTool.tool_type`.
        """
        self._database = database
        self._runners = runners

    @activity.defn(name="run_tool")
    async def run_tool(self, call: CallRef) -> CallOutcome:
        """Run call `call.ordinal` of a committed step.

        Safe to retry: a call that has returned is not run again. Effect and return of a memory
        tool are one transaction under the run's lock; any other tool works outside of it, and is
        not called again where it may have run, unless it says that it can be. What goes wrong
        inside a tool is its return.
        """
        with as_activity_failure(), heartbeating():
            if call.name in BUILT_IN_TOOLS and call.name not in self._runners:
                outcome = await self._inside(call)
            else:
                outcome = await self._outside(call)
        activity.logger.info("tool returned", extra={"tool": call.name, "status": outcome.status})
        return outcome

    async def _inside(self, ref: CallRef) -> CallOutcome:
        """In one transaction. A call that may run beside others locks for its return alone."""
        returned: ToolReturn | None = None
        if ref.parallel:
            async with self._database.connect() as connection:
                called = await read_called(connection, ref, lock=False)
                if isinstance(called, CallOutcome):
                    return called
                returned = await _call(connection, called)
        async with self._database.begin() as connection:
            called = await read_called(connection, ref, lock=True)
            if isinstance(called, CallOutcome):
                return called
            if returned is None:
                returned = await _call(connection, called)
            return await commit(connection, called, returned)

    async def _outside(self, ref: CallRef) -> CallOutcome:
        """Without a transaction while the tool works; its return is committed as any other's."""
        ran: Returned | None = None
        async with self._database.connect() as connection:
            called = await read_called(connection, ref, lock=False)
        if isinstance(called, CallOutcome):
            return called
        returned = refusal(called)
        if returned is None:
            returned, ran = await call_outside(self._database, self._runners, called)
        return await with_patience(lambda: self._commit(ref, returned, ran), patience_s=_PATIENCE_S)

    async def _commit(
        self, ref: CallRef, returned: ToolReturn, ran: Returned | None
    ) -> CallOutcome:
        """Commit what a tool returned; one that was committed already stays."""
        async with self._database.begin() as connection:
            called = await read_called(connection, ref, lock=True)
            if isinstance(called, CallOutcome):
                return called
            if ran is not None and ran.edits:
                returned = await apply_edits(connection, called.agent, returned, ran.edits)
            return await commit(connection, called, returned)


async def _call(connection: AsyncConnection, called: CalledTool) -> ToolReturn:
    """What comes of a call, which is not made when rules forbid it or want approval first."""
    agent, call = called.agent, called.call
    if (refused := refusal(called)) is not None:
        return refused
    began_ns = time.monotonic_ns()
    status: Literal["success", "error"] = "success"
    try:
        caller = Caller(agent, AgentMemory(connection, agent))
        content = await BUILT_IN_TOOLS[call.name](caller, dict(arguments_of(call)))
    except ToolFailed as error:
        status, content = "error", error.message
    return ToolReturn(
        tool_call_id=call.id,
        name=call.name,
        status=status,
        content=storable(content),
        duration_ns=time.monotonic_ns() - began_ns,
    )
