"""Archives whose passages wait for vectors while nobody is at it: whoever was has died."""

import asyncio
import logging
import time

from temporalio.client import Client
from temporalio.exceptions import TemporalError

from o.domain.embedding import embedding_execution
from o.storage.archives.embedding import list_archives_to_embed, take_up_unindexed
from o.storage.database import Database
from o.storage.search.space_index import MANY_VECTORS
from o.temporal.embeddings import start_embedding
from o.temporal.failures import facts_of
from server.sweep.executions import end_if_stuck

_log = logging.getLogger(__name__)
_ARCHIVES_A_SWEEP = 50
_START_S = 5.0
_INDEXES_EVERY_S = 3_600.0
"""It reads all archives, and only a worker that died while it made an index leaves one unmade."""


class EmbeddingSweeper:
    """Starts the embedding of archives that nobody has started."""

    def __init__(
        self,
        database: Database,
        client: Client,
        task_queue: str,
        *,
        has_default: bool,
        older_than_s: float,
    ) -> None:
        self._database = database
        self._client = client
        self._task_queue = task_queue
        self._has_default = has_default
        self._older_than_s = older_than_s
        self._look_for_indexes_at = 0.0

    async def sweep(self) -> None:
        """Look once."""
        async with self._database.connect() as connection:
            if time.monotonic() >= self._look_for_indexes_at:
                await take_up_unindexed(connection, many=MANY_VECTORS)
                self._look_for_indexes_at = time.monotonic() + _INDEXES_EVERY_S
            due = await list_archives_to_embed(
                connection,
                has_default=self._has_default,
                older_than_s=self._older_than_s,
                limit=_ARCHIVES_A_SWEEP,
            )
        for archive_id in due:
            try:
                async with asyncio.timeout(_START_S):
                    await end_if_stuck(self._client, embedding_execution(archive_id))
                    await start_embedding(self._client, self._task_queue, archive_id)
            except (TimeoutError, TemporalError) as error:
                facts = {"archive_id": archive_id, **facts_of(error)}
                _log.warning("embedding could not be started", extra=facts)
