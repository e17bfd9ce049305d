"""The memory of a process: the garbage collector, and what the system gets back."""

import asyncio
import ctypes
import gc
import sys

_YOUNG = 20_000
_GIVE_BACK_AFTER_S = 2.0
"""By then what needed the memory is done, and several that did are dealt with at once."""


def load_without_collector() -> None:
    """While modules load: nothing becomes garbage, and looking for it is an eighth of the time."""
    gc.disable()


def spare_collector() -> None:
    """Look seldom, and never at what is there now: each walk through it costs milliseconds.

    To be called once all that the process needs is loaded.
    """
    gc.collect()
    _trim()  # what imports needed for a moment
    gc.freeze()
    gc.set_threshold(_YOUNG, 20, 50)
    gc.enable()


class Returner:
    """Gives memory back to the system a little after something large has gone.

    Left alone the process would keep it for ever: the collector looks seldom, and the allocator
    keeps what it has once got.
    """

    def __init__(self) -> None:
        self._due_in: asyncio.AbstractEventLoop | None = None

    def give_back_soon(self) -> None:
        """Do so in two seconds, however often it is asked for until then."""
        loop = asyncio.get_running_loop()
        if self._due_in is not loop:
            self._due_in = loop
            loop.call_later(_GIVE_BACK_AFTER_S, self._give_back, loop)

    def _give_back(self, loop: asyncio.AbstractEventLoop) -> None:
        self._due_in = None
        gc.collect()  # errors hold the frames of those that raised them, in circles
        loop.run_in_executor(None, _trim)


def _trim() -> None:
    """Have the allocator give back what is free, where it is glibc's."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
