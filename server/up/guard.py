"""Runs one foreign program for `o up` and ends it when the supervisor ends.

A process of its own: `python -I -S guard.py [stop=INT:10,QUIT:6] [account=WAY:UID:GID] -- PROGRAM`.
It imports little, because one stays in memory beside PostgreSQL and one beside Temporal.
`check` in place of `-- PROGRAM` tells whether the account can reach the paths that follow.
"""

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Iterator, Sequence

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ctypes

CANNOT_BECOME = 3
"""Exit status of `check`: the system does not let us take the account."""
CANNOT_REACH = 4
"""Exit status of `check`: the account cannot enter the directory that is printed."""

Account = tuple[str, int, int]
Stage = tuple[signal.Signals, float]

_CLONE_NEWUSER = 0x10000000
_PR_SET_PDEATHSIG = 1


def main(arguments: Sequence[str]) -> int:
    """Run the program, or the check, that `arguments` describe; answer the exit status."""
    account: Account | None = None
    stages: list[Stage] = [(signal.SIGTERM, 10.0)]
    for position, argument in enumerate(arguments):
        name, _, value = argument.partition("=")
        if name == "account":
            way, uid, gid = value.split(":")
            account = (way, int(uid), int(gid))
        elif name == "stop":
            stages = list(_stages(value))
        elif name == "check" and account is not None:
            return _check(account, arguments[position + 1 :])
        elif name == "--":
            return _run(arguments[position + 1 :], account, [*stages, (signal.SIGKILL, 3600.0)])
    return 2


def _stages(text: str) -> Iterator[Stage]:
    for part in text.split(","):
        name, _, seconds = part.partition(":")
        yield signal.Signals[f"SIG{name}"], float(seconds)


def _run(command: Sequence[str], account: Account | None, stages: Sequence[Stage]) -> int:
    requests: list[int] = []
    wake, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: requests.append(1))
    lifeline = _inherited("O_LIFELINE_FD")
    report = _inherited("O_READY_FD")
    guard = os.getpid()
    child = os.fork()
    if child == 0:
        _become_program(command, account, guard, stages)
    if report is not None:
        with contextlib.suppress(BrokenPipeError):  # the lifeline deals with that
            os.write(report, b"%d\n" % child)
        os.close(report)
    return _watch(child, lifeline, wake, requests, stages)


def _inherited(name: str) -> int | None:
    text = os.environ.pop(name, None)
    if text is None:
        return None
    os.set_inheritable(int(text), False)
    return int(text)


def _watch(
    child: int, lifeline: int | None, wake: int, requests: list[int], stages: Sequence[Stage]
) -> int:
    """Wait for the child; each request to stop, or the end of a grace, goes one stage further."""
    sources = [wake] if lifeline is None else [wake, lifeline]
    done, limit = 0, 0.0
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code
        if done < len(stages) and (len(requests) > done or (done and time.monotonic() > limit)):
            os.kill(child, stages[done][0])
            limit = time.monotonic() + stages[done][1]
            done += 1
            continue
        timeout = max(0.0, limit - time.monotonic()) if 0 < done < len(stages) else None
        for source in select.select(sources, [], [], timeout)[0]:
            if not os.read(source, 512):
                sources.remove(source)
                requests.append(1)


def _become_program(
    command: Sequence[str], account: Account | None, guard: int, stages: Sequence[Stage]
) -> None:
    """In the child: take the account, tie its life to the guard's, become the program."""
    try:
        system = _system()  # the account may have no way to Python's files
        if account is not None:
            _become(account, system)
        if sys.platform == "linux":
            # After the change of account, which clears it. With the last polite signal: kill -9
            # of the guard ends the program at once, but PostgreSQL takes its backends along.
            system.prctl(_PR_SET_PDEATHSIG, int(stages[-2][0]), 0, 0, 0)
        for number in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        if os.getppid() == guard:
            os.execv(command[0], list(command))  # noqa: S606
    except BaseException as error:
        os.write(2, f"cannot run {command[0]}: {error}\n".encode())
    os._exit(127)


def _system() -> "ctypes.CDLL":
    """The C library. Loaded in children only, to keep the guard itself small."""
    import ctypes  # noqa: PLC0415

    return ctypes.CDLL(None, use_errno=True)


def _become(account: Account, system: "ctypes.CDLL") -> None:
    way, uid, gid = account
    if way == "switch":
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    elif way == "namespace":
        _enter_namespace(uid, gid, system)


def _enter_namespace(uid: int, gid: int, system: "ctypes.CDLL") -> None:
    """See ourselves as `uid` while every file we make still belongs to who we really are."""
    outer = (os.geteuid(), os.getegid())
    if system.unshare(_CLONE_NEWUSER) != 0:
        raise PermissionError("no user namespace")
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{uid} {outer[0]} 1"),
        ("gid_map", f"{gid} {outer[1]} 1"),
    ):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)
    if (os.geteuid(), os.getegid()) != (uid, gid):
        raise PermissionError("the account was not mapped")


def _check(account: Account, paths: Sequence[str]) -> int:
    """Take the account and print the first directory, from the root on, that it cannot enter."""
    try:
        _become(account, _system())
    except OSError as error:
        os.write(1, f"{error}\n".encode())
        return CANNOT_BECOME
    for path in paths:
        steps = [path]
        while steps[-1] != os.path.dirname(steps[-1]):
            steps.append(os.path.dirname(steps[-1]))
        for step in reversed(steps):
            if not os.access(step, os.X_OK):
                os.write(1, f"{step}\n".encode())
                return CANNOT_REACH
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
