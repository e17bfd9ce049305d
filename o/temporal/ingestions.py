"""Tells Temporal that a file is to be read. Nobody waits for that."""

import asyncio
import logging

from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import TemporalError

from o.temporal.failures import facts_of
from workflows import options
from workflows.ingestion import IngestionWorkflow
from workflows.text_contract import FileRef

_log = logging.getLogger(__name__)
_START_S = 5.0


class IngestionStarter:
    """Starts what reads a file. What it does not live to start, the sweeper finds."""

    def __init__(self, client: Client, task_queue: str) -> None:
        self._client = client
        self._task_queue = task_queue
        self._starting: set[asyncio.Task[None]] = set()

    def soon(self, file_id: str) -> None:
        """Have a file read that is `pending`. Call it behind the commit.

        It has an upload in `file_uploads`; or none, and its text in `file_contents`, which is then
        taken as it is and cut into passages.
        """
        task = asyncio.create_task(self._start(file_id))
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    async def _start(self, file_id: str) -> None:
        try:
            async with asyncio.timeout(_START_S):
                await start_ingestion(self._client, self._task_queue, file_id)
        except (TimeoutError, TemporalError, RuntimeError) as error:
            facts = {"file_id": file_id, **facts_of(error)}
            _log.warning("ingestion was not started; the sweeper will", extra=facts)


def ingestion_execution(file_id: str) -> str:
    """The id of the workflow that reads a file."""
    return f"ingest-{file_id}"


async def start_ingestion(client: Client, task_queue: str, file_id: str) -> None:
    """Start the workflow of a file; nothing where one runs.

    Raises:
        RPCError: Temporal is away.
    """
    await client.start_workflow(
        IngestionWorkflow.run,
        FileRef(file_id),
        id=ingestion_execution(file_id),
        task_queue=task_queue,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
        task_timeout=options.TASK_TIMEOUT,
        static_summary="read a file",
    )
