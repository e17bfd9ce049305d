"""The activity that does what the API asks: what may run code of others, or reach other servers."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.errors import AlreadyStarted, as_activity_failure
from activities.heartbeat import heartbeating
from o.errors import ModelError, OError
from o.secrets import Keyring, SecretUnreadable
from o.storage.database import Database, with_patience
from o.storage.worker_requests import (
    WorkerRequest,
    finish_worker_request,
    get_worker_request,
    start_worker_request,
)
from workflows.contract import RequestRef


@dataclass(frozen=True)
class Asked:
    """A request as its handler gets it.

    Attributes:
        id: The same for every attempt, and for no other request.
        is_started: Whether an attempt before this one has called `before_sending`, so that it may
            have had its effect.
        before_sending: To be called before anything can have an effect that must not come twice.
            Raises `AlreadyStarted`, where an attempt at the same time was first.
    """

    id: str
    organization_id: str
    request: Mapping[str, Any]
    is_started: bool
    before_sending: Callable[[], Awaitable[None]]

    def starting(self, *, repeats: bool) -> Callable[[], Awaitable[None]]:
        """What is to be called before anything is sent; nothing to record where it was before.

        Args:
            repeats: Whether a second time does no harm.

        Raises:
            AlreadyStarted: It was begun before, and a second time may do harm.
        """
        if not self.is_started:
            return self.before_sending
        if not repeats:
            raise AlreadyStarted
        return _nothing


async def _nothing() -> None:
    """It was recorded by the attempt before."""


Handler = Callable[[Asked], Awaitable[dict[str, Any]]]
"""Carries out requests of one kind; an `OError` that it raises is raised in the API again."""


class WorkerRequestActivities:
    """Carries out what the API asks of workers."""

    def __init__(
        self, database: Database, keyring: Keyring, handlers: Mapping[str, Handler]
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._handlers = handlers

    @activity.defn(name="serve_request")
    async def serve_request(self, ref: RequestRef) -> None:
        """Carry out one request and keep what came of it.

        Safe to retry: one that has a result is left alone, and a handler is told whether an
        earlier attempt may have had an effect.
        """
        with as_activity_failure(), heartbeating():
            request = await self._read(ref)
            if request is None or request.result is not None:
                return
            result = await self._serve(request)
            await with_patience(lambda: self._finish(ref, result), patience_s=ref.timeout_s)
        facts = {"kind": ref.kind, "error": result["error"] and result["error"]["type"]}
        activity.logger.info("request of the API served", extra=facts)

    async def _finish(self, ref: RequestRef, result: dict[str, Any]) -> None:
        async with self._database.connect() as connection:
            await finish_worker_request(connection, self._keyring, ref.id, result)

    async def _read(self, ref: RequestRef) -> WorkerRequest | None:
        async with self._database.connect() as connection:
            try:
                return await get_worker_request(connection, self._keyring, ref.id)
            except SecretUnreadable as error:
                raise ApplicationError(str(error), type="SecretUnreadable") from None

    async def _serve(self, request: WorkerRequest) -> dict[str, Any]:
        async def start() -> None:
            async with self._database.connect() as connection:
                if not await start_worker_request(connection, request.id):
                    raise AlreadyStarted

        asked = Asked(
            request.id,
            request.organization_id,
            request.request,
            request.is_started,
            start,
        )
        try:
            handler = self._handlers[request.kind]
            return {"answer": await handler(asked), "error": None}
        except OError as error:
            if error.retryable:
                raise
            return {"error": _told(error)}


def _told(error: OError) -> dict[str, Any]:
    """An error as the API reads it; of a model's with what its provider said."""
    told: dict[str, Any] = {"type": type(error).__name__, "message": error.message}
    if isinstance(error, ModelError):
        told |= {"kind": error.kind, "detail": error.detail, "status": error.status}
    return told
