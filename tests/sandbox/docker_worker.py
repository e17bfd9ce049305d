"""A worker with jobs in flight, for tests that kill it: FOLDER HOW_MANY SOURCE."""

import asyncio
import sys
from pathlib import Path

from tests.sandbox import docker_engine
from tests.sandbox.plain import job


async def main(folder: str, count: str, source: str) -> None:
    sandbox = docker_engine.sandbox(Path(folder), pool=1)
    await sandbox.start()

    async def sent() -> None:
        sys.stdout.write("sent\n")
        sys.stdout.flush()

    jobs = [sandbox.run(job(source), before_sending=sent) for _ in range(int(count))]
    await asyncio.gather(*jobs)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
