"""Signs of life while something long runs, so that a dead worker is noticed within seconds."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from temporalio import activity

_INTERVAL_S = 0.5


@asynccontextmanager
async def heartbeating() -> AsyncIterator[None]:
    """Heartbeat every half second until the block ends; a cancelled activity is cancelled here."""
    task = asyncio.create_task(_beat())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _beat() -> None:
    while True:
        await asyncio.sleep(_INTERVAL_S)  # first: short work needs no sign of life
        activity.heartbeat()
