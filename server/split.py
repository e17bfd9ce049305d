"""Several API processes under one `o api`: forked from it, and started again when they die."""

import contextlib
import gc
import logging
import os
import select
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

from server.lifeline import follow_supervisor, report_ready
from server.up.child import pause_s

_log = logging.getLogger(__name__)

_STEADY_S = 10.0
_NUMBERS = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)


def split(count: int) -> None:
    """Become `count` processes, each of which goes on from here.

    This one keeps them alive until SIGTERM or SIGINT, which it passes on, and never returns. It
    must have no thread and no event loop. Where one dies before all were ready, all end.

    Raises:
        SystemExit: in this process, once all have ended.
    """
    gc.collect()
    gc.freeze()  # a collection in a fork would write to every object, and so copy it
    _Keeper(count).keep()


@dataclass
class _Life:
    """One process, from its fork to its end."""

    report: int
    since: float
    is_ready: bool = False


class _Keeper:
    def __init__(self, count: int) -> None:
        self._lives: dict[int, _Life] = {}
        self._due = [0.0] * count  # when those are to be started that are not there
        self._quick_deaths = 0
        self._was_ready = False
        self._stops = 0
        self._status = 0
        # Nobody else may hold the write end: it closes when this process ends, however it does.
        self._lifeline, self._life = os.pipe()
        self._woken, self._wake = os.pipe()
        for fd in (self._woken, self._wake):
            os.set_blocking(fd, False)

    def keep(self) -> None:
        """Returns in each fork."""
        before = {number: signal.getsignal(number) for number in _NUMBERS}
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        for number in _NUMBERS:
            signal.signal(number, self._hear)
        while not self._stops or self._lives:
            if self._starts_in_a_fork():
                for number, handler in before.items():
                    signal.signal(number, handler)
                signal.pthread_sigmask(signal.SIG_UNBLOCK, _NUMBERS)
                follow_supervisor()
                return
            self._wait()
            for pid, status in _ended():
                self._lose(pid, status)
        self._leave()

    def _starts_in_a_fork(self) -> bool:
        """Start those that are due; answers in each fork that it is one."""
        while self._due and min(self._due) <= time.monotonic():
            sys.stdout.flush()
            sys.stderr.flush()
            report, ready = os.pipe()
            # What comes now is this process' business, and not also that of the fork.
            signal.pthread_sigmask(signal.SIG_BLOCK, _NUMBERS)
            if not self._due:  # it came a moment ago
                os.close(report)
                os.close(ready)
            elif (pid := os.fork()) == 0:
                self._be_one(report, ready)
                return True
            else:
                os.close(ready)
                self._due.remove(min(self._due))
                self._lives[pid] = _Life(report, time.monotonic())
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _NUMBERS)
        return False

    def _be_one(self, report: int, ready: int) -> None:
        """In the fork: hold nothing of the keeper's but the end of its lifeline that is read."""
        signal.set_wakeup_fd(-1)
        os.setsid()  # Ctrl-C is for the keeper, which stops in order
        others = [life.report for life in self._lives.values() if life.report >= 0]
        for fd in (report, self._woken, self._wake, self._life, *others):
            os.close(fd)
        os.environ.update(O_LIFELINE_FD=str(self._lifeline), O_READY_FD=str(ready))

    def _wait(self) -> None:
        """Until a signal, a report or the next start that is due."""
        reports = {life.report: life for life in self._lives.values() if life.report >= 0}
        patience_s = max(0.0, min(self._due) - time.monotonic()) if self._due else None
        found, _, _ = select.select([self._woken, *reports], [], [], patience_s)
        if self._woken in found:
            with contextlib.suppress(BlockingIOError):
                os.read(self._woken, 4096)
        for fd in found:
            if fd in reports:
                self._take(reports[fd])

    def _take(self, life: _Life) -> None:
        """A process is ready, or has ended before it was."""
        life.is_ready = bool(os.read(life.report, 64))
        os.close(life.report)
        life.report = -1
        if not self._was_ready and all(one.is_ready for one in self._lives.values()):
            self._was_ready = True
            report_ready()

    def _lose(self, pid: int, status: int) -> None:
        """Have a process that died started again, unless all are to end."""
        life = self._lives.pop(pid, None)
        if life is None:
            return
        if life.report >= 0:
            os.close(life.report)
        if self._stops:
            return
        if not self._was_ready:
            self._status = status if status > 0 else 1
            self._stop()
            return
        is_steady = time.monotonic() - life.since > _STEADY_S
        self._quick_deaths = 1 if is_steady else self._quick_deaths + 1
        pause = pause_s(self._quick_deaths)
        self._due.append(time.monotonic() + pause)
        facts = {"status": status, "pause_s": pause}
        _log.warning("an API process died and is started again", extra=facts)

    def _hear(self, number: int, _: object) -> None:
        if number != signal.SIGCHLD:
            self._stop()

    def _stop(self) -> None:
        """Ask all to end; the second time, end them."""
        self._stops += 1
        self._due.clear()
        for pid in list(self._lives):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM if self._stops == 1 else signal.SIGKILL)

    def _leave(self) -> NoReturn:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(self._status)


def _ended() -> Iterator[tuple[int, int]]:
    """Those that ended, with their exit statuses; one that a signal ended has minus that."""
    with contextlib.suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            yield found[0], os.waitstatus_to_exitcode(found[1])
