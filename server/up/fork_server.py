"""The fork server: a process that has loaded the code of O, and forks one for each command.

Loading takes two seconds of a processor; a fork takes milliseconds, and shares its memory with the
others. It starts no thread, opens no connection and has no event loop, so that nothing is lost or
doubled in a fork. `server.up.forks` is the supervisor's side of the socket between them: one
datagram a request, with a file that says what to run, and the descriptors that go along.
"""

import contextlib
import gc
import json
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import NoReturn

from server.up.title import show_as

MOST_DESCRIPTORS = 16

Run = Callable[[], None]


def load() -> None:
    """Load what the API and the workers need; the supervisor's own modules are there besides."""
    import uvicorn.lifespan.on  # noqa: PLC0415
    import uvicorn.loops.uvloop  # noqa: F401, PLC0415

    import api.edge.connection  # noqa: PLC0415
    import api.edge.descriptors  # noqa: F401, PLC0415
    import migrations.schema  # noqa: F401, PLC0415
    import server.serving  # noqa: PLC0415
    import server.worker.worker  # noqa: F401, PLC0415
    from api.app import prepare  # noqa: PLC0415

    prepare()


def serve(control: socket.socket, run: Run, prepare: Callable[[], None] = load) -> NoReturn:
    """Fork whenever `control` asks for it, until its other end closes. Never returns.

    Args:
        control: A socket of whole messages, whose other end only the supervisor has.
        run: What a fork does: the command line in `sys.argv`.
        prepare: What to do before the first fork.
    """
    status = 1
    try:
        _apart(control)
        prepare()
        gc.collect()
        gc.freeze()  # a collection in a fork would write to every object, and so copy it
        _Server(control, run).serve()
        status = 0
    except (ConnectionError, KeyboardInterrupt):  # the supervisor has gone
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _apart(control: socket.socket) -> None:
    """Hold nothing that is the supervisor's: neither its terminal's signals nor its files."""
    with contextlib.suppress(PermissionError):  # it leads a session already
        os.setsid()
    _become_input(os.open(os.devnull, os.O_RDONLY))
    if not sys.flags.safe_path:  # a folder named `api` where the operator stands is not ours
        sys.path.pop(0)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) != control.fileno():
            with contextlib.suppress(OSError):  # the one that listed them
                os.close(int(name))
    show_as("o fork-server")


def _become_input(fd: int) -> None:
    os.dup2(fd, 0)
    if fd != 0:
        os.close(fd)


class _Server:
    """Takes requests and tells of the forks that ended."""

    def __init__(self, control: socket.socket, run: Run) -> None:
        self._control = control
        self._run = run
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(self._wake, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)

    def serve(self) -> None:
        """Until the other end of the socket closes."""
        while True:
            ready, _, _ = select.select([self._control.fileno(), self._woken], [], [])
            if self._woken in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._woken, 4096)
                for pid, status in _ended():
                    self._control.send(b"ended %d %d" % (pid, status))
            if self._control.fileno() in ready and not self._take():
                return

    def _take(self) -> bool:
        """Fork for one request; answers whether there was one."""
        told, descriptors, _, _ = socket.recv_fds(self._control, 64, MOST_DESCRIPTORS)
        if not told:
            return False
        number = int(told)
        try:
            sys.stdout.flush()
            sys.stderr.flush()
            pid = os.fork()
            if pid == 0:
                self._be(descriptors)
            life = os.pidfd_open(pid)
            descriptors.append(life)
            socket.send_fds(self._control, [b"forked %d %d" % (number, pid)], [life])
        except OSError as error:
            if isinstance(error, ConnectionError):
                raise
            self._control.send(b"failed %d %d" % (number, error.errno or 0))
        finally:
            for fd in descriptors:
                os.close(fd)
        return True

    def _be(self, descriptors: list[int]) -> NoReturn:
        """In the fork: become what the request says, and end when that ends."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.setsid()
            os.close(self._woken)
            os.close(self._wake)
            self._control.close()
            _become(descriptors)
            status = _status_of(self._run)
        except SystemExit:
            pass
        except BaseException:
            traceback.print_exc()
        finally:
            with contextlib.suppress(OSError, ValueError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(status)


def _ended() -> Iterator[tuple[int, int]]:
    """The forks that ended, with their exit statuses; one that a signal ended has minus that."""
    with contextlib.suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            yield found[0], os.waitstatus_to_exitcode(found[1])


def _become(descriptors: list[int]) -> None:
    """Take the environment, the output and the command line that the request says.

    It comes with a file of JSON, a gate that opens once the supervisor knows of this process, its
    output, and what it keeps, each with the variable that tells of it, which is empty where the
    process only has to hold it.
    """
    request, gate, output, *kept = descriptors
    if not os.read(gate, 1):
        raise SystemExit(1)
    os.close(gate)
    with open(request, encoding="utf-8") as file:
        asked = json.load(file)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    os.environ.clear()
    os.environ.update(asked["environment"])
    for fd, variable in zip(kept, asked["variables"], strict=True):
        os.set_inheritable(fd, True)
        if variable:
            os.environ[variable] = str(fd)
    os.umask(0o077)
    sys.argv = ["o", *asked["arguments"]]
    show_as(" ".join(sys.argv))


def _status_of(run: Run) -> int:
    """The exit status, as the interpreter would give it."""
    try:
        run()
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)  # noqa: T201
        return 1
    return 0
