"""How a program is started in a sandbox of bubblewrap: its options, its files, its limits."""

import json
import os
import platform
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from sandbox import seccomp
from sandbox.bubblewrap.host import FIRST_UID, UIDS, Host
from sandbox.protocol import Limits

_MIB = 1024 * 1024
_SHARED_MEMORY = 8 * _MIB
_OPEN_FILES = 256
_NOBODY = 65534
_HOME = "/tmp"  # noqa: S108 - the sandbox's own

_ENTER = Path(__file__).with_name("enter.py").read_text(encoding="utf-8")
NAMESPACES = ("ipc", "pid", "net", "uts", "cgroup")


@dataclass
class Confined:
    """A command line, and what its process must inherit.

    Attributes:
        argv: To be started by the main thread: the sandbox ends with the thread that started it.
        fds: To be inherited, and closed with `close` afterwards.
        info: Where bubblewrap writes what it made, as JSON: `child-pid` is the first process of
            the sandbox, whose end is the end of all others in it.
    """

    argv: list[str]
    fds: list[int]
    info: int
    _opened: ExitStack = field(default_factory=ExitStack, repr=False)

    def close(self) -> None:
        """Close what the process has inherited; `info` is the caller's."""
        self._opened.close()


@dataclass(frozen=True)
class Wanted:
    """What is to run in a sandbox.

    Attributes:
        argv: The program by its absolute path inside, and its arguments.
        environment: All that the program sees.
        folders: What is to be read only, by its place inside.
        address_space: Bytes that one process may reserve.
    """

    argv: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    folders: Mapping[str, Path] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    address_space: int = 4096 * _MIB


def confine(host: Host, wanted: Wanted) -> Confined:
    """The command line that runs something with nothing of this machine but Python and libraries.

    Inside there is no network but a loopback of its own; `/tmp`, which it starts in, and `/dev/shm`
    can be written to, and nothing is left of them afterwards. The list of processes shows neither
    options nor environment.
    """
    uid = FIRST_UID + secrets.randbelow(UIDS) if host.privileged else _NOBODY
    with ExitStack() as opened:

        def give(content: bytes, name: str) -> str:
            fd = os.memfd_create(name)
            opened.callback(os.close, fd)
            given.append(fd)
            os.write(fd, content)
            os.lseek(fd, 0, os.SEEK_SET)
            return str(fd)

        given: list[int] = []
        info, report = os.pipe()
        opened.callback(os.close, report)
        given.append(report)
        try:
            options = [
                *_namespaces(host),
                *("--die-with-parent", "--new-session", "--hostname", "sandbox"),
                *("--info-fd", str(report)),
                *("--seccomp", give(seccomp.program(platform.machine()), "filter")),
                *host.mounts,
                *_system_files(uid, give),
                *_folders(wanted),
                *("--clearenv", "--chdir", _HOME),
            ]
            for name, value in wanted.environment.items():
                options += ["--setenv", name, value]
            enter = [str(host.python), "-I", "-S", "-B", "-c", _ENTER, _limits(host, wanted, uid)]
            arguments = give("\0".join(options).encode(), "options")
            argv = [str(host.bwrap), "--args", arguments, "--", *enter, *wanted.argv]
        except BaseException:
            os.close(info)
            raise
        return Confined(argv, given, info, opened.pop_all())


def _namespaces(host: Host) -> list[str]:
    """As root no user namespace is needed; `enter` then becomes somebody whom nobody else is."""
    options = [f"--unshare-{kind}" for kind in NAMESPACES]
    if host.privileged:
        return [*options, "--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    user = ["--unshare-user", "--disable-userns", "--uid", str(_NOBODY), "--gid", str(_NOBODY)]
    return [*options, *user, "--cap-drop", "ALL"]


def _system_files(uid: int, give: Callable[[bytes, str], str]) -> list[str]:
    """The few files of /etc that libraries look for."""
    contents = {
        "/etc/passwd": f"nobody:x:{uid}:{uid}:nobody:{_HOME}:/bin/sh\n",
        "/etc/group": f"nogroup:x:{uid}:\n",
        "/etc/hosts": "127.0.0.1 localhost sandbox\n::1 localhost\n",
        "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
    }
    options = ["--perms", "0755", "--dir", "/etc"]
    for path, content in contents.items():
        options += ["--perms", "0644", "--file", give(content.encode(), "file"), path]
    return options


def _folders(wanted: Wanted) -> list[str]:
    disk = str(wanted.limits.disk)
    options = ["--proc", "/proc", "--dev", "/dev", "--remount-ro", "/dev"]
    for path, size in (("/dev/shm", str(_SHARED_MEMORY)), (_HOME, disk)):  # noqa: S108
        options += ["--perms", "1777", "--size", size, "--tmpfs", path]
    for inside, outside in wanted.folders.items():
        above = [str(part) for part in reversed(Path(inside).parents) if part != Path("/")]
        options += [option for part in above for option in ("--perms", "0755", "--dir", part)]
        options += ["--ro-bind", str(outside), inside]
    return [*options, "--remount-ro", "/"]


def _limits(host: Host, wanted: Wanted, uid: int) -> str:
    """What `enter` is told."""
    limits = wanted.limits
    options = {
        "AS": wanted.address_space,
        "NPROC": limits.processes,
        "FSIZE": limits.disk,
        "CPU": max(1, round(limits.timeout_s * max(1.0, limits.cpus))),
        "NOFILE": _OPEN_FILES,
        "CORE": 0,
        "MSGQUEUE": 0,
        "MEMLOCK": 0,
        "nice": 5,
    }
    return json.dumps({**options, "uid": uid} if host.privileged else options)
