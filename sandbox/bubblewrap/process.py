"""A process in bubblewrap with all its limits, from its start to the end of all below it."""

import asyncio
import contextlib
import json
import logging
import os
import signal
from dataclasses import replace

from sandbox.bubblewrap.cgroups import Cgroups, Group
from sandbox.bubblewrap.command import Wanted, confine
from sandbox.bubblewrap.host import Host
from sandbox.bubblewrap.watcher import Verdict, Watch, Watcher
from sandbox.protocol import Limits

_log = logging.getLogger(__name__)
_WATCHED_PROCESSES = 32
_REMOVALS, _PAUSE_S = 20, 0.05
_WORDS_BYTES, _WORDS_S = 2_000, 2.0
# Goes into control groups, and becomes what follows `--`.
_JOIN = 'while [ "$1" != -- ]; do echo 0 >"$1" || exit 125; shift; done; shift; exec "$@"'


class NotStarted(Exception):
    """bubblewrap ended before it had made a sandbox; the message is its own."""


class Caps:
    """What holds the memory and the CPU of sandboxes here.

    Attributes:
        words: `cgroup`, `watcher`, or both.
    """

    def __init__(self, cgroups: Cgroups | None) -> None:
        self.cgroups = cgroups
        self.watcher = Watcher()
        unheld = {"memory", "cpu"} if cgroups is None else {"cpu"} - set(cgroups.places)
        self.watched = frozenset(unheld)
        self.words = " and ".join(
            word for word, used in (("cgroup", cgroups), ("watcher", unheld)) if used
        )

    def fitted(self, wanted: Wanted) -> Wanted:
        """Where sums are only watched, the kernel's limits on one process are narrower."""
        if "memory" not in self.watched:
            return wanted
        limits = wanted.limits
        processes = min(limits.processes, _WATCHED_PROCESSES)
        return replace(
            wanted,
            limits=replace(limits, processes=processes),
            address_space=min(wanted.address_space, 2 * limits.memory),
        )


class ConfinedProcess:
    """One that runs.

    Attributes:
        process: bubblewrap itself, outside; it ends when nothing is left of the sandbox.
    """

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        first: tuple[int, int],
        group: Group | None,
        caps: Caps,
    ) -> None:
        self.process = process
        self._first, self._pidfd = first
        self._group = group
        self._caps = caps
        self._watch: Watch | None = None
        self._ending: asyncio.Task[None] | None = None

    def watch(self, limits: Limits) -> None:
        """Hold it to these limits from now on, as far as no control group does."""
        if self._caps.watched and self._watch is None:
            self._watch = Watch(self._first, self._pidfd, limits, self._caps.watched)
            self._caps.watcher.add(self._watch)

    def verdict(self) -> Verdict | None:
        """What it had too much of."""
        if self._watch is not None and self._watch.verdict is not None:
            return self._watch.verdict
        return "memory" if self._group is not None and self._group.killed_for_memory() else None

    async def end(self) -> None:
        """Kill every process in it, wait for their end and leave nothing; may be repeated."""
        if self._ending is None:
            self._ending = asyncio.create_task(self._end())
        await asyncio.shield(self._ending)

    async def _end(self) -> None:
        if self._watch is not None:
            self._caps.watcher.remove(self._watch)
        with contextlib.suppress(ProcessLookupError):
            # The kernel ends all others of its namespace with it, before bubblewrap sees its end.
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        os.close(self._pidfd)
        await self.process.wait()
        await _remove(self._group)


async def start(host: Host, caps: Caps, wanted: Wanted) -> ConfinedProcess:
    """Start a program in a sandbox, with pipes for its stdin, stdout and stderr.

    To be called in the main thread: the sandbox ends with the thread that started it.

    Raises:
        NotStarted: No sandbox could be made.
    """
    wanted = caps.fitted(wanted)
    try:
        group = caps.cgroups.make(wanted.limits) if caps.cgroups is not None else None
    except OSError as error:
        raise NotStarted(f"no control group could be made: {error}") from error
    process = None
    try:
        process, told = await _spawn(host, wanted, group)
        first = await _first_process(told)
        if first is None:
            raise NotStarted(await words_of(process))
        return ConfinedProcess(process, first, group, caps)
    except BaseException:
        await asyncio.shield(_undo(process, group))
        raise


async def _spawn(
    host: Host, wanted: Wanted, group: Group | None
) -> tuple[asyncio.subprocess.Process, int]:
    """Start it; answers where bubblewrap tells of what it has made, too."""
    confined = confine(host, wanted)
    argv = confined.argv
    if group is not None:
        argv = ["/bin/sh", "-c", _JOIN, "sh", *group.doors, "--", *argv]
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            pass_fds=confined.fds,
            env={},
            cwd="/",
            start_new_session=True,
        )
    except BaseException as error:
        os.close(confined.info)
        if isinstance(error, OSError):
            raise NotStarted(f"{host.bwrap} does not run: {error.strerror}") from error
        raise
    finally:
        confined.close()
    return process, confined.info


async def _first_process(told: int) -> tuple[int, int] | None:
    """The first process in a sandbox, by its pid and for good; None where it is not there."""
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: protocol, os.fdopen(told, "rb", 0))
    try:
        first = int(json.loads(await reader.read(-1))["child-pid"])
        return first, os.pidfd_open(first)
    except (ValueError, KeyError, ProcessLookupError):
        return None
    finally:
        transport.close()


async def words_of(process: asyncio.subprocess.Process) -> str:
    """What a process that failed has written to stderr, as far as a line or two."""
    if process.stderr is None:
        return ""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_WORDS_S):
            return (await process.stderr.read(_WORDS_BYTES)).decode(errors="replace").strip()
    return ""


async def _undo(process: asyncio.subprocess.Process | None, group: Group | None) -> None:
    if process is not None:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                # Not process.kill, which may take the status that asyncio waits for.
                os.kill(process.pid, signal.SIGKILL)
        await process.wait()
    await _remove(group)


async def _remove(group: Group | None) -> None:
    """Remove it as soon as the kernel has counted its last process out."""
    for _ in range(_REMOVALS):
        if group is None or group.remove():
            return
        await asyncio.sleep(_PAUSE_S)
    _log.warning("a control group is left to be cleared")
