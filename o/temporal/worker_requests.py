"""Hands what the API asks of workers to Temporal."""

from typing import Any

from temporalio.client import Client, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy

from workflows import options
from workflows.contract import RequestRef
from workflows.worker_request import WorkerRequestWorkflow


async def start_request(
    client: Client, task_queue: str, request_id: str, kind: str, *, timeout_s: float
) -> WorkflowHandle[Any, None]:
    """Have a stored request carried out; a repeat changes nothing.

    Raises:
        RPCError: Temporal is away.
    """
    return await client.start_workflow(
        WorkerRequestWorkflow.run,
        RequestRef(request_id, kind, timeout_s),
        id=request_id,
        task_queue=task_queue,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        task_timeout=options.TASK_TIMEOUT,
        static_summary=kind[:80],
    )
