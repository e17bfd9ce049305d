"""Files that wait to be read while nobody is at it: whoever was to start it has died."""

import asyncio
import logging

from temporalio.client import Client
from temporalio.exceptions import TemporalError

from o.storage.database import Database
from o.storage.files.ingestion import list_files_to_read
from o.temporal.failures import facts_of
from o.temporal.ingestions import ingestion_execution, start_ingestion
from server.sweep.executions import end_if_stuck

_log = logging.getLogger(__name__)
_FILES_A_SWEEP = 50
_START_S = 5.0


class IngestionSweeper:
    """Starts the reading of files, some each time, in turn; nothing where it has started."""

    def __init__(
        self, database: Database, client: Client, task_queue: str, *, older_than_s: float
    ) -> None:
        self._database = database
        self._client = client
        self._task_queue = task_queue
        self._older_than_s = older_than_s
        self._after = ""

    async def sweep(self) -> None:
        """Look at the next files."""
        async with self._database.connect() as connection:
            due = await list_files_to_read(
                connection,
                older_than_s=self._older_than_s,
                after=self._after,
                limit=_FILES_A_SWEEP,
            )
        # Whatever becomes of these, the next sweep looks at others.
        self._after = due[-1] if len(due) == _FILES_A_SWEEP else ""
        for file_id in due:
            try:
                async with asyncio.timeout(_START_S):
                    await end_if_stuck(self._client, ingestion_execution(file_id))
                    await start_ingestion(self._client, self._task_queue, file_id)
            except (TimeoutError, TemporalError) as error:
                facts = {"file_id": file_id, **facts_of(error)}
                _log.warning("ingestion could not be started", extra=facts)
