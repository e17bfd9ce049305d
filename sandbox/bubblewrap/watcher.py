"""Ends sandboxes that use too much memory or CPU, where no control group holds them to it.

The kernel's own limits are for each process. This looks at all processes of a sandbox together,
20 times a second: what it lets through is what can be taken within that time.
"""

import contextlib
import logging
import os
import signal
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from sandbox.protocol import Limits

_log = logging.getLogger(__name__)
_INTERVAL_S = 0.05
_FREE_S = 60.0
"""Until then a sandbox may use the CPU of so long at once; afterwards, as much on the average."""

_FILES = 4096
"""So many files may be in the folders of a sandbox: each takes memory that no other count has."""

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_WRITABLE = ("tmp", "dev/shm")

Verdict = Literal["memory", "cpu", "lost"]


@dataclass
class Watch:
    """A sandbox that is watched while its job runs.

    Attributes:
        pid: Its first process, as this machine counts.
        pidfd: The same; what the process is ended by, so that it is no other one.
        what: Which of `memory` and `cpu` is looked at.
        verdict: What it was ended for; `lost`, because nobody could see what it does.
    """

    pid: int
    pidfd: int
    limits: Limits
    what: frozenset[str]
    verdict: Verdict | None = None
    began_s: float = field(default_factory=time.monotonic)

    def look(self) -> Verdict | None:
        """What the sandbox has too much of now."""
        family = _family(self.pid)
        if "memory" in self.what and self._is_over(family):
            return "memory"
        if "cpu" in self.what:
            spent_s = sum(map(_cpu_s, family))
            if spent_s > self.limits.cpus * max(time.monotonic() - self.began_s, _FREE_S):
                return "cpu"
        return None

    def _is_over(self, family: list[int]) -> bool:
        in_files, files = _files(self.pid)
        if files > _FILES:
            return True
        room = self.limits.memory - in_files
        # What processes share counts once for each of them here, so it may be less in truth.
        if sum(map(_resident, family)) <= room:
            return False
        return sum(map(_proportional, family)) > room


class Watcher:
    """One thread that watches the sandboxes of this process; it sleeps while there are none."""

    def __init__(self) -> None:
        self._watched: list[Watch] = []
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def add(self, watch: Watch) -> None:
        """Watch it from now on."""
        with self._changed:
            self._watched.append(watch)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="sandbox watcher", daemon=True
                )
                self._thread.start()
            self._changed.notify()

    def remove(self, watch: Watch) -> None:
        """Watch it no more. Afterwards its `pidfd` is not used here."""
        with self._changed:
            if watch in self._watched:
                self._watched.remove(watch)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._watched)
                watched = list(self._watched)
            for watch in watched:
                verdict = _look(watch)
                with self._changed:
                    if verdict is not None and watch in self._watched:
                        self._watched.remove(watch)
                        watch.verdict = verdict
                        with contextlib.suppress(ProcessLookupError):
                            signal.pidfd_send_signal(watch.pidfd, signal.SIGKILL)
            time.sleep(_INTERVAL_S)


def _look(watch: Watch) -> Verdict | None:
    """The verdict on one. What cannot be looked at is not left running, and keeps no other so."""
    try:
        return watch.look()
    except Exception:
        _log.exception("a sandbox could not be watched, and is ended")
        return "lost"


def _family(first: int) -> list[int]:
    """A process and all below it; those whose parents died are children of the first."""
    found, at = [first], 0
    while at < len(found):
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{found[at]}/task"):
                with contextlib.suppress(OSError):
                    children = _read(found[at], f"task/{task}/children").split()
                    found += map(int, children)
        at += 1
    return found


def _read(pid: int, name: str) -> bytes:
    return Path(f"/proc/{pid}/{name}").read_bytes()


def _resident(pid: int) -> int:
    try:
        return int(_read(pid, "statm").split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


def _proportional(pid: int) -> int:
    """What the process has, and its part of what it shares; all of that where it is not told."""
    try:
        for line in _read(pid, "smaps_rollup").splitlines():
            if line.startswith(b"Pss:"):
                return int(line.split()[1]) * 1024
    except (OSError, IndexError):
        pass
    return _resident(pid)


def _cpu_s(pid: int) -> float:
    """Of the process and of its children that have ended."""
    try:
        fields = _read(pid, "stat").rpartition(b")")[2].split()
        return sum(map(int, fields[11:15])) / _TICKS
    except (OSError, ValueError):
        return 0.0


def _files(pid: int) -> tuple[int, int]:
    """Bytes and number of the files in a sandbox's folders."""
    size = count = 0
    for name in _WRITABLE:
        with contextlib.suppress(OSError):
            state = os.statvfs(f"/proc/{pid}/root/{name}")
            size += (state.f_blocks - state.f_bfree) * state.f_frsize
            count += state.f_files - state.f_ffree
    return size, count
