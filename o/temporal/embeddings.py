"""Tells Temporal that passages wait for their vectors. Nobody waits for that."""

import asyncio
import logging

from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import TemporalError

from o.domain.embedding import embedding_execution
from o.temporal.failures import facts_of
from workflows import options
from workflows.embedding import EmbeddingWorkflow
from workflows.text_contract import ArchiveRef

_log = logging.getLogger(__name__)
_GATHER_S = 0.2
_START_S = 5.0


class EmbeddingStarter:
    """Starts what embeds an archive, once for all that is added within a moment.

    What it does not live to start, the sweeper finds.
    """

    def __init__(self, client: Client, task_queue: str) -> None:
        self._client = client
        self._task_queue = task_queue
        self._starting: dict[tuple[str, bool], asyncio.Task[None]] = {}

    def soon(self, archive_id: str, *, is_changed: bool = False) -> None:
        """Have an archive's passages embedded in a moment. Call it behind the commit.

        Args:
            archive_id: Which.
            is_changed: Whether its model is another one, or is to be tried again now.
        """
        key = (archive_id, is_changed)
        if key not in self._starting:
            self._starting[key] = asyncio.create_task(self._start_soon(archive_id, is_changed))

    async def _start_soon(self, archive_id: str, is_changed: bool) -> None:
        await asyncio.sleep(_GATHER_S)
        # What is added from here on may be too late for this one.
        del self._starting[archive_id, is_changed]
        try:
            async with asyncio.timeout(_START_S):
                await start_embedding(
                    self._client, self._task_queue, archive_id, is_changed=is_changed
                )
        except (TimeoutError, TemporalError, RuntimeError) as error:
            facts = {"archive_id": archive_id, **facts_of(error)}
            _log.warning("embedding was not started; the sweeper will", extra=facts)


async def start_embedding(
    client: Client, task_queue: str, archive_id: str, *, is_changed: bool = False
) -> None:
    """Start the workflow of an archive, or tell the one that runs.

    Raises:
        RPCError: Temporal is away.
    """
    await client.start_workflow(
        EmbeddingWorkflow.run,
        ArchiveRef(archive_id),
        id=embedding_execution(archive_id),
        task_queue=task_queue,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
        task_timeout=options.TASK_TIMEOUT,
        static_summary="embed passages",
        start_signal="model_changed" if is_changed else "passages_added",
    )
