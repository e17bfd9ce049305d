"""What goes for good: agents and conversations that were deleted, events and places that are old.

Nobody waits for any of it, and it may take long, so it has a round of its own beside the rescue of
lost runs.
"""

import asyncio
import logging

from sqlalchemy.exc import SQLAlchemyError
from temporalio.client import Client
from temporalio.exceptions import TemporalError

from o.storage.database import Database
from o.storage.deleted_rows import purge_deleted_rows
from o.storage.purges import Deleted, list_deleted, purge
from o.storage.runs import purge_events
from o.storage.step_traces import purge_traces
from o.storage.worker_requests import purge_worker_requests
from o.temporal.conversations import close

_log = logging.getLogger(__name__)
_DELETED_A_SWEEP = 50
_PURGE_TIMEOUT_S = 300.0
_EVENT_BATCHES_A_SWEEP = 20
_RUNS_A_BATCH = 50
_PLACE_BATCHES_A_SWEEP = 20
_PLACES_A_BATCH = 1_000
_TRACE_BATCHES_A_SWEEP = 20
_TRACES_A_BATCH = 100
_REQUEST_RETENTION_H = 1
_REQUESTS_A_BATCH = 1_000


class PurgeSweeper:
    """Purges some of what is to go each time, so that what cannot go keeps nothing else."""

    def __init__(
        self, database: Database, client: Client, *, event_retention_h: int, trace_retention_h: int
    ) -> None:
        self._database = database
        self._client = client
        self._event_retention_h = event_retention_h
        self._trace_retention_h = trace_retention_h

    async def sweep_deleted(self) -> None:
        """Purge agents and conversations that are marked deleted."""
        async with self._database.connect() as connection:
            deleted = await list_deleted(connection, limit=_DELETED_A_SWEEP)
        for gone in deleted:
            try:
                async with asyncio.timeout(_PURGE_TIMEOUT_S):
                    await self._purge(gone)
            except (TimeoutError, TemporalError, SQLAlchemyError) as error:
                facts = {"id": gone.id, "error": type(error).__name__}
                _log.warning("deleted rows could not be purged", extra=facts)
            else:
                _log.info("deleted rows purged", extra={"id": gone.id})

    async def _purge(self, deleted: Deleted) -> None:
        for conversation_id in deleted.conversation_ids:
            await close(self._client, conversation_id)
        async with self._database.begin() as connection:
            await purge(connection, deleted)

    async def sweep_events(self) -> None:
        """In small batches, so that nobody waits for a long transaction's locks."""
        for _ in range(_EVENT_BATCHES_A_SWEEP):
            async with self._database.begin() as connection:
                purged = await purge_events(
                    connection, retention_h=self._event_retention_h, limit=_RUNS_A_BATCH
                )
            if purged:
                _log.info("old events purged", extra={"runs": purged})
            if purged < _RUNS_A_BATCH:
                return

    async def sweep_places(self) -> None:
        """Forget where rows stood that were deleted long ago, in small batches as well."""
        for _ in range(_PLACE_BATCHES_A_SWEEP):
            async with self._database.begin() as connection:
                purged = await purge_deleted_rows(connection, limit=_PLACES_A_BATCH)
            if purged < _PLACES_A_BATCH:
                return

    async def sweep_traces(self) -> None:
        """Remove traces that are old, in small batches as well: each holds much text."""
        for _ in range(_TRACE_BATCHES_A_SWEEP):
            async with self._database.begin() as connection:
                purged = await purge_traces(
                    connection, retention_h=self._trace_retention_h, limit=_TRACES_A_BATCH
                )
            if purged < _TRACES_A_BATCH:
                return

    async def sweep_requests(self) -> None:
        """Remove what the API asked of workers, once nobody can be waiting for it."""
        async with self._database.begin() as connection:
            await purge_worker_requests(
                connection, retention_h=_REQUEST_RETENTION_H, limit=_REQUESTS_A_BATCH
            )
