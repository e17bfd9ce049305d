"""Folders of requirements that no tool has needed for long, and how they go beside running ones.

`Packages` marks what is used. A set of requirements that was not goes first; its folder a day
after that, when nobody can be running with it, and only if no other set has led to it meanwhile.
"""

import contextlib
import fcntl
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path

from sandbox.packages import remove_folder

_log = logging.getLogger(__name__)
_DAY_S = 24 * 3600.0


def remove_old(root: Path, *, kept_s: float, grace_s: float = _DAY_S) -> int:
    """Remove what was not used for `kept_s` seconds; answers how many folders went.

    Several workers of a machine may do it at once, and a repeat is harmless.

    Args:
        root: Where the folders are; it may be missing.
        kept_s: How long a set of requirements is kept after its last use.
        grace_s: How long a folder stays after that: longer than any call may take.
    """
    for name, kept in (("wanted", kept_s), ("failed", _DAY_S)):
        for file in _in(root / name):
            with _alone(root, file.name) as is_ours:
                if is_ours and _age_s(file) > kept:
                    _forget(root, file)
    used = {_text(file) for file in _in(root / "wanted")}
    gone = 0
    for folder in _in(root):
        if folder.name in {"wanted", "failed", "locks"} or folder.name in used:
            continue
        gone += _remove_unused(root, folder, grace_s)
    if gone:
        _log.info("unused requirements removed", extra={"folders": gone})
    return gone


def _forget(root: Path, file: Path) -> None:
    """Its folder's time of grace begins now."""
    with contextlib.suppress(OSError):
        if file.parent.name == "wanted":
            os.utime(root / _text(file))
    file.unlink(missing_ok=True)


def _remove_unused(root: Path, folder: Path, grace_s: float) -> bool:
    """Take its name away first, so that nobody finds half of it."""
    if folder.name.startswith("gone-"):
        remove_folder(folder)  # somebody died over it
        return False
    with _alone(root, folder.name.removeprefix("making-")) as is_ours:
        if not is_ours or _age_s(folder) <= grace_s:
            return False
        if any(_text(file) == folder.name for file in _in(root / "wanted")):
            return False
        gone = folder.with_name(f"gone-{folder.name}")
        with contextlib.suppress(OSError):
            folder.rename(gone)
    remove_folder(gone)
    return True


@contextlib.contextmanager
def _alone(root: Path, name: str) -> Iterator[bool]:
    """Hold the lock of that name, if nobody does; see `Packages`."""
    with contextlib.ExitStack() as held:
        try:
            lock = held.enter_context((root / "locks" / name).open("a"))
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            is_ours = False
        else:
            is_ours = True
        yield is_ours


def _in(folder: Path) -> list[Path]:
    with contextlib.suppress(OSError):
        return list(folder.iterdir())
    return []


def _text(file: Path) -> str:
    with contextlib.suppress(OSError):
        return file.read_text()
    return ""


def _age_s(path: Path) -> float:
    """Since its last use; 0 where it is gone."""
    with contextlib.suppress(OSError):
        return time.time() - path.stat().st_mtime
    return 0.0
