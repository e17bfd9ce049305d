"""Which executions the sweeper gives up: those that fail, not those that are slow."""

import asyncio
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from temporalio import workflow
from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from o.ids import new_id
from server.sweep.standing import Standing, find_execution
from tests.support.product import Product

_DOUBTFUL_ATTEMPTS = 4


@workflow.defn
class Timely:
    """Waits for its end."""

    @workflow.run
    async def run(self) -> None:
        await workflow.wait_condition(lambda: False)


@workflow.defn
class Slow:
    """Takes longer than a workflow task may; on a crowded machine any workflow does."""

    @workflow.run
    async def run(self, seconds: float) -> None:
        time.sleep(seconds)


@workflow.defn
class Broken:
    """Fails whenever it is tried, as code does that does not fit its history."""

    @workflow.run
    async def run(self) -> None:
        raise RuntimeError("this cannot go on")


@pytest.fixture
async def temporal(server: Product) -> Client:
    return await Client.connect(server.state["temporal_address"])


@pytest.fixture(params=[True, False], ids=["unwatched", "watched"])
async def queue(temporal: Client, request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """A worker of its own; unwatched, the SDK lets workflow tasks take as long as they want."""
    name = new_id("queue")
    with ThreadPoolExecutor(4) as threads:
        async with Worker(
            temporal,
            task_queue=name,
            workflows=[Timely, Slow, Broken],
            workflow_runner=UnsandboxedWorkflowRunner(),
            workflow_task_executor=threads,
            debug_mode=request.param,
        ):
            yield name


async def started(
    temporal: Client, queue: str, kind: Any, *given: object, task_timeout_s: float = 2.0
) -> WorkflowHandle[Any, Any]:
    return await temporal.start_workflow(
        kind,
        args=given,
        id=new_id("conv"),
        task_queue=queue,
        task_timeout=timedelta(seconds=task_timeout_s),
    )


async def tried_again_and_again(handle: WorkflowHandle[Any, Any]) -> None:
    async with asyncio.timeout(40):
        while True:
            found = await handle.describe()
            if found.raw_description.pending_workflow_task.attempt >= _DOUBTFUL_ATTEMPTS:
                return
            await asyncio.sleep(0.02)


async def ended(handle: WorkflowHandle[Any, Any]) -> None:
    with suppress(RPCError):
        await handle.terminate()


async def test_an_execution_whose_tasks_are_slow_again_and_again_is_busy(
    temporal: Client, queue: str
) -> None:
    handle = await started(temporal, queue, Slow.run, 2.6)
    await tried_again_and_again(handle)
    found = await find_execution(temporal, handle.id)
    assert found.standing is Standing.BUSY
    await ended(handle)


async def test_an_execution_whose_tasks_fail_again_and_again_is_stuck(
    temporal: Client, queue: str
) -> None:
    handle = await started(temporal, queue, Broken.run)
    await tried_again_and_again(handle)
    found = await find_execution(temporal, handle.id)
    assert (found.standing, found.run_id) == (Standing.STUCK, handle.first_execution_run_id)
    await ended(handle)


async def test_an_execution_that_waits_is_idle_and_one_that_is_over_or_never_was_is_gone(
    temporal: Client, queue: str
) -> None:
    handle = await started(temporal, queue, Timely.run)
    async with asyncio.timeout(20):
        while (await find_execution(temporal, handle.id)).standing is not Standing.IDLE:
            await asyncio.sleep(0.02)
    await ended(handle)
    assert (await find_execution(temporal, handle.id)).standing is Standing.GONE
    assert (await find_execution(temporal, new_id("conv"))).standing is Standing.GONE
