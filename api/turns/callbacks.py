"""Runs that somebody wants a callback for: it starts as soon as they are finished."""

import asyncio
import logging

from sqlalchemy.exc import SQLAlchemyError
from temporalio.client import Client
from temporalio.exceptions import TemporalError

from api.answers.watch import RunWatcher
from o.domain.runs import Run
from o.errors import OError
from o.temporal.conversations import start_callback
from o.temporal.failures import facts_of

_log = logging.getLogger(__name__)
_IDLE_S = 60.0  # thousands may wait, and none of them has anything to do in between


class Callbacks:
    """Follows runs to their end. What it does not live to see, the sweeper finds."""

    def __init__(self, temporal: Client, watcher: RunWatcher, task_queue: str) -> None:
        self._temporal = temporal
        self._watcher = watcher
        self._task_queue = task_queue
        self._following: dict[str, asyncio.Task[None]] = {}

    def expect(self, run: Run) -> None:
        """Start the run's callback when it is finished, if it has one that is not sent."""
        if run.callback_url is None or run.callback_sent_at is not None:
            return
        if run.id not in self._following:
            task = asyncio.create_task(self._follow(run.id, run.agent_id))
            self._following[run.id] = task
            task.add_done_callback(lambda _: self._following.pop(run.id))

    async def _follow(self, run_id: str, agent_id: str) -> None:
        try:
            async for _ in self._watcher.follow(run_id, idle_s=_IDLE_S):
                pass
            await start_callback(self._temporal, self._task_queue, run_id, agent_id=agent_id)
        except (OError, SQLAlchemyError, TemporalError, RuntimeError) as error:
            _log.warning(
                "callback was not started; the sweeper will",
                extra={"run_id": run_id, **facts_of(error)},
            )
