"""Activities that run the tools which a step asked for."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio import activity

from activities.errors import as_activity_failure
from activities.heartbeat import heartbeating
from activities.runners.outside_calls import apply_edits, call_outside
from activities.tool_call import (
    CalledTool,
    arguments_of,
    commit,
    commit_alone,
    read_called,
    read_called_locked,
    refusal,
)
from o.domain.archives import Archive
from o.domain.messages import ToolReturn
from o.domain.text import storable
from o.errors import ToolFailed
from o.metrics.measures import TOOL_CALLS, Stopwatch
from o.storage.agents.agent_memory import AgentMemory
from o.storage.database import KEPT_S, Database, with_patience
from o.tools.invocation import EditedBlock, Returned, ToolRunner
from o.tools.registry import BUILT_IN_TOOLS
from o.tools.tool import Caller
from workflows.contract import CallOutcome, CallRef

EmbedSoon = Callable[[Archive], None]


class ToolActivities:
    """Runs one tool call and commits its return."""

    def __init__(
        self,
        database: Database,
        runners: Mapping[str, ToolRunner],
        *,
        enforce_block_limit: bool = False,
        embed_soon: EmbedSoon = lambda archive: None,
    ) -> None:
        """Nothing is run yet.

        Args:
            database: Where calls and returns are.
            runners: Of tools that work outside of transactions: by the name of a tool that comes
                with the server, else by `StoredTool.tool_type`.
            enforce_block_limit: Whether the limits of blocks hold.
            embed_soon: Is told of an archive that a tool has added to.
        """
        self._database = database
        self._runners = runners
        self._enforces_block_limit = enforce_block_limit
        self._embed_soon = embed_soon

    @activity.defn(name="run_tool")
    async def run_tool(self, call: CallRef) -> CallOutcome:
        """Run call `call.ordinal` of a committed step.

        Safe to retry: a call that has returned is not run again. Effect and return of a memory
        tool are one transaction under the run's lock; any other tool works outside of it, and is
        not called again where it may have run, unless it says that it can be. What goes wrong
        inside a tool is its return.
        """
        watch = Stopwatch()
        with as_activity_failure(), heartbeating():
            if call.name in BUILT_IN_TOOLS and call.name not in self._runners:
                outcome = await self._inside(call)
            else:
                outcome = await self._outside(call)
        watch.note("tool")
        kind = "built_in" if call.name in BUILT_IN_TOOLS else "other"
        TOOL_CALLS.labels(kind, outcome.status).inc()
        activity.logger.info("tool returned", extra={"tool": call.name, "status": outcome.status})
        return outcome

    async def _inside(self, ref: CallRef) -> CallOutcome:
        """In one transaction. A call that may run beside others locks for its return alone."""
        returned: ToolReturn | None = None
        filled: Archive | None = None
        if ref.parallel:
            called = await read_called(self._database, ref)
            if isinstance(called, CallOutcome):
                return called
            async with self._database.connect() as connection:
                returned = await _call(called, self._memory(connection, called))
        async with self._database.begin() as connection:
            called = await read_called_locked(connection, ref)
            if isinstance(called, CallOutcome):
                return called
            if returned is None:
                memory = self._memory(connection, called)
                returned = await _call(called, memory)
                filled = memory.filled
            outcome = await commit(connection, called, returned)
        if filled is not None:
            self._embed_soon(filled)
        return outcome

    async def _outside(self, ref: CallRef) -> CallOutcome:
        """Without a transaction while the tool works; its return is committed as any other's."""
        ran: Returned | None = None
        called = await read_called(self._database, ref)
        if isinstance(called, CallOutcome):
            return called
        returned = refusal(called)
        if returned is None:
            returned, ran = await call_outside(self._database, self._runners, called)
        edits = ran.edits if ran is not None else ()
        return await with_patience(lambda: self._commit(called, returned, edits), patience_s=KEPT_S)

    async def _commit(
        self, called: CalledTool, returned: ToolReturn, edits: Sequence[EditedBlock]
    ) -> CallOutcome:
        """Commit what a tool returned; one that was committed already stays."""
        if not edits and (outcome := await commit_alone(self._database, called, returned)):
            return outcome
        async with self._database.begin() as connection:
            now = await read_called_locked(connection, called.ref)
            if isinstance(now, CallOutcome):
                return now
            if edits:
                returned = await apply_edits(self._memory(connection, now), returned, edits)
            return await commit(connection, now, returned)

    def _memory(self, connection: AsyncConnection, called: CalledTool) -> AgentMemory:
        return AgentMemory(
            connection,
            called.agent,
            tool=called.call.name,
            run_id=called.run.id,
            enforce_limit=self._enforces_block_limit,
        )


async def _call(called: CalledTool, memory: AgentMemory) -> ToolReturn:
    """What comes of a call, which is not made when rules forbid it or want approval first."""
    agent, call = called.agent, called.call
    if (refused := refusal(called)) is not None:
        return refused
    began_ns = time.monotonic_ns()
    status: Literal["success", "error"] = "success"
    try:
        content = await BUILT_IN_TOOLS[call.name](Caller(agent, memory), dict(arguments_of(call)))
    except ToolFailed as error:
        status, content = "error", error.message
    return ToolReturn(
        tool_call_id=call.id,
        name=call.name,
        status=status,
        content=storable(content),
        duration_ns=time.monotonic_ns() - began_ns,
    )
