"""The sweeper: hands lost runs to a live execution, purges deleted agents and old events.

The API may die before its update, Temporal may lose its database, an execution may be
terminated: what is open in PostgreSQL is carried on all the same.
"""

import asyncio
import logging
from collections import defaultdict
from enum import Enum, auto

from sqlalchemy import text
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.exceptions import TemporalError
from temporalio.service import RPCError, RPCStatusCode

from o.domain.runs import RunStatus
from o.storage.approvals import conversations_that_wait
from o.storage.callbacks import list_due_callbacks
from o.storage.database import Database
from o.storage.purges import Deleted, list_deleted, purge
from o.storage.runs import purge_events
from o.storage.turn.cancelling import list_cancelled_lately
from o.storage.turn.runs import RunOfAgent, list_open_runs
from o.temporal.conversations import close, start_callback, submit_run, tell_cancelled
from server.sweep.approvals import ApprovalSweeper

_log = logging.getLogger(__name__)
_LOCK = 0x6F5F7377  # "o_sw": one worker sweeps at a time
_CONVERSATIONS_AT_ONCE = 10
_RESCUE_TIMEOUT_S = 10.0
_RUNS_PURGED_AT_ONCE = 50
_PURGES_A_SWEEP = 20
_CALLBACKS_A_SWEEP = 50
_HOPELESS_ATTEMPTS = 4
"""Tries at a workflow task, about 15 s, after which a new execution will do what it cannot."""


class Standing(Enum):
    """How an execution stands: it has something in hand, nothing, cannot go on, or is not there."""

    BUSY = auto()
    IDLE = auto()
    STUCK = auto()
    GONE = auto()


class Sweeper:
    """Looks for what was lost, every few seconds."""

    def __init__(
        self,
        database: Database,
        client: Client,
        task_queue: str,
        *,
        interval_s: float,
        event_retention_h: int,
    ) -> None:
        self._database = database
        self._client = client
        self._task_queue = task_queue
        self._interval_s = interval_s
        self._event_retention_h = event_retention_h
        self._approvals = ApprovalSweeper(database, client, task_queue, older_than_s=interval_s)

    async def run(self) -> None:
        """Sweep until cancelled. A part that is away is tried again next time."""
        while True:
            try:
                await self._sweep_alone()
            except Exception as error:  # the top of a background job, which must never end
                _log.warning("sweep failed", extra={"error": type(error).__name__})
            await asyncio.sleep(self._interval_s)

    async def sweep(self) -> int:
        """Look once.

        Returns:
            How many runs were submitted again.
        """
        async with self._database.connect() as connection:
            candidates = await list_open_runs(connection, older_than_s=self._interval_s)
            open_ids = {one.run.conversation_id for one in candidates}
            waiting = await conversations_that_wait(connection, open_ids)
            deleted = await list_deleted(connection)
        for gone in deleted:
            await self._purge(gone)
        limit = asyncio.Semaphore(_CONVERSATIONS_AT_ONCE)

        async def rescue(conversation_id: str, runs: list[RunOfAgent]) -> int:
            try:
                async with limit, asyncio.timeout(_RESCUE_TIMEOUT_S):
                    is_waiting = conversation_id in waiting
                    return await self._rescue(conversation_id, runs, is_waiting=is_waiting)
            except (TimeoutError, TemporalError) as error:  # the others are not kept waiting
                facts = {"conversation_id": conversation_id, "error": type(error).__name__}
                _log.warning("conversation could not be rescued", extra=facts)
                return 0

        by_conversation: defaultdict[str, list[RunOfAgent]] = defaultdict(list)
        for one in candidates:
            by_conversation[one.run.conversation_id].append(one)
        rescued = sum(await asyncio.gather(*(rescue(*lost) for lost in by_conversation.items())))
        await self._approvals.sweep()
        await self._start_callbacks()
        await self._purge_events()
        return rescued

    async def _sweep_alone(self) -> None:
        async with self._database.begin() as connection:
            took = text("SELECT pg_try_advisory_xact_lock(:key)")
            if await connection.scalar(took, {"key": _LOCK}):
                await self.sweep()

    async def _rescue(
        self, conversation_id: str, runs: list[RunOfAgent], *, is_waiting: bool
    ) -> int:
        """Submit the runs of a conversation that nobody works at, oldest first.

        Where an approval request is waited for, runs are meant to lie there.
        """
        standing = await self._standing(conversation_id)
        if standing is Standing.BUSY:
            if not any(one.run.status is RunStatus.RUNNING for one in runs):
                await self._stop_cancelled(conversation_id)
            return 0
        if is_waiting and standing is Standing.IDLE:
            return 0
        if standing is Standing.STUCK:
            _log.error("stuck execution replaced", extra={"conversation_id": conversation_id})
            await self._client.get_workflow_handle(conversation_id).terminate("stuck: see the log")
        for one in runs:
            _log.warning("lost run submitted again", extra={"run_id": one.run.id})
            await submit_run(
                self._client,
                self._task_queue,
                one.run,
                agent_name=one.agent_name,
                model=one.model,
            )
        return len(runs)

    async def _stop_cancelled(self, conversation_id: str) -> None:
        """What is being worked at is not one of the open runs, which wait for it.

        It may be a model call for a run whose cancel was stored by an API that died before it
        told the conversation.
        """
        async with self._database.connect() as connection:
            cancelled = await list_cancelled_lately(connection, conversation_id)
        if cancelled:
            await tell_cancelled(self._client, conversation_id, cancelled)

    async def _standing(self, conversation_id: str) -> Standing:
        """How the conversation's execution stands, as the server knows it.

        The workflow itself is not asked: under load, a history was seen that does not replay
        beside a query that had raced with the end of an activity.
        """
        try:
            found = await self._client.get_workflow_handle(conversation_id).describe()
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            return Standing.GONE
        if found.status is not WorkflowExecutionStatus.RUNNING:
            return Standing.GONE
        if found.raw_description.pending_workflow_task.attempt >= _HOPELESS_ATTEMPTS:
            return Standing.STUCK
        in_hand = found.raw_description.HasField("pending_workflow_task")
        return (
            Standing.BUSY if in_hand or found.raw_description.pending_activities else Standing.IDLE
        )

    async def _start_callbacks(self) -> None:
        """Start those that are due; whoever accepted the run may have died before its end."""
        async with self._database.connect() as connection:
            due = await list_due_callbacks(connection, limit=_CALLBACKS_A_SWEEP)
        for run_id, agent_id in due:
            await start_callback(self._client, self._task_queue, run_id, agent_id=agent_id)

    async def _purge_events(self) -> None:
        """In small batches, so that nobody waits for a long transaction's locks."""
        for _ in range(_PURGES_A_SWEEP):
            async with self._database.begin() as connection:
                purged = await purge_events(
                    connection, retention_h=self._event_retention_h, limit=_RUNS_PURGED_AT_ONCE
                )
            if purged:
                _log.info("old events purged", extra={"runs": purged})
            if purged < _RUNS_PURGED_AT_ONCE:
                return

    async def _purge(self, deleted: Deleted) -> None:
        for conversation_id in deleted.conversation_ids:
            await close(self._client, conversation_id)
        async with self._database.begin() as connection:
            await purge(connection, deleted)
        _log.info("deleted rows purged", extra={"id": deleted.id})
