"""The activity that tells a client's URL of the end of a run, or of a batch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.errors import as_activity_failure
from activities.heartbeat import heartbeating
from o.domain.batches import Batch
from o.domain.runs import Run, RunEvent
from o.outbound import OutboundGuard, connection_failure, is_refusal
from o.storage.batches import get_batch
from o.storage.callbacks import record_callback
from o.storage.database import Database
from o.storage.tables.core import batches, runs
from o.storage.turn.events import list_events, replay_events
from o.storage.turn.runs import get_run
from workflows.contract import CallbackRef

_TIMEOUT = aiohttp.ClientTimeout(total=5.0)
_REFUSED = "The receiver has no public address; an operator may name its own in O_OUTBOUND_ALLOW."

CallbackBody = Callable[[Run, Sequence[RunEvent]], dict[str, Any]]
"""Spells what is sent, from a finished run and its log."""
BatchCallbackBody = Callable[[Batch], dict[str, Any]]
"""The same from a batch whose runs are finished."""


@dataclass(frozen=True)
class _Due:
    """What is to be sent where."""

    url: str
    body: dict[str, Any]


@dataclass(frozen=True)
class _Try:
    """How a POST went; without an error it was received. A final one is not worth another try."""

    status_code: int | None = None
    error: str | None = None
    is_final: bool = False


class CallbackActivities:
    """Telling clients of runs and batches."""

    def __init__(
        self,
        database: Database,
        body: CallbackBody,
        batch_body: BatchCallbackBody,
        outbound: OutboundGuard,
        *,
        attempts: int,
    ) -> None:
        self._database = database
        self._body = body
        self._batch_body = batch_body
        self._outbound = outbound
        self._attempts = attempts

    @activity.defn(name="send_callback")
    async def send_callback(self, callback: CallbackRef) -> None:
        """POST to the callback URL once, and keep how it went.

        Any 2xx will do; redirects are not followed. Safe to retry: a callback that was sent or
        given up is left alone, and the receiver may hear the same twice, with the same id.

        Raises:
            ApplicationError: It was not received; final after the last try.
        """
        with as_activity_failure(), heartbeating():
            async with self._database.connect() as connection:
                of_batch = bool(callback.batch_id)
                look = self._due_of_batch if of_batch else self._due_of_run
                due = await look(connection, callback)
            if due is None:
                return
            tried = await self._post(due.url, due.body)
            is_last = tried.is_final or activity.info().attempt >= self._attempts
            async with self._database.connect() as connection:
                await record_callback(
                    connection,
                    batches if of_batch else runs,
                    callback.batch_id or callback.run_id,
                    status_code=tried.status_code,
                    error=tried.error,
                    is_over=tried.error is None or is_last,
                )
        whose = {"batch_id": callback.batch_id} if of_batch else {"run_id": callback.run_id}
        facts = {**whose, "status": tried.status_code, "error": tried.error}
        activity.logger.info("callback tried", extra=facts)
        if tried.error is not None:
            raise ApplicationError(tried.error, type="CallbackFailed", non_retryable=is_last)

    async def _due_of_run(self, connection: AsyncConnection, callback: CallbackRef) -> _Due | None:
        run = await get_run(connection, callback.run_id)
        if run is None or run.status.is_open or run.callback_sent_at is not None:
            return None
        events = await list_events(connection, run.id)
        body = self._body(run, events or await replay_events(connection, run))
        return _Due(run.callback_url or "", body)

    async def _due_of_batch(
        self, connection: AsyncConnection, callback: CallbackRef
    ) -> _Due | None:
        batch = await get_batch(connection, callback.batch_id)
        if batch is None or batch.is_open or batch.callback_sent_at is not None:
            return None
        return _Due(batch.callback_url or "", self._batch_body(batch))

    async def _post(self, url: str, body: dict[str, Any]) -> _Try:
        """One POST. What went wrong is said without the URL, which may hold a secret."""
        connector = self._outbound.connector(url)
        try:
            async with (
                aiohttp.ClientSession(timeout=_TIMEOUT, connector=connector) as session,
                session.post(url, json=body, allow_redirects=False) as answer,
            ):
                if 200 <= answer.status < 300:
                    return _Try(answer.status)
                return _Try(answer.status, f"The receiver answered {answer.status}.")
        except (TimeoutError, aiohttp.ClientError, ValueError) as error:
            return await self._failed(url, error)

    async def _failed(self, url: str, error: Exception) -> _Try:
        """Why nothing answered."""
        if isinstance(error, TimeoutError):
            return _Try(error="The receiver did not answer within 5 seconds.")
        # The error is that of one address. Another one of the host may answer later.
        if is_refusal(error) and await self._outbound.refusal(url) is not None:
            return _Try(error=_REFUSED, is_final=True)
        if isinstance(error, aiohttp.ClientOSError):
            return _Try(error=f"The receiver could not be reached: {connection_failure(error)}.")
        return _Try(error=f"The receiver could not be asked: {type(error).__name__}.")
