"""Lost runs: what is open in PostgreSQL and has no live execution is handed to one.

The API may die before its signal, Temporal may lose its database, an execution may be
terminated: what is open is carried on all the same.
"""

import asyncio
import logging

from sqlalchemy.exc import SQLAlchemyError
from temporalio.client import Client
from temporalio.exceptions import TemporalError

from o.errors import OError
from o.storage.database import Database
from o.storage.turn.cancelling import list_cancelled_lately
from o.storage.turn.closing import close_unreadable_run
from o.storage.turn.open_runs import OpenConversation, list_open_conversations
from o.storage.turn.runs import RunOfAgent, list_runs_in_line
from o.temporal.conversations import stop_cancelled, submit_run
from o.temporal.failures import facts_of
from server.sweep.executions import Standing, end_stuck, find_execution

_log = logging.getLogger(__name__)
_CONVERSATIONS_A_SWEEP = 500
_CONVERSATIONS_AT_ONCE = 10
_RUNS_A_CONVERSATION = 20
_RESCUE_TIMEOUT_S = 10.0


class RunSweeper:
    """Looks at the conversations that have open runs, some each time, in turn."""

    def __init__(
        self, database: Database, client: Client, task_queue: str, *, older_than_s: float
    ) -> None:
        self._database = database
        self._client = client
        self._task_queue = task_queue
        self._older_than_s = older_than_s
        self._after = ""

    async def sweep(self) -> int:
        """Look at the next conversations.

        Returns:
            How many runs were submitted again.
        """
        async with self._database.connect() as connection:
            page = await list_open_conversations(
                connection,
                older_than_s=self._older_than_s,
                after=self._after,
                limit=_CONVERSATIONS_A_SWEEP,
            )
        # Whatever becomes of these, the next sweep looks at others.
        self._after = page[-1].id if len(page) == _CONVERSATIONS_A_SWEEP else ""
        limit = asyncio.Semaphore(_CONVERSATIONS_AT_ONCE)

        async def rescue(conversation: OpenConversation) -> int:
            try:
                async with limit, asyncio.timeout(_RESCUE_TIMEOUT_S):
                    return await self._rescue(conversation)
            # The others are not kept: whatever leaves here, nobody waits for them any more.
            except (TimeoutError, TemporalError, OError, SQLAlchemyError) as error:
                facts = {"conversation_id": conversation.id, **facts_of(error)}
                _log.warning("conversation could not be rescued", extra=facts)
                return 0

        return sum(await asyncio.gather(*(rescue(one) for one in page if one.is_due)))

    async def _rescue(self, conversation: OpenConversation) -> int:
        """Submit the runs of a conversation that nobody works at, those first whose turn it is.

        Where an approval request is waited for, runs are meant to lie there.
        """
        execution = await find_execution(self._client, conversation.id)
        if execution.standing is Standing.BUSY:
            # Else it would have more cancels to go through with each look, and come to nothing.
            if execution.is_at_work and not conversation.has_begun:
                await self._stop_cancelled(conversation.id)
            return 0
        if conversation.waits and execution.standing is Standing.IDLE:
            return 0
        if execution.standing is Standing.STUCK:
            await end_stuck(self._client, conversation.id, execution.run_id)
        lost = await self._in_line(conversation.id)
        for one in lost:
            await self._submit(one)
        return len(lost)

    async def _in_line(self, conversation_id: str) -> list[RunOfAgent]:
        """The next runs; what cannot be read is closed, so that the others come to their turns."""
        async with self._database.begin() as connection:
            found, unreadable = await list_runs_in_line(
                connection, conversation_id, limit=_RUNS_A_CONVERSATION
            )
            for run_id in unreadable:
                await close_unreadable_run(connection, run_id)
        for run_id in unreadable:
            _log.error("run that cannot be read was closed", extra={"run_id": run_id})
        return found

    async def _submit(self, one: RunOfAgent) -> None:
        _log.warning("lost run submitted again", extra={"run_id": one.run.id})
        await submit_run(
            self._client,
            self._task_queue,
            one.run,
            agent_name=one.agent_name,
            model=one.model,
        )

    async def _stop_cancelled(self, conversation_id: str) -> None:
        """What is being worked at is not one of the open runs, which wait for it.

        It may be a model call for a run whose cancel was stored by an API that died before it
        told the conversation.
        """
        async with self._database.connect() as connection:
            cancelled = await list_cancelled_lately(connection, conversation_id)
        if cancelled:
            await stop_cancelled(self._client, conversation_id, cancelled)
