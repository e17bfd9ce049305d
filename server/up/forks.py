"""The supervisor's side of the fork server: it has processes forked, and waits for their ends.

Linux alone has what this takes (a descriptor for a process); elsewhere, and where a sandbox keeps
that back, every process is started by its command line.
"""

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from o.errors import Unavailable
from server.up import fork_server
from server.up.commands import FORK_SERVER

_log = logging.getLogger(__name__)

_LONGEST_WAIT_S = 60.0
"""It may still be loading, on a machine that is busy."""
_STATUS_WAIT_S = 3.0
_STEADY_S = 10.0
_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 60.0
UNKNOWN = -1
"""The exit status of a process that outlived its fork server."""


class Process(Protocol):
    """What the supervisor needs of a process, however it was started."""

    @property
    def pid(self) -> int:
        """Its id."""

    def send_signal(self, signal: int, /) -> None:
        """Send it a signal; ProcessLookupError when it has gone."""

    async def wait(self) -> int:
        """Wait for its end; answers its exit status."""


class Forked:
    """A process that the fork server made. It outlives the fork server."""

    def __init__(self, pid: int, life: int) -> None:
        self.pid = pid
        self._life = life
        self._gone = asyncio.Event()
        self._status: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().add_reader(life, self._end)

    def send_signal(self, number: int, /) -> None:
        """Send a signal to this very process, whoever has its id now."""
        if self._gone.is_set():
            raise ProcessLookupError
        signal.pidfd_send_signal(self._life, number)

    async def wait(self) -> int:
        """Wait for its end; `UNKNOWN` where the fork server does not tell, dead or stopped."""
        await self._gone.wait()
        with contextlib.suppress(TimeoutError):
            return await asyncio.wait_for(asyncio.shield(self._status), _STATUS_WAIT_S)
        return UNKNOWN

    def end_with(self, status: int) -> None:
        """Take the exit status, of which the fork server tells."""
        if not self._status.done():
            self._status.set_result(status)

    def _end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._life)
        os.close(self._life)
        self._gone.set()


