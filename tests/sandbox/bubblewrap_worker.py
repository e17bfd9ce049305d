"""A worker that runs jobs without end in bubblewrap, to be killed."""

import asyncio
import sys

from sandbox.bubblewrap import cgroups
from sandbox.bubblewrap.box import BubblewrapLauncher
from sandbox.bubblewrap.host import look
from sandbox.bubblewrap.process import Caps
from sandbox.pooled import PooledJobs
from sandbox.protocol import Job, Limits

_SOURCE = """
def tool():
    import os, signal, time
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if os.fork() == 0:
        os.setsid()
    time.sleep(600)
"""


async def main(kind: str, count: int) -> None:
    """Say so when all of them have been sent."""
    caps = Caps(cgroups.find(Limits()) if kind == "cgroup" else None)
    jobs = PooledJobs(BubblewrapLauncher(look(), caps))
    sent = 0

    async def sending() -> None:
        nonlocal sent
        sent += 1

    job = Job("test", _SOURCE, "tool", {}, limits=Limits(timeout_s=600))
    running = [asyncio.create_task(jobs.run(job, sending)) for _ in range(count)]
    while sent < count:
        await asyncio.sleep(0.05)
    print("sent", flush=True)  # noqa: T201 - whoever kills it reads this
    await asyncio.wait(running)


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
