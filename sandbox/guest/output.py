"""What a tool's process writes: its result, and what it prints, each up to a limit."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import time

from .values import clean

_PART = 1 << 16
_DRAIN_S = 0.1


class Pipes:
    """The pipes between the supervisor and the tool, made before the fork."""

    def __init__(self) -> None:
        self.result_end, self.result = os.pipe()
        self.stdout_end, self._stdout = os.pipe()
        self.stderr_end, self._stderr = os.pipe()
        self.child_end, self._child = os.pipe()
        os.set_blocking(self._child, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._child, warn_on_full_buffer=False)

    def enter_child(self) -> None:
        """In the child: no stdin, its own stdout and stderr, and of the rest only the result."""
        null = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((null, 0), (self._stdout, 1), (self._stderr, 2)):
            os.dup2(source, target)
        os.dup2(self.result, 3)
        self.result = 3
        os.set_inheritable(3, False)
        os.closerange(4, 256)

    def close_inner(self) -> None:
        """In the supervisor: leave the ends of the child to the child."""
        for descriptor in (self.result, self._stdout, self._stderr):
            os.close(descriptor)


class Printed:
    """What came on one stream: the first of it, and the count of all."""

    def __init__(self, limit: int) -> None:
        self.count = 0
        self._limit = limit
        self._kept = bytearray()

    def take(self, data: bytes) -> None:
        """Count some bytes, and keep what there is room for."""
        self.count += len(data)
        room = self._limit - len(self._kept)
        if room > 0:
            self._kept += data[:room]

    def text(self) -> str:
        """What is kept."""
        return clean(self._kept.decode("utf-8", "replace"))


class Output:
    """Reads what the child writes until it has told its result, ended, or run out of time.

    Attributes:
        payload: The frame that the child wrote, when it is whole.
        status: How the child ended, as `waitpid` has it.
    """

    def __init__(self, pipes: Pipes, output_limit: int, result_limit: int) -> None:
        self.payload: bytes | None = None
        self.status: int | None = None
        self.printed = {"stdout": Printed(output_limit), "stderr": Printed(output_limit)}
        self._pipes = pipes
        self._result = bytearray()
        self._limit = result_limit
        self._selector = selectors.DefaultSelector()
        for descriptor, name in (
            (pipes.result_end, "result"),
            (pipes.stdout_end, "stdout"),
            (pipes.stderr_end, "stderr"),
            (pipes.child_end, "child"),
            (0, "worker"),
        ):
            os.set_blocking(descriptor, descriptor == 0)
            with contextlib.suppress(OSError):  # stdin may be a file, which is never at an end
                self._selector.register(descriptor, selectors.EVENT_READ, name)

    def read(self, child: int, until: float) -> str:
        """Read until `ended`, `timeout`, `frame` for a result over its limit, or `orphaned`.

        A grandchild may hold the streams open for ever: they are read as far as they have come.
        """
        found = ""
        while not found:
            left = until - time.monotonic()
            if left <= 0:
                found = "timeout"
                break
            for key, _ in self._selector.select(left):
                found = found or self._take(key.data, key.fd, child)
        self._drain(time.monotonic() + _DRAIN_S)
        if self.payload is None and found == "ended":
            self._finish_result()
        return found

    def _take(self, name: str, descriptor: int, child: int) -> str:
        try:
            data = os.read(descriptor, _PART)
        except BlockingIOError:
            return ""
        if name == "child":
            ended, status = os.waitpid(child, os.WNOHANG)
            self.status = status if ended else self.status
            return "ended" if ended else ""
        if not data:
            self._selector.unregister(descriptor)
            return "orphaned" if name == "worker" else ""
        if name == "result":
            self._result += data
            return self._finish_result()
        if name != "worker":
            self.printed[name].take(data)
        return ""

    def _finish_result(self) -> str:
        size = int.from_bytes(self._result[:4], "big")
        if len(self._result) >= 4 and size > self._limit:
            return "frame"
        if len(self._result) >= 4 + max(size, 1):
            self.payload = bytes(self._result[4 : 4 + size])
            return "ended"
        return ""

    def _drain(self, until: float) -> None:
        """Take what has been written already, for a short while."""
        taken = True
        while taken and time.monotonic() < until:
            taken = False
            for key, _ in self._selector.select(0):
                if key.data in self.printed or (key.data == "result" and self.payload is None):
                    self._take(key.data, key.fd, 0)
                    taken = True
