"""What happens to the steps of a worker that dies."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from temporalio.client import Client, WorkflowHandle

from server.up.child import pause_s
from server.up.recovery import recover
from tests.up.conftest import NewProduct
from tests.up.step_worker import TASK_QUEUE, Step
from tests.up.stubbed import ROOT

PROGRAM = Path(__file__).with_name("step_worker.py")


def _worker(address: str, identity: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), address, identity],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


async def _in_hand(handle: WorkflowHandle[Step, str], identity: str) -> None:
    async with asyncio.timeout(15):
        while True:
            pending = (await handle.describe()).raw_description.pending_activities
            if [one for one in pending if one.last_worker_identity == identity]:
                return
            await asyncio.sleep(0.02)


async def test_a_dead_workers_step_goes_to_another_at_once(product: NewProduct) -> None:
    address = product().start().state["temporal_address"]
    client = await Client.connect(address)
    handle = await client.start_workflow(Step.run, id="conv-1", task_queue=TASK_QUEUE)
    first = _worker(address, "first")
    second = None
    try:
        await _in_hand(handle, "first")
        second = _worker(address, "second")
        first.kill()
        first.wait()

        async def conversations() -> list[str]:
            return ["conv-1", "conv-unknown"]

        assert await recover(client, "somebody-else", conversations) == 0
        assert await recover(client, "first", conversations) == 1
        async with asyncio.timeout(10):
            assert await handle.result() == "done"
    finally:
        for worker in (first, second):
            if worker is not None:
                worker.kill()
                worker.wait()


async def test_a_recovery_that_cannot_work_harms_nobody(product: NewProduct) -> None:
    client = await Client.connect("127.0.0.1:9", lazy=True)

    async def no_database() -> list[str]:
        raise OSError("away")

    async def one() -> list[str]:
        return ["conv-1"]

    assert await recover(client, "first", no_database) == 0
    async with asyncio.timeout(10):
        assert await recover(client, "first", one) == 0


@pytest.mark.parametrize(("deaths", "pause"), [(1, 0.0), (2, 0.25), (4, 1.0), (50, 5.0)])
def test_who_keeps_dying_waits_longer_up_to_five_seconds(deaths: int, pause: float) -> None:
    assert pause_s(deaths) == pause
