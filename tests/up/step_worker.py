"""A worker whose only activity hangs: `step_worker.py ADDRESS IDENTITY`."""

import asyncio
import sys
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.common import RetryPolicy
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

TASK_QUEUE = "steps"


@activity.defn
async def hang() -> str:
    """Hang on the first attempt; later ones answer."""
    if activity.info().attempt == 1:
        await asyncio.sleep(3600)
    return "done"


@workflow.defn
class Step:
    """One step with nothing but a long timeout to fall back on."""

    @workflow.run
    async def run(self) -> str:
        return await workflow.execute_activity(
            hang,
            start_to_close_timeout=timedelta(hours=1),
            retry_policy=RetryPolicy(maximum_attempts=3),
        )


async def main(address: str, identity: str) -> None:
    client = await Client.connect(address)
    worker = Worker(
        client,
        task_queue=TASK_QUEUE,
        workflows=[Step],
        activities=[hang],
        identity=identity,
        workflow_runner=UnsandboxedWorkflowRunner(),
    )
    await worker.run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
