"""Moments that meet: what happens while no worker runs workflows is one workflow task later."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from temporalio import activity
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from server.worker.queues import WORKFLOW_RUNNER
from workflows.contract import (
    CallOutcome,
    CallRef,
    Cancel,
    CancelledRuns,
    Closing,
    ConversationState,
    StepOutcome,
    StepRef,
)
from workflows.conversation import ConversationWorkflow
from workflows.options import control_queue

Handle = WorkflowHandle[ConversationWorkflow, None]
DONE = EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED


class Script:
    """Activities that end when the test says so, for a workflow that knows them by name only.

    Attributes:
        begun: What was asked for, as `name argument`, in order.
        calls: The tool calls that the first step asks for.
        cancelled: What `cancel_runs` finds to cancel; it finds that there is nothing when empty.
    """

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.calls: list[CallRef] = []
        self.cancelled: list[str] = []
        self._gates: dict[str, asyncio.Event] = {}

    def hold(self, name: str) -> asyncio.Event:
        """Keep this activity from ending until the event is set."""
        return self._gates.setdefault(name, asyncio.Event())

    @activity.defn
    async def take_step(self, step: StepRef) -> StepOutcome:
        """The very first step asks for `calls`; any other, and without any, ends its run."""
        await self._reach(f"take_step {step.run_id} {step.index}")
        calls = self.calls if step == StepRef("run-1", 0) else []
        return StepOutcome(step.index, calls=calls, done=not calls)

    @activity.defn
    async def run_tool(self, call: CallRef) -> CallOutcome:
        """Nothing comes of it."""
        await self._reach(f"run_tool {call.ordinal}")
        return CallOutcome("success")

    @activity.defn
    async def cancel_runs(self, request: Cancel) -> CancelledRuns:
        """Find `cancelled`, or nothing."""
        await self._reach("cancel_runs")
        if not self.cancelled:
            raise ApplicationError("No active runs to cancel", non_retryable=True)
        return CancelledRuns(self.cancelled)

    @activity.defn
    async def close_run(self, closing: Closing) -> None:
        """Close a run, or refuse to for good where the gate `refuse` stands."""
        await self._reach(f"close_run {closing.run_id} {closing.stop_reason}")
        if "refuse" in self._gates:
            raise ApplicationError("no", non_retryable=True)

    async def _reach(self, name: str) -> None:
        self.begun.append(name)
        gate = self._gates.get(name)
        while gate is not None and not gate.is_set():
            activity.heartbeat()
            await asyncio.sleep(0.05)


class Meeting:
    """One conversation of a script, whose workflow's worker can be away."""

    def __init__(self, client: Client, script: Script) -> None:
        self._client = client
        self._queue = f"meeting-{uuid.uuid4()}"
        self.script = script
        self.handle: Handle = client.get_workflow_handle_for(ConversationWorkflow.run, self._queue)

    async def start(self) -> None:
        """Start the conversation."""
        await self._client.start_workflow(
            ConversationWorkflow.run,
            ConversationState("conv-x", "agent-x"),
            id=self._queue,
            task_queue=self._queue,
        )

    @asynccontextmanager
    async def activities(self) -> AsyncIterator[None]:
        """A worker that runs the script's activities and no workflow."""
        script = self.script
        async with (
            self._worker(self._queue, [script.take_step, script.run_tool]),
            self._worker(control_queue(self._queue), [script.cancel_runs, script.close_run]),
        ):
            yield

    def _worker(self, queue: str, activities: list[Callable[..., Any]]) -> Worker:
        return Worker(
            self._client,
            task_queue=queue,
            activities=activities,
            max_heartbeat_throttle_interval=timedelta(milliseconds=100),
        )

    @asynccontextmanager
    async def workflows(self) -> AsyncIterator[None]:
        """A worker that runs the workflow and no activity."""
        async with Worker(
            self._client,
            task_queue=self._queue,
            workflows=[ConversationWorkflow],
            workflow_runner=WORKFLOW_RUNNER,
            sticky_queue_schedule_to_start_timeout=timedelta(milliseconds=100),
        ):
            yield

    async def until_begun(self, name: str) -> None:
        """Wait until an activity has begun."""
        await until(lambda: _now(name in self.script.begun), name)

    async def until_events(self, kind: EventType.ValueType, count: int) -> None:
        """Wait until so many events of a kind are in history."""

        async def there() -> bool:
            history = await self.handle.fetch_history()
            return sum(event.event_type == kind for event in history.events) >= count

        await until(there, f"{count} events of kind {kind}")


async def until(look: Callable[[], Awaitable[bool]], what: str, within_s: float = 20) -> None:
    """Wait for a moment that comes by itself.

    Raises:
        TimeoutError: It did not come.
    """
    try:
        async with asyncio.timeout(within_s):
            while not await look():
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise TimeoutError(f"{what} did not come within {within_s} s") from None


async def _now(found: bool) -> bool:
    return found
