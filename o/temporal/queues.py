"""How the task queues stand: how long work lies there, and who takes it."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import (
    DescribeTaskQueueRequest,
    DescribeTaskQueueResponse,
    PollActivityTaskQueueRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from workflows.options import control_queue

# Older servers, and keys that may do no more than a worker needs.
_DOES_NOT_TELL = {RPCStatusCode.UNIMPLEMENTED, RPCStatusCode.PERMISSION_DENIED}
_KINDS = (TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW, TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY)


POLL_S = 70.0
"""A worker polls anew at least this often; Temporal remembers those of the last minutes."""

_BEHIND_S = 5.0
"""So much our clock may be behind Temporal's before the time is asked for."""
_LOOK_AGAIN_S = 0.1


@dataclass(frozen=True)
class QueueStanding:
    """What Temporal tells of the task queues that turns need.

    Attributes:
        longest_wait_s: How long the oldest task has waited for a worker with a free slot; 0 when
            none waits, and where the server keeps no such count.
        workers: Seconds since each worker polled last, on whatever machine, by its name and by
            Temporal's clock. One that has stopped is among them for a minute. None where some have
            stopped, or our clock is wrong, and Temporal's does not show.
    """

    longest_wait_s: float
    workers: dict[str, float] | None


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
    polled = {one.identity: one.last_access_time.ToDatetime(UTC) for one in told[0].pollers}
    silent = _silences(polled, datetime.now(UTC))
    if any(not -_BEHIND_S <= silent_s < POLL_S for silent_s in silent.values()):
        # Some have stopped, or our clock is not Temporal's.
        now = await _time_there(client, task_queue, timeout_s=timeout_s / 2)
        if now is None:
            return QueueStanding(max(ages), None)
        silent = _silences(polled, now)
    return QueueStanding(max(ages), {name: max(s, 0) for name, s in silent.items() if s < POLL_S})


def _silences(polled: dict[str, datetime], now: datetime) -> dict[str, float]:
    """Seconds since each worker polled; negative where `now` is by a clock that is behind."""
    return {name: (now - last).total_seconds() for name, last in polled.items()}


async def _time_there(client: Client, task_queue: str, *, timeout_s: float) -> datetime | None:
    """The time by Temporal's own clock, None where it does not show in time.

    No answer of Temporal tells it, but who polled when: so a queue where no work ever is, is
    polled for a moment. Temporal remembers a process that does so often as one poller.
    """
    queue = TaskQueue(name=f"{task_queue}-clock")
    asked = PollActivityTaskQueueRequest(
        namespace=client.namespace, task_queue=queue, identity=client.identity
    )

    async def polled() -> datetime | None:
        told = await _describe(client, queue.name, _KINDS[-1], timeout_s=timeout_s)
        ours = (one for one in told.pollers if one.identity == client.identity)
        return next((one.last_access_time.ToDatetime(UTC) for one in ours), None)

    try:
        async with asyncio.timeout(timeout_s):
            before = await polled()
            poll = asyncio.create_task(
                client.workflow_service.poll_activity_task_queue(
                    asked, timeout=timedelta(seconds=POLL_S)
                )
            )
            try:
                while not poll.done():
                    await asyncio.sleep(_LOOK_AGAIN_S)
                    if (last := await polled()) != before:
                        return last
            finally:
                poll.cancel()
                await asyncio.gather(poll, return_exceptions=True)
    except (TimeoutError, RPCError):
        pass
    return None


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
