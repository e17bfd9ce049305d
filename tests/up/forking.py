"""A small supervisor: `forking.py OUTPUT WAY WHAT…` has a process forked that does WHAT.

It tells what it sees in lines: `forked PID`, `ended STATUS`.
"""

import asyncio
import contextlib
import os
import random
import signal
import sys
import threading
import time
import uuid
from pathlib import Path

import psutil

from o.errors import Unavailable
from o.ids import new_id
from server.up import forks


def fork() -> None:
    """What a fork does."""
    match sys.argv[1]:
        case "exit-7":
            sys.exit(7)
        case "exit-words":
            sys.exit("words")
        case "raise":
            raise ValueError("of a fork")
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "sleep":
            time.sleep(600)
        case "draw":
            sys.stdout.write(f"{random.random()} {new_id('agent')} {uuid.uuid4()}\n")
        case "describe":
            _describe()


def _describe() -> None:
    kept = int(os.environ.pop("KEPT"))
    umask = os.umask(0)
    handlers = (signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD))
    told = {
        "pid": os.getpid(),
        "session": os.getsid(0),
        "argv": " ".join(sys.argv),
        "title": " ".join(psutil.Process().cmdline()),
        "environment": " ".join(f"{name}={text!a}" for name, text in os.environ.items()),
        "input": os.readlink("/proc/self/fd/0"),
        "umask": oct(umask),
        "kept": os.read(kept, 9).decode(),
        "open": psutil.Process().num_fds(),
        "signals": " ".join(getattr(one, "__name__", None) or one.name for one in handlers),
        "threads": threading.active_count(),
    }
    sys.stdout.writelines(f"{name}={value}\n" for name, value in told.items())


async def supervise(server: forks.ForkServer, way: str, what: list[str], output: int) -> None:
    """Have one forked, and tell of it."""
    reading, writing = os.pipe()
    os.write(writing, b"heard")
    kept = {reading: "KEPT", output: ""}

    async def one() -> forks.Forked:
        return await server.fork(what, {"GIVEN": "\udcff"}, output, kept)

    server.keep(lambda: None)
    if way == "give-up":
        asking = asyncio.create_task(one())
        await asyncio.sleep(0)
        asking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asking
        _tell("gave up")
    if way == "stopped":
        assert server.pid is not None
        os.kill(server.pid, signal.SIGSTOP)
        try:
            await one()
        except Unavailable:
            _tell("unavailable")
        await server.close()
        return
    if way == "twice":
        await (await one()).wait()
    forked = await one()
    _tell(f"forked {forked.pid}")
    if way == "untold":
        assert server.pid is not None
        os.kill(server.pid, signal.SIGSTOP)
        forked.send_signal(signal.SIGKILL)
    if way == "kill":
        forked.send_signal(signal.SIGKILL)
    _tell(f"ended {await forked.wait()}")
    await server.close()


def _tell(what: str) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


def main() -> None:
    output, way, *what = sys.argv[1:]
    random.random()  # a generator that has been used is copied as it stands
    server = forks.ForkServer.start(fork, lambda: None, 1.0 if way == "stopped" else 60.0)
    assert server is not None
    fd = os.open(Path(output), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    asyncio.run(supervise(server, way, what, fd))


if __name__ == "__main__":
    main()
