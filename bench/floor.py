"""The floor: the least that a conversation with a step each turn can cost on Temporal.

`python -m bench.floor ADDRESS` is its worker. Nothing of the product is in it: a workflow that
waits, an update, an activity that returns what it is given.
"""

import asyncio
import os
import sys
from datetime import timedelta
from uuid import uuid4

from temporalio import activity, workflow
from temporalio.client import (
    Client,
    WorkflowHandle,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from bench.child import until_orphaned

_TASK_QUEUE = "bench-floor"
_TIMEOUT = timedelta(seconds=30)


@activity.defn(name="bench-step")
async def step(text: str) -> str:
    """Do nothing."""
    return text


@workflow.defn(name="BenchFloor")
class Floor:
    """Waits, and takes one step for each update."""

    def __init__(self) -> None:
        self._closed = False

    @workflow.run
    async def run(self) -> None:
        """Wait for `close`."""
        await workflow.wait_condition(lambda: self._closed)

    @workflow.update
    async def turn(self, text: str) -> str:
        """One normal activity, which the worker starts eagerly, as it does by default."""
        return await workflow.execute_activity(step, text, start_to_close_timeout=_TIMEOUT)

    @workflow.signal
    def close(self) -> None:
        """End."""
        self._closed = True


async def begin_conversation(client: Client) -> WorkflowHandle[Floor, None]:
    """A new conversation that has taken one turn already, and so is warm."""
    handle = await client.start_workflow(
        Floor.run, id=f"bench-floor-{uuid4().hex}", task_queue=_TASK_QUEUE
    )
    await take_turn(handle)
    return handle


async def take_turn(handle: WorkflowHandle[Floor, None]) -> None:
    """One turn; returns when its answer is here."""
    try:
        await handle.execute_update(Floor.turn, "x" * 200)
    except WorkflowUpdateRPCTimeoutOrCancelledError as error:
        raise asyncio.CancelledError from error  # Ctrl-C, in the words of the SDK


async def _work(address: str) -> None:
    async with Worker(
        await Client.connect(address),
        task_queue=_TASK_QUEUE,
        workflows=[Floor],
        activities=[step],
        workflow_runner=UnsandboxedWorkflowRunner(),
        graceful_shutdown_timeout=timedelta(seconds=1),
    ):
        await until_orphaned("polls")


if __name__ == "__main__":
    asyncio.run(_work(sys.argv[1]))
    os._exit(0)  # an interpreter that takes itself down under temporalio's threads may crash
