"""What is open of O in Temporal, and its end: for a database that is older than Temporal knows."""

import asyncio
import time
from datetime import datetime

from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

_AT_ONCE = 20
_PAUSE_S = 0.5
# Temporal's list is some moments old. What stands in it so long after the first look was ended, and
# the list lags behind; or workers have begun it anew since, and it may stay.
_LONGEST_S = 60.0


async def count_open(
    client: Client, task_queue: str, *, begun_before: datetime | None = None
) -> int:
    """How many executions of O are open; with a time, of those that began before it.

    Raises:
        RPCError: Temporal is away.
    """
    older = f" AND StartTime < '{begun_before.isoformat()}'" if begun_before else ""
    return (await client.count_workflows(_open_of(task_queue) + older)).count


async def end_open(client: Client, task_queue: str, reason: str) -> int:
    """End every open execution of O; what the database says is open begins anew. Bears repeating.

    Args:
        client: For the operator's Temporal server.
        task_queue: Where workers poll.
        reason: Shown in Temporal.

    Returns:
        How many were ended.

    Raises:
        RPCError: Temporal is away.
    """
    ended: set[tuple[str, str | None]] = set()
    limit = asyncio.Semaphore(_AT_ONCE)

    async def end(one: tuple[str, str | None]) -> None:
        async with limit:
            try:
                await client.get_workflow_handle(one[0], run_id=one[1]).terminate(reason)
            except RPCError as error:  # it has ended by itself
                if error.status is not RPCStatusCode.NOT_FOUND:
                    raise

    until: float | None = None
    while until is None or time.monotonic() < until:
        listed = client.list_workflows(_open_of(task_queue))
        found = {(one.id, one.run_id) async for one in listed}
        if not found:
            break
        new = found - ended
        await asyncio.gather(*(end(one) for one in new))
        ended |= new
        until = until or time.monotonic() + _LONGEST_S
        if not new:
            await asyncio.sleep(_PAUSE_S)
    return len(ended)


def _open_of(task_queue: str) -> str:
    return f"ExecutionStatus = 'Running' AND TaskQueue = '{task_queue}'"
