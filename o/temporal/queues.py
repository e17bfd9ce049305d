"""How long work lies in the task queues: whether any worker has room for it."""

import asyncio
from datetime import timedelta

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from workflows.options import control_queue

# Older servers, and keys that may do no more than a worker needs.
_DOES_NOT_TELL = {RPCStatusCode.UNIMPLEMENTED, RPCStatusCode.PERMISSION_DENIED}
_KINDS = (TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW, TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY)


async def longest_wait_s(client: Client, task_queue: str, *, timeout_s: float) -> float | None:
    """How long the oldest task has waited for a worker with a free slot; 0 when none waits.

    It is Temporal's own count, over all workers, and up to some 5 s old. A server that keeps none
    answers 0; None is one that does not tell us.

    Raises:
        RPCError: Temporal is away.
    """
    asked = [(task_queue, kind) for kind in _KINDS]
    asked.append((control_queue(task_queue), TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY))
    looks = (_wait_s(client, name, kind, timeout_s=timeout_s) for name, kind in asked)
    try:
        return max(await asyncio.gather(*looks))
    except RPCError as error:
        if error.status in _DOES_NOT_TELL:
            return None
        raise


async def _wait_s(
    client: Client, name: str, kind: TaskQueueType.ValueType, *, timeout_s: float
) -> float:
    found = await client.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(
            namespace=client.namespace,
            task_queue=TaskQueue(name=name),
            task_queue_type=kind,
            report_stats=True,
        ),
        timeout=timedelta(seconds=timeout_s),
    )
    return found.stats.approximate_backlog_age.ToTimedelta().total_seconds()
