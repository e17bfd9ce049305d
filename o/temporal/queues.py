"""How long work lies in the task queues: whether any worker has room for it."""

import asyncio
from datetime import timedelta

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client

from workflows.options import control_queue

_KINDS = (TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW, TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY)


async def longest_wait_s(client: Client, task_queue: str, *, timeout_s: float) -> float:
    """How long the oldest task has waited for a worker with a free slot; 0 when none waits.

    It is Temporal's own count, over all workers, and up to some 5 s old. A server that keeps none
    answers 0.

    Raises:
        RPCError: Temporal is away.
    """
    asked = [(task_queue, kind) for kind in _KINDS]
    asked.append((control_queue(task_queue), TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY))
    found = await asyncio.gather(
        *(
            client.workflow_service.describe_task_queue(
                DescribeTaskQueueRequest(
                    namespace=client.namespace,
                    task_queue=TaskQueue(name=name),
                    task_queue_type=kind,
                    report_stats=True,
                ),
                timeout=timedelta(seconds=timeout_s),
            )
            for name, kind in asked
        )
    )
    return max(one.stats.approximate_backlog_age.ToTimedelta().total_seconds() for one in found)