class ForkServer:
    """Keeps one fork server alive and asks it for processes."""

    def __init__(self, pid: int, control: socket.socket, patience_s: float) -> None:
        self.pid: int | None = None
        self._patience_s = patience_s
        self._asking = asyncio.Lock()
        self._asked = 0
        self._answer: asyncio.Future[Forked] | None = None
        self._forked: dict[int, Forked] = {}
        self._closed = asyncio.Event()
        self._take_on(pid, control)
        self._keeper: asyncio.Task[None] | None = None

    @classmethod
    def start(
        cls,
        run: fork_server.Run,
        prepare: Callable[[], None] = fork_server.load,
        patience_s: float = _LONGEST_WAIT_S,
    ) -> "ForkServer | None":
        """Fork the first one from this process, which must have no thread and no event loop yet.

        Answers None where the system does not have what it takes.

        Args:
            run: What a fork does, by the command line that it finds.
            prepare: What to do before the first fork: to load the code that they need.
            patience_s: How long one that does not answer is waited for before it is killed.
        """
        if not _is_possible():
            return None
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            ours.close()
            fork_server.serve(theirs, run, prepare)
        theirs.close()
        return cls(pid, ours, patience_s)

    def keep(self, on_change: Callable[[], None]) -> None:
        """Begin to keep it alive, in the running event loop; `on_change` is told of another pid."""
        self._keeper = asyncio.create_task(self._keep(on_change), name="keep the fork server")

    async def fork(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        output: int,
        kept: Mapping[int, str],
    ) -> Forked:
        """Have a process forked that runs O's command line with `arguments`.

        It begins once it is known here, so there is none that nobody waits for.

        Args:
            arguments: What stands behind `o`.
            environment: All of it.
            output: Where its standard output and errors go.
            kept: What it and its descendants hold besides, with the variable that tells it of the
                descriptor, which may be empty.

        Raises:
            Unavailable: there is no fork server at the moment, or it died over this.
            OSError: the system has no room for another process.
        """
        asked = {
            "arguments": list(arguments),
            "environment": dict(environment),
            "variables": list(kept.values()),
        }
        async with self._asking:
            if self.pid is None:
                raise Unavailable("there is no fork server now")
            gate, opener = os.pipe()
            request = os.memfd_create("request")
            try:
                os.pwrite(request, json.dumps(asked).encode(), 0)
                forked = await self._ask([request, gate, output, *kept])
                os.write(opener, b"\n")
            except BrokenPipeError:
                pass  # it ended at once, as its status says
            finally:
                for fd in (gate, opener, request):
                    os.close(fd)
        return forked

    async def close(self) -> None:
        """End it at once, and wait until it has gone. What it forked stays."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        if not self._closed.is_set():
            asyncio.get_running_loop().remove_reader(self._control)
            self._control.close()
        if self.pid is not None:
            os.kill(self.pid, signal.SIGKILL)
            await asyncio.to_thread(os.waitpid, self.pid, 0)
            self.pid = None

    async def _ask(self, descriptors: Sequence[int]) -> Forked:
        self._answer = asyncio.get_running_loop().create_future()
        self._asked += 1
        try:
            socket.send_fds(self._control, [b"%d" % self._asked], descriptors)
            return await asyncio.wait_for(self._answer, self._patience_s)
        except (ConnectionError, TimeoutError):
            if self.pid is not None:
                os.kill(self.pid, signal.SIGKILL)
            raise Unavailable("the fork server does not answer") from None
        finally:
            self._answer = None

    async def _keep(self, on_change: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        pause_s = _PAUSE_S
        while True:
            began = time.monotonic()
            loop.add_reader(self._control, self._hear)
            on_change()
            await self._closed.wait()
            if self.pid is not None:
                pid, self.pid = self.pid, None
                await asyncio.to_thread(os.waitpid, pid, 0)
            on_change()
            _log.warning("the fork server died and is started again")
            # One that cannot load takes two seconds of a processor each time.
            steady = time.monotonic() - began > _STEADY_S
            pause_s = _PAUSE_S if steady else min(_LONGEST_PAUSE_S, pause_s * 2)
            if not steady:
                await asyncio.sleep(pause_s)
            self._take_on(*await _another())

    def _take_on(self, pid: int, control: socket.socket) -> None:
        control.setblocking(False)
        self.pid, self._control = pid, control
        self._closed.clear()

    def _hear(self) -> None:
        """Take one message: of a process that was made, one that was not, or one that ended."""
        try:
            told, descriptors, _, _ = socket.recv_fds(self._control, 64, 1)
        except BlockingIOError:
            return
        except ConnectionError:
            told, descriptors = b"", []
        if not told:
            self._lose()
            return
        what, first, second = told.decode().split()
        if what == "forked":
            forked = self._forked[int(second)] = Forked(int(second), descriptors[0])
            # Whoever has left since, has left the gate shut, and so the process ends.
            self._give(int(first), forked)
        elif what == "failed":
            self._give(int(first), OSError(int(second), os.strerror(int(second))))
        elif what == "ended" and (ended := self._forked.pop(int(first), None)) is not None:
            ended.end_with(int(second))

    def _give(self, asked: int, answer: Forked | Exception) -> None:
        if self._answer is None or self._answer.done() or asked != self._asked:
            return
        if isinstance(answer, Forked):
            self._answer.set_result(answer)
        else:
            self._answer.set_exception(answer)

    def _lose(self) -> None:
        """It died. What it forked lives on, and nobody will tell how that ends."""
        asyncio.get_running_loop().remove_reader(self._control)
        self._control.close()
        for forked in self._forked.values():
            forked.end_with(UNKNOWN)
        self._forked.clear()
        self._give(self._asked, Unavailable("the fork server died"))
        self._closed.set()


def _is_possible() -> bool:
    """Whether this system tells of a process, and sends it signals, by a descriptor."""
    if sys.platform != "linux":
        return False
    try:
        life = os.pidfd_open(os.getpid())
        signal.pidfd_send_signal(life, 0)
        os.close(life)
        os.close(os.memfd_create("none"))
        os.listdir("/proc/self/fd")
    except OSError:
        return False
    return True


async def _another() -> tuple[int, socket.socket]:
    """A new fork server, as soon as the system has room for one."""
    while True:
        try:
            return _spawned()
        except OSError as error:
            _log.warning("no fork server can be started", extra={"reason": error.strerror})
        await asyncio.sleep(_LONGEST_PAUSE_S)


def _spawned() -> tuple[int, socket.socket]:
    """A fork server that loads everything by itself: this process can no longer be forked."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        theirs.set_inheritable(True)
        command = [*FORK_SERVER, str(theirs.fileno())]
        try:
            return os.posix_spawn(command[0], command, os.environ), ours
        except OSError:
            ours.close()
            raise
