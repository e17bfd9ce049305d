"""The logs of what the supervisor starts: they are cut while their processes live.

A process writes to the end of its file, wherever that is, so the file is copied and emptied under
it. It need not know, and a foreign program could not.
"""

import asyncio
import contextlib
import logging
import os
import shutil
from pathlib import Path

_log = logging.getLogger(__name__)

KEPT = 3
_INTERVAL_S = 2.0


async def keep_small(log_dir: Path, limit_bytes: int) -> None:
    """Look at the logs every few seconds until cancelled."""
    while True:
        await asyncio.sleep(_INTERVAL_S)
        await asyncio.to_thread(_look, log_dir, limit_bytes)


def _look(log_dir: Path, limit_bytes: int) -> None:
    for path in log_dir.glob("*.log"):
        with contextlib.suppress(OSError):  # it may be gone
            if path.stat().st_size > limit_bytes:
                rotate(path)


def rotate(path: Path) -> None:
    """Move what a log holds to `<name>.log.1`, what that held to `.2`, and so on up to `KEPT`.

    What is written between the last look at the copy and the cut is lost: a line at most, unless
    this process has to wait for a processor just then.
    On a full disk the log is emptied and nothing kept: else it would stay full.
    """
    older = [path.with_name(f"{path.name}.{age}") for age in range(1, KEPT + 1)]
    try:
        older[-1].unlink(missing_ok=True)
        for younger, elder in zip(older[-2::-1], older[:0:-1], strict=True):
            if younger.exists():
                younger.replace(elder)
        _copy(path, older[0])
    except OSError as error:
        _log.warning("a log is dropped", extra={"log": path.name, "reason": error.strerror})
    os.truncate(path, 0)


def _copy(path: Path, copy: Path) -> None:
    """Copy a file that grows, until there is nothing more of it."""
    with path.open("rb") as source, os.fdopen(_private(copy), "wb") as target:
        while True:
            shutil.copyfileobj(source, target)
            target.flush()
            if os.fstat(source.fileno()).st_size <= source.tell():
                return


def _private(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
