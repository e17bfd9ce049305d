"""Whether there is room for what PostgreSQL writes next."""

import shutil
from pathlib import Path

ROOM_BYTES = 16 * 1024 * 1024
"""PostgreSQL's log grows by files of this size, and it stops when it cannot make one."""


def is_full(place: Path) -> bool:
    """Whether the disk of `place` has no room; False where that cannot be told."""
    try:
        return shutil.disk_usage(place).free < ROOM_BYTES
    except OSError:
        return False
