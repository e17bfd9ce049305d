"""A job in the sandbox of this worker, as runners of tools have it run."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from o.errors import ToolFailed
from sandbox.protocol import Job, JobResult, NoSandbox, Sandbox, SandboxUnavailable

_PATIENCE_S = 5.0
_PAUSE_S = 0.25


async def run_in_sandbox(
    sandbox: Sandbox, job: Job, before_sending: Callable[[], Awaitable[None]], *, what: str
) -> JobResult:
    """What came of a job; a sandbox that cannot be had is waited for, for a moment.

    Args:
        sandbox: Of this worker.
        job: What to run.
        before_sending: As in `ToolRunner`.
        what: What was not run where none can be had, for the model: `The tool`.

    Raises:
        ToolFailed: None could be had.
        SandboxLost: It may have run.
    """
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return await sandbox.run(job, before_sending=before_sending)
        except SandboxUnavailable as error:
            if isinstance(error, NoSandbox) or time.monotonic() > deadline:
                raise ToolFailed(f"{what} was not run: {error}") from None
            await asyncio.sleep(_PAUSE_S)
