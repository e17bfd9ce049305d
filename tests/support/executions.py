"""What Temporal holds of a conversation."""

import asyncio

from letta_client.types import AgentState
from temporalio.client import Client, WorkflowExecution, WorkflowHistory

from tests.support.product import Product


async def executions_of(
    server: Product, agent: AgentState
) -> list[tuple[WorkflowExecution, WorkflowHistory]]:
    """Executions of the agent's own thread, oldest first, with their histories."""
    client = await Client.connect(server.state["temporal_address"])
    query = f"AgentId = '{agent.id}'"
    async with asyncio.timeout(10):
        while not (found := [execution async for execution in client.list_workflows(query)]):
            await asyncio.sleep(0.05)
    found.sort(key=lambda execution: execution.start_time)
    return [
        (e, await client.get_workflow_handle(e.id, run_id=e.run_id).fetch_history()) for e in found
    ]
