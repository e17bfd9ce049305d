"""What goes for good: agents, conversations, files and archives that were deleted.

Nobody waits for any of it, and it may take long, so it has a round of its own beside the rescue of
lost runs.
"""

import asyncio
import logging

from sqlalchemy.exc import SQLAlchemyError
from temporalio.client import Client
from temporalio.exceptions import TemporalError

from o.storage.agents.block_versions import purge_versions
from o.storage.archives.archives import purge_archives
from o.storage.database import Database
from o.storage.files.files import purge_files
from o.storage.purges import Deleted, list_deleted, purge
from o.temporal.conversations import close
from o.temporal.failures import facts_of

_log = logging.getLogger(__name__)
_DELETED_A_SWEEP = 50
_PURGE_TIMEOUT_S = 300.0
_ARCHIVE_BATCHES_A_SWEEP = 50
_PASSAGES_A_BATCH = 500
_FILE_BATCHES_A_SWEEP = 100
_VERSION_BATCHES_A_SWEEP = 20
_VERSIONS_A_BATCH = 200


class PurgeSweeper:
    """Purges some of what is to go each time, so that what cannot go keeps nothing else."""

    def __init__(
        self,
        database: Database,
        client: Client,
        *,
        block_versions: int,
    ) -> None:
        self._database = database
        self._client = client
        self._block_versions = block_versions

    async def sweep_deleted(self) -> None:
        """Purge agents and conversations that are marked deleted."""
        async with self._database.connect() as connection:
            deleted = await list_deleted(connection, limit=_DELETED_A_SWEEP)
        for gone in deleted:
            try:
                async with asyncio.timeout(_PURGE_TIMEOUT_S):
                    await self._purge(gone)
            except (TimeoutError, TemporalError, SQLAlchemyError) as error:
                facts = {"id": gone.id, **facts_of(error)}
                _log.warning("deleted rows could not be purged", extra=facts)
            else:
                _log.info("deleted rows purged", extra={"id": gone.id})

    async def _purge(self, deleted: Deleted) -> None:
        for conversation_id in deleted.conversation_ids:
            await close(self._client, conversation_id)
        async with self._database.begin() as connection:
            await purge(connection, deleted)

    async def sweep_archives(self) -> None:
        """Remove archives that were deleted, their passages first, in small batches as well."""
        for _ in range(_ARCHIVE_BATCHES_A_SWEEP):
            async with self._database.begin() as connection:
                purged = await purge_archives(connection, limit=_PASSAGES_A_BATCH)
            if not purged:
                return

    async def sweep_files(self) -> None:
        """Remove files that were deleted with what they hold, and folders that have no more."""
        for _ in range(_FILE_BATCHES_A_SWEEP):
            async with self._database.begin() as connection:
                purged = await purge_files(connection, limit=_PASSAGES_A_BATCH)
            if not purged:
                return

    async def sweep_versions(self) -> None:
        """Remove the oldest versions of blocks that were changed very often, in small batches."""
        for _ in range(_VERSION_BATCHES_A_SWEEP):
            async with self._database.begin() as connection:
                purged = await purge_versions(
                    connection, kept=self._block_versions, limit=_VERSIONS_A_BATCH
                )
            if purged < _VERSIONS_A_BATCH:
                return
