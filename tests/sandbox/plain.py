"""Jobs of harmless code in a plain process: what the guest and the frames do in every backend."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Mapping
from typing import Any

from sandbox.conversation import Guest, Streams
from sandbox.frames import Inside
from sandbox.guest_code import bundle, command_from_stdin
from sandbox.protocol import Job, JobResult, Limits


def job(source: str, function: str = "f", limits: Limits = Limits(), **more: Any) -> Job:
    arguments: Mapping[str, Any] = more.pop("arguments", {})
    return Job("job-1", source, function, arguments, limits=limits, **more)


async def nothing() -> None:
    """What a test does before a job is sent."""


async def run(job: Job, inside: Inside = Inside()) -> JobResult:
    process = await asyncio.create_subprocess_exec(
        *command_from_stdin(python=sys.executable),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={"PATH": os.defpath},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        line = Streams(process.stdout, process.stdin)
        await line.send(bundle())
        guest = Guest(line)
        await guest.ready(60)
        return await guest.call(job, inside, nothing)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def returns(source: str, **more: Any) -> Any:
    """What `f` of the source returns."""
    done = await run(job(source, **more))
    assert done.failure is None, done.failure
    return done.result
