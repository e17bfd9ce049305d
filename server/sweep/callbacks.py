"""Callbacks that are due: whoever accepted the run may have died before its end.

Nobody else looks for the end of a batch, which is that of many runs.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial

from temporalio.client import Client
from temporalio.exceptions import TemporalError

from o.storage.callbacks import list_due_batches, list_due_callbacks
from o.storage.database import Database
from o.temporal.conversations import callback_execution, start_batch_callback, start_callback
from o.temporal.failures import facts_of
from server.sweep.executions import end_if_stuck

_log = logging.getLogger(__name__)
_CALLBACKS_A_SWEEP = 50
_START_TIMEOUT_S = 5.0


class CallbackSweeper:
    """Starts the callbacks of finished runs that nobody has started, and those of batches."""

    def __init__(self, database: Database, client: Client, task_queue: str) -> None:
        self._database = database
        self._client = client
        self._task_queue = task_queue

    async def sweep(self) -> None:
        """Look once."""
        async with self._database.connect() as connection:
            due = await list_due_callbacks(connection, limit=_CALLBACKS_A_SWEEP)
            batches = await list_due_batches(connection, limit=_CALLBACKS_A_SWEEP)
        for run_id, agent_id in due:
            await self._start(run_id, partial(start_callback, agent_id=agent_id))
        for batch_id in batches:
            await self._start(batch_id, start_batch_callback)

    async def _start(self, of: str, start: Callable[[Client, str, str], Awaitable[None]]) -> None:
        workflow_id = callback_execution(of)
        try:
            async with asyncio.timeout(_START_TIMEOUT_S):
                await end_if_stuck(self._client, workflow_id)
                await start(self._client, self._task_queue, of)
        except (TimeoutError, TemporalError) as error:
            facts = {"workflow_id": workflow_id, **facts_of(error)}
            _log.warning("callback could not be started", extra=facts)
