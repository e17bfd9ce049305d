"""`o up` forked from a process that has loaded O already: a start takes half the processor time.

It is O's own fork server, spoken to without an event loop.
"""

import contextlib
import functools
import json
import os
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from select import select

from server.up.commands import FORK_SERVER

_REPOSITORY = Path(__file__).parents[2]


class Forked:
    """A process that the fork server made, as far as tests need one."""

    def __init__(self, server: "Preloaded", pid: int, life: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._server = server
        self._life = life

    def poll(self) -> int | None:
        """Its exit status; None while it runs."""
        if self.returncode is None and select([self._life], [], [], 0)[0]:
            self.returncode = self._server.status_of(self.pid)
            os.close(self._life)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end.

        Raises:
            TimeoutError: it did not end within `timeout` seconds.
        """
        if self.returncode is None and not select([self._life], [], [], timeout)[0]:
            raise TimeoutError(f"process {self.pid} runs after {timeout} s")
        status = self.poll()
        assert status is not None
        return status

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it runs."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._life, number)


class Preloaded:
    """One fork server, which ends with the process that asks it.

    Args:
        variables: What it loads with, besides what no setting of O's is.
    """

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._ended: dict[int, int] = {}
        # No setting is read while modules load; each fork gets an environment of its own.
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("O_") and name != "PYTHONDONTWRITEBYTECODE"
        }
        self._process = subprocess.Popen(
            [*FORK_SERVER, str(theirs.fileno())],
            cwd=_REPOSITORY,
            env=kept | dict(variables),
            pass_fds=(theirs.fileno(),),
            stdout=subprocess.DEVNULL,
        )
        theirs.close()

    def fork(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        output: int,
        kept: Mapping[int, str],
    ) -> Forked:
        """Run O's command line; see `server.up.forks.ForkServer.fork`."""
        asked = {
            "arguments": list(arguments),
            "environment": dict(environment),
            "variables": list(kept.values()),
        }
        gate, opener = os.pipe()
        request = os.memfd_create("request")
        try:
            os.pwrite(request, json.dumps(asked).encode(), 0)
            socket.send_fds(self._control, [b"1"], [request, gate, output, *kept])
            pid, life = self._forked()
            os.write(opener, b"\n")
        finally:
            for fd in (gate, opener, request):
                os.close(fd)
        return Forked(self, pid, life)

    def status_of(self, pid: int) -> int:
        """The exit status of a fork that has ended."""
        while pid not in self._ended:
            self._hear()
        return self._ended.pop(pid)

    def _forked(self) -> tuple[int, int]:
        while not (made := self._hear()):
            pass
        return made

    def _hear(self) -> tuple[int, int] | None:
        """Take one message: pid and descriptor of a process that was made, or word of an end."""
        told, descriptors, _, _ = socket.recv_fds(self._control, 64, 1)
        assert told, "the fork server of the tests died"
        what, first, second = told.decode().split()
        assert what != "failed", os.strerror(int(second))
        if what == "forked":
            return int(second), descriptors[0]
        self._ended[int(first)] = int(second)
        return None


@functools.cache
def preloaded(**variables: str) -> Preloaded:
    """The one of this process that loads with `variables`, started when it is first wanted."""
    return Preloaded(variables)
