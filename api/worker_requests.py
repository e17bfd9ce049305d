"""Asks workers for what the API does not do: run code of others, reach servers of others."""

import asyncio
import logging
import time
from contextlib import suppress
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import TemporalError
from temporalio.service import RPCError

from o import errors
from o.errors import ModelError, OError, Unavailable
from o.ids import new_id
from o.secrets import Keyring
from o.storage.database import Database, with_patience
from o.storage.worker_requests import WorkerRequest, add_worker_request, worker_result
from o.temporal.worker_requests import start_request

_log = logging.getLogger(__name__)
_LOOK_S = 1.0
_GRACE_S = 5.0


class WorkerRequests:
    """What this API asks of the workers. What nobody waits for any more is purged."""

    def __init__(
        self, database: Database, temporal: Client, keyring: Keyring, task_queue: str
    ) -> None:
        self._database = database
        self._temporal = temporal
        self._keyring = keyring
        self._task_queue = task_queue

    async def ask(
        self, organization_id: str, kind: str, request: dict[str, Any], *, timeout_s: float
    ) -> dict[str, Any]:
        """What a worker answers. No transaction is to be open meanwhile.

        Args:
            organization_id: For whom.
            kind: What; `o.storage.worker_requests` says which there are.
            request: JSON, stored encrypted for an hour, as is the answer.
            timeout_s: How long the worker has. It is asked to stop after that.

        Raises:
            OError: What the worker raised.
            Unavailable: No worker answered in time, or Temporal is away.
        """
        handle = await self._start(organization_id, kind, request, timeout_s)
        result = await self._result(handle, time.monotonic() + timeout_s + _GRACE_S)
        if (error := result.get("error")) is not None:
            raise _error(error)
        answer: dict[str, Any] = result["answer"]
        return answer

    async def hand_over(
        self, organization_id: str, kind: str, request: dict[str, Any], *, timeout_s: float
    ) -> None:
        """Have a worker do something that nobody waits for, and that can be done later as well.

        It does not raise where that cannot be asked for now.
        """
        try:
            await self._start(organization_id, kind, request, timeout_s)
        except (OError, SQLAlchemyError) as error:
            facts = {"kind": kind, "error": type(error).__name__}
            _log.warning("a worker could not be asked", extra=facts)

    async def _start(
        self, organization_id: str, kind: str, request: dict[str, Any], timeout_s: float
    ) -> WorkflowHandle[Any, None]:
        stored = WorkerRequest(new_id("request"), organization_id, kind, request)
        async with self._database.connect() as connection:
            await add_worker_request(connection, self._keyring, stored)
        try:
            return await start_request(
                self._temporal, self._task_queue, stored.id, kind, timeout_s=timeout_s
            )
        except RPCError:
            raise Unavailable("Temporal is away, so that no worker can be asked.") from None

    async def _result(self, handle: WorkflowHandle[Any, None], deadline: float) -> dict[str, Any]:
        """The result as the database has it; Temporal only tells when to look."""
        ending = asyncio.create_task(_end(handle))
        try:
            while True:
                is_over = ending.done()
                result = await with_patience(
                    lambda: self._stored(handle.id), patience_s=deadline - time.monotonic()
                )
                if result is not None:
                    return result
                if is_over and ending.result():
                    raise Unavailable("The worker that was asked could not do it; ask again later.")
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    raise Unavailable("No worker has answered in time.")
                await asyncio.wait({ending}, timeout=min(left_s, _LOOK_S))
                if ending.done() and not ending.result():  # Temporal was away
                    await asyncio.sleep(min(left_s, _LOOK_S))
                    ending = asyncio.create_task(_end(handle))
        finally:
            if not ending.done():  # nobody waits any more: what runs is to end
                ending.cancel()
                with suppress(TemporalError, RuntimeError):
                    await asyncio.shield(handle.cancel())

    async def _stored(self, request_id: str) -> dict[str, Any] | None:
        async with self._database.connect() as connection:
            return await worker_result(connection, self._keyring, request_id)


async def _end(handle: WorkflowHandle[Any, None]) -> bool:
    """Wait for the end of a request; False when Temporal could not tell of it."""
    try:
        await handle.result()
    except WorkflowFailureError:
        return True
    except (TemporalError, RuntimeError):
        return False
    return True


def _error(stored: dict[str, Any]) -> OError:
    """What a worker raised, as one of ours."""
    if stored["type"] == "ModelError":
        given = {name: stored[name] for name in ("detail", "status") if name in stored}
        return ModelError(stored.get("kind", "llm_error"), stored["message"], **given)
    kind = getattr(errors, stored["type"], OError)
    try:
        found: OError = kind(stored["message"])
    except TypeError:  # one that takes more than words
        return OError(stored["message"])
    return found
