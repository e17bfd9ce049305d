"""Who lives on a data directory: one lock for the supervisor, one for each thing it runs.

The lock of a part is held through a descriptor that the part and all its descendants inherit, so
it is free exactly when nobody of them is left, whatever killed them. That is what a restart waits
for: PostgreSQL refuses to start while backends of the last one still hold its memory, and two
Temporal servers must never share a file.
"""

import asyncio
import fcntl
import logging
import os
import signal
import time
from pathlib import Path

import psutil

from o.errors import Conflict

_log = logging.getLogger(__name__)

PATIENCE_S = 12.0
"""How long whoever is left from an earlier life may take to leave by itself."""
_POLL_S = 0.02


def claim(data_dir: Path) -> int:
    """Make this process the only supervisor of `data_dir`; answers the descriptor that holds it.

    Raises:
        Conflict: another supervisor lives there.
    """
    path = data_dir / "lock"
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if not _try(fd):
        pid = os.pread(fd, 32, 0).decode(errors="replace").strip() or "unknown"
        os.close(fd)
        raise Conflict(
            f"{data_dir} is in use by another `o up` (process {pid}): stop that one, "
            "or set O_DATA_DIR to another directory"
        )
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    return fd


def holder(data_dir: Path) -> str | None:
    """The process id of the supervisor that lives on `data_dir`, None when there is none."""
    try:
        fd = os.open(data_dir / "lock", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return None if _try(fd) else os.pread(fd, 32, 0).decode(errors="replace").strip()
    finally:
        os.close(fd)


async def take(path: Path, patience_s: float = PATIENCE_S) -> int:
    """Wait until nobody of a part is left, then hold its lock; answers the descriptor.

    Whoever is still there after `patience_s` is killed: it holds this very file open, so it is
    what an earlier life of the part left behind, and nobody else.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        limit = time.monotonic() + patience_s
        while not _try(fd):
            if time.monotonic() > limit:
                await asyncio.to_thread(_kill_holders, path)
                limit = time.monotonic() + 1.0
            await asyncio.sleep(_POLL_S)
    except BaseException:
        os.close(fd)
        raise
    return fd


async def wait_until_free(directory: Path, patience_s: float = PATIENCE_S) -> None:
    """Wait until nothing that an earlier supervisor started is left in `directory`'s locks."""
    for fd in await asyncio.gather(*(take(path, patience_s) for path in _locks_in(directory))):
        os.close(fd)


def _locks_in(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.lock"))


def _try(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _kill_holders(path: Path) -> None:
    for pid in holders(path):
        _log.warning("killing what an earlier life left", extra={"pid": pid, "lock": path.name})
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError as error:
            _log.warning("cannot kill it", extra={"pid": pid, "reason": str(error)})


def holders(path: Path) -> list[int]:
    """The processes, other than this one, that hold the file open."""
    return sorted(
        process.pid
        for process in psutil.process_iter()
        if process.pid != os.getpid() and _holds(process, path)
    )


def command_line(pid: int) -> str:
    """The command line of a process, empty when it has gone or is a zombie."""
    try:
        return " ".join(psutil.Process(pid).cmdline())
    except psutil.Error:
        return ""


def _holds(process: psutil.Process, path: Path) -> bool:
    try:
        return any(file.path == str(path) for file in process.open_files())
    except (psutil.Error, OSError):  # it has gone, or is not ours to look at
        return False
