"""What the sweeper does for approval requests: denies late ones, and has Temporal show the rest."""

import asyncio
import itertools
import logging

from sqlalchemy.exc import SQLAlchemyError
from temporalio.client import Client
from temporalio.exceptions import TemporalError

from activities.pending import shown_request
from o.domain.approvals import Approval
from o.domain.messages import Decision
from o.domain.runs import RunOptions
from o.errors import OError, Unreadable
from o.ids import derived_id
from o.storage.approvals import (
    EXPIRY,
    Answer,
    answer_approval,
    conversations_that_wait,
    list_expired_approvals,
    sample_pending_approvals,
)
from o.storage.database import Database
from o.storage.turn.accepting import NewRun
from o.storage.turn.cancelling import cancel_pending
from o.storage.turn.runs import RunOfAgent, list_runs_in_line
from o.temporal.conversations import (
    list_shown_waiting,
    refresh,
    show_pending,
    shown_waiting_among,
    submit_run,
)
from o.temporal.failures import facts_of
from workflows import contract

_log = logging.getLogger(__name__)
_SHOWN_AT_ONCE = 20
_SUBMIT_TIMEOUT_S = 5.0
_COMPARED_A_LOOK = 100
_REFRESHED_AT_ONCE = 10
_REFRESH_TIMEOUT_S = 5.0
_REFRESH_EVERY = 5
"""Sweeps between looks at what Temporal shows to wait."""
_LATE = "Nobody answered the approval request in time."


class ApprovalSweeper:
    """Looks after approval requests that wait."""

    def __init__(
        self, database: Database, client: Client, task_queue: str, *, older_than_s: float
    ) -> None:
        self._database = database
        self._client = client
        self._task_queue = task_queue
        self._older_than_s = older_than_s
        self._sweeps = itertools.count()
        self._next_page: bytes | None = None

    async def sweep_late(self) -> int:
        """Deny what nobody has answered in time; answers how many were late."""
        async with self._database.connect() as connection:
            late, unreadable = await list_expired_approvals(connection)
        for approval in late:
            await self._expire(approval)
        for approval_id in unreadable:
            await self._close_unreadable(approval_id)
        return len(late) + len(unreadable)

    async def sweep_shown(self) -> None:
        """Have Temporal show what waits, and nothing else."""
        sample = await self._show()
        if next(self._sweeps) % _REFRESH_EVERY == 0:
            await self._refresh(sample)

    async def _expire(self, approval: Approval) -> None:
        """Deny what nobody has answered; the agent goes on with that."""
        run_id = derived_id("run", approval.id, EXPIRY)
        new = NewRun(
            id=run_id,
            request_key=run_id,
            body_hash="",
            input=[],
            options=RunOptions(run_type=EXPIRY, background=True),
        )
        denied = [Decision(tool_call_id=approval.id, approve=False, reason=_LATE)]
        try:
            async with self._database.begin() as connection:
                answer = Answer(denied, EXPIRY)
                await answer_approval(connection, approval.conversation_id, answer, new)
                found, _ = await list_runs_in_line(connection, approval.conversation_id, limit=1)
        except (OError, SQLAlchemyError) as error:  # it was answered a moment ago, say
            facts = {"approval_id": approval.id, "error": type(error).__name__}
            _log.info("approval did not expire", extra=facts)
            return
        _log.info("approval expired", extra={"approval_id": approval.id, "run_id": run_id})
        for first in found:
            await self._submit(first)

    async def _close_unreadable(self, approval_id: str) -> None:
        """Have the conversation go on without what was asked: nobody could answer it."""
        facts = {"approval_id": approval_id}
        try:
            async with self._database.begin() as connection:
                run = await cancel_pending(connection, approval_id)
        except (OError, SQLAlchemyError) as error:
            _log.error("approval cannot be read", extra=facts | {"error": type(error).__name__})
            return
        _log.error("approval that cannot be read was cancelled", extra=facts)
        if run is not None:
            await self._refresh_one(run.conversation_id, asyncio.Semaphore())

    async def _submit(self, first: RunOfAgent) -> None:
        """Have the agent go on at once. An execution that cannot is found by the next sweeps."""
        try:
            async with asyncio.timeout(_SUBMIT_TIMEOUT_S):
                await submit_run(
                    self._client,
                    self._task_queue,
                    first.run,
                    agent_name=first.agent_name,
                    model=first.model,
                )
        except (TimeoutError, TemporalError) as error:
            facts = {"run_id": first.run.id, **facts_of(error)}
            _log.warning("conversation was not notified of an expiry; it will be", extra=facts)

    async def _show(self) -> set[str]:
        """Make sure that Temporal knows of what waits, a few requests each time.

        An execution may have been terminated, or Temporal have lost its database; without one,
        nobody could decide from Temporal's UI.

        Returns:
            The conversations that were looked at.
        """
        async with self._database.connect() as connection:
            sample = await sample_pending_approvals(
                connection, older_than_s=self._older_than_s, limit=_SHOWN_AT_ONCE
            )
            shown: list[tuple[Approval, str, contract.PendingApproval]] = []
            for approval, name in sample:
                try:
                    request = await shown_request(connection, approval)
                except Unreadable as error:
                    _log.error("approval cannot be shown", extra={"error": error.message})
                else:
                    shown.append((approval, name, request))
        for approval, name, request in shown:
            try:
                async with asyncio.timeout(_SUBMIT_TIMEOUT_S):
                    await show_pending(self._client, self._task_queue, approval, request, name)
            except (TimeoutError, TemporalError) as error:
                facts = {"approval_id": approval.id, **facts_of(error)}
                _log.warning("approval could not be shown", extra=facts)
        return {approval.conversation_id for approval, _, _ in shown}

    async def _refresh(self, sample: set[str]) -> None:
        """Make sure that Temporal shows what waits, some of it each time, and nothing else.

        A request may have been cancelled by an API that died before it notified the conversation.
        """
        token, self._next_page = self._next_page, None
        shown, self._next_page = await list_shown_waiting(
            self._client, self._task_queue, limit=_COMPARED_A_LOOK, page=token
        )
        hidden = sample - await shown_waiting_among(self._client, self._task_queue, sample)
        async with self._database.connect() as connection:
            waiting = await conversations_that_wait(connection, shown)
        limit = asyncio.Semaphore(_REFRESHED_AT_ONCE)
        differing = (set(shown) - waiting) | hidden
        await asyncio.gather(*(self._refresh_one(one, limit) for one in differing))

    async def _refresh_one(self, conversation_id: str, limit: asyncio.Semaphore) -> None:
        try:
            async with limit, asyncio.timeout(_REFRESH_TIMEOUT_S):
                await refresh(self._client, conversation_id)
        except (TimeoutError, TemporalError) as error:  # the others do not wait
            facts = {"conversation_id": conversation_id, **facts_of(error)}
            _log.warning("conversation was not refreshed; it will be", extra=facts)
