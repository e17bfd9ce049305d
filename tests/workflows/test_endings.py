"""How executions end: idle for long, or closed with their agent."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Worker

from server.worker.queues import WORKFLOW_RUNNER
from tests.support.product import Product
from workflows import options
from workflows.contract import ConversationState, Turn
from workflows.conversation import ConversationWorkflow

Handle = WorkflowHandle[ConversationWorkflow, None]


@pytest.fixture
async def handle(server: Product) -> AsyncIterator[Handle]:
    """A conversation that a worker of this test runs, with no activities to go on with."""
    client = await Client.connect(server.state["temporal_address"])
    queue = f"endings-{uuid.uuid4()}"
    worker = Worker(
        client, task_queue=queue, workflows=[ConversationWorkflow], workflow_runner=WORKFLOW_RUNNER
    )
    async with worker:
        handle = await client.start_workflow(
            ConversationWorkflow.run,
            ConversationState("conv-x", "agent-x"),
            id=queue,
            task_queue=queue,
        )
        yield handle


async def test_an_idle_execution_completes(monkeypatch: pytest.MonkeyPatch, handle: Handle) -> None:
    monkeypatch.setattr(options, "IDLE_TIMEOUT", timedelta(milliseconds=200))
    async with asyncio.timeout(20):
        await handle.result()


async def test_a_closed_execution_takes_no_turn_and_ends(handle: Handle) -> None:
    accepted = await handle.execute_update(ConversationWorkflow.send, Turn("run-1"))
    assert (accepted.run_id, accepted.ahead) == ("run-1", 0)
    again = await handle.execute_update(ConversationWorkflow.send, Turn("run-2"))
    assert again.ahead == 1
    repeated = await handle.execute_update(ConversationWorkflow.send, Turn("run-2"))
    assert repeated.ahead == 1
    await handle.signal(ConversationWorkflow.close)
    async with asyncio.timeout(20):
        await handle.result()
    with pytest.raises(RPCError) as gone:
        await handle.execute_update(ConversationWorkflow.send, Turn("run-3"))
    assert gone.value.status is RPCStatusCode.NOT_FOUND
