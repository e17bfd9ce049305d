"""What a forked process is called in lists of processes, where it would be called as its parent."""

import contextlib
import os
import sys
from pathlib import Path

_LONGEST_NAME = 15
"""What the kernel keeps of a process's short name."""
_BEGINS, _ENDS = 45, 46
"""Where `/proc/self/stat` has the place of the command line, counted behind the short name."""


def show_as(title: str) -> None:
    """Show `title` in place of the command line, as much of it as there was room for that.

    Does nothing where the system does not let us: it is only for people to read.
    """
    if sys.platform != "linux":
        return
    with contextlib.suppress(OSError, ValueError, IndexError, OverflowError):
        Path("/proc/self/comm").write_text(title.replace(" ", "-")[:_LONGEST_NAME])
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        begins, ends = int(fields[_BEGINS]), int(fields[_ENDS])
        if 0 < begins < ends - 2:
            _write(title.encode(errors="replace"), begins, ends - begins)


def _write(title: bytes, begins: int, room: int) -> None:
    """Nothing reads those bytes any more but whoever lists processes.

    A last byte that is not zero tells the kernel that the text ends at its first zero.
    """
    text = title[: room - 2].ljust(room - 1, b"\0") + b"\1"
    memory = os.open("/proc/self/mem", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.pwrite(memory, text, begins)
    finally:
        os.close(memory)
