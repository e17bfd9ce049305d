"""What a Python child of `o up` has of its supervisor: it ends with it, and reports to it."""

import os
import signal
import socket
import threading
import time

REFUSED = "o: "
"""How the last line begins of a command that refuses something; the supervisor passes it on."""
SOCKET_FD = "O_SOCKET_FD_"
"""How the variables begin that tell of sockets to serve on; a number from 1 on follows."""
GRACE_S = 1.0
"""Seconds to leave politely once the supervisor is gone: the database leaves at the same time."""


def follow_supervisor() -> None:
    """End this process when the process that started it ends, however that happens.

    The supervisor holds the other end of a pipe and never writes to it; the kernel closes it even
    after kill -9. Does nothing in a process that no supervisor started. Being cut short is safe:
    every step is retried.
    """
    fd = _inherited("O_LIFELINE_FD")
    if fd is not None:
        threading.Thread(target=_wait_for_end, args=(fd,), name="lifeline", daemon=True).start()


def report_ready() -> None:
    """Tell the supervisor, if there is one, that this process does its work now."""
    fd = _inherited("O_READY_FD")
    if fd is not None:
        try:
            os.write(fd, b"\n")
        except BrokenPipeError:  # the supervisor is gone; the lifeline deals with that
            pass
        finally:
            os.close(fd)


def inherited_sockets() -> list[socket.socket]:
    """The sockets on which this process is to serve, bound by the supervisor; none without one.

    They outlive this process, and so do the connections that wait in them.
    """
    found: list[socket.socket] = []
    while (fd := _inherited(f"{SOCKET_FD}{len(found) + 1}")) is not None:
        found.append(socket.socket(fileno=fd))
    return found


def _inherited(name: str) -> int | None:
    """The descriptor that `name` tells of, hidden from the processes that this one starts."""
    text = os.environ.pop(name, None)
    if text is None:
        return None
    fd = int(text)
    os.set_inheritable(fd, False)
    return fd


def _wait_for_end(fd: int) -> None:
    os.read(fd, 1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_S)
    os._exit(1)
