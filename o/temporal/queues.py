"""How the task queues stand: how long work lies there, and who takes it."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import (
    DescribeTaskQueueRequest,
    DescribeTaskQueueResponse,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from workflows.options import control_queue

# Older servers, and keys that may do no more than a worker needs.
_DOES_NOT_TELL = {RPCStatusCode.UNIMPLEMENTED, RPCStatusCode.PERMISSION_DENIED}
_KINDS = (TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW, TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY)


POLL_S = 70.0
"""A worker polls anew at least this often; Temporal remembers those of the last minutes."""


@dataclass(frozen=True)
class QueueStanding:
    """What Temporal tells of the task queues that turns need.

    Attributes:
        longest_wait_s: How long the oldest task has waited for a worker with a free slot; 0 when
            none waits, and where the server keeps no such count.
        workers: Seconds since each worker polled last, on whatever machine, by its name. One that
            has stopped is among them for a minute.
    """

    longest_wait_s: float
    workers: dict[str, float]


async def find_queue(client: Client, task_queue: str, *, timeout_s: float) -> QueueStanding | None:
    """How the task queues stand, over all workers; counts are up to some 5 s old.

    None is a server that does not tell us.

    Raises:
        RPCError: Temporal is away.
    """
    asked = [(task_queue, kind) for kind in _KINDS]
    asked.append((control_queue(task_queue), TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY))
    looks = (_describe(client, name, kind, timeout_s=timeout_s) for name, kind in asked)
    try:
        told = await asyncio.gather(*looks)
    except RPCError as error:
        if error.status in _DOES_NOT_TELL:
            return None
        raise
    ages = [one.stats.approximate_backlog_age.ToTimedelta().total_seconds() for one in told]
    now, workers = datetime.now(UTC), {}
    for poller in told[0].pollers:
        silent_s = (now - poller.last_access_time.ToDatetime(UTC)).total_seconds()
        if silent_s < POLL_S:
            workers[poller.identity] = silent_s
    return QueueStanding(max(ages), workers)


async def _describe(
    client: Client, name: str, kind: TaskQueueType.ValueType, *, timeout_s: float
) -> DescribeTaskQueueResponse:
    return await client.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(
            namespace=client.namespace,
            task_queue=TaskQueue(name=name),
            task_queue_type=kind,
            report_stats=True,
        ),
        timeout=timedelta(seconds=timeout_s),
    )
