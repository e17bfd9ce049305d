"""Python's garbage collector in a process that serves: what was loaded at the start stays."""

import gc

_YOUNG = 20_000


def spare_collector() -> None:
    """Look seldom, and never at what is there now: each walk through it costs milliseconds."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, 20, 50)
