"""Signs of life while something long runs, so that a dead worker is noticed within seconds."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from temporalio import activity

_INTERVAL_S = 0.5


@contextmanager
def heartbeating() -> Iterator[None]:
    """Heartbeat every half second until the block ends; a cancelled activity is cancelled here."""
    loop = asyncio.get_running_loop()
    timer: asyncio.TimerHandle

    def beat() -> None:
        nonlocal timer
        activity.heartbeat()
        timer = loop.call_later(_INTERVAL_S, beat)

    timer = loop.call_later(_INTERVAL_S, beat)  # short work needs no sign of life
    try:
        yield
    finally:
        timer.cancel()
