"""How the supervisor starts a process: its log, its lock, its lifeline and its environment."""

import asyncio
import contextlib
import logging
import os
import secrets
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from o.disk import is_full
from o.errors import Unavailable
from server.lifeline import REFUSED, SOCKET_FD
from server.up import locks
from server.up.commands import arguments_of
from server.up.forks import ForkServer, Process

_log = logging.getLogger(__name__)

_TAIL_BYTES = 2_000
_CUT_SHORT_S = 10.0


@dataclass(frozen=True)
class Program:
    """What to run under a name.

    Attributes:
        name: Names the log, the lock and the entry in `up.json`.
        argv: The command line, absolute path first.
        env: What its environment has beside the supervisor's.
        sockets: Descriptors of the sockets on which it serves.
        guarded: Whether `guard.py` runs it, whose first report is the pid of the real program.
        renew: Called before each start, when nobody of its last life is left; answers what to run.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    sockets: Sequence[int] = ()
    guarded: bool = False
    renew: "Callable[[], Awaitable[Program]] | None" = None


@dataclass
class Running:
    """One process, from start to end."""

    process: Process
    identity: str
    report: int

    async def end(self) -> int:
        """Wait for the end of the process; answers its exit status."""
        return await self.process.wait()


def guarded(program: Sequence[str], *, stop: str, account: str | None = None) -> list[str]:
    """The command line that runs `program` under a guard; see `guard.py` for the options."""
    guard = str(Path(__file__).with_name("guard.py"))
    options = [f"stop={stop}"] + ([] if account is None else [f"account={account}"])
    return [sys.executable, "-I", "-S", guard, *options, "--", *program]


class Launcher:
    """Starts processes that end with this one, one lock and one log for each name."""

    def __init__(
        self,
        data_dir: Path,
        patience_s: float = locks.PATIENCE_S,
        forks: ForkServer | None = None,
    ) -> None:
        self._patience_s = patience_s
        self._forks = forks
        self.log_dir = data_dir / "logs"
        self.lock_dir = data_dir / "run"
        # Nobody else may hold the write end: it closes when this process ends, however it does.
        self._lifeline, self._life = os.pipe()

    def close(self) -> None:
        """Let go of the lifeline: what still runs ends now."""
        os.close(self._life)
        os.close(self._lifeline)

    async def spawn(self, program: Program) -> Running:
        """Start `program` once nobody of its last life is left."""
        with contextlib.ExitStack() as ours:
            # What the child gets is closed here, come what may: a lock that stays open would keep
            # every later life waiting.
            lock = await locks.take(self.lock_dir / f"{program.name}.lock", self._patience_s)
            ours.callback(os.close, lock)
            log = self._open_log(program.name)
            ours.callback(os.close, log)
            report, ready = os.pipe()
            ours.callback(os.close, ready)
            identity = f"{program.name}-{secrets.token_hex(4)}"
            try:
                if program.renew is not None:
                    program = await program.renew()
                process = await self._begin(program, identity, log, lock, ready)
            except BaseException:
                os.close(report)
                raise
        os.set_blocking(report, False)
        return Running(process, identity, report)

    async def run(self, program: Program) -> None:
        """Run `program` to its end.

        Raises:
            Unavailable: it failed; the message has the end of its log.
        """
        running = await self.spawn(program)
        try:
            status = await running.end()
        except asyncio.CancelledError:
            with contextlib.suppress(ProcessLookupError):
                running.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(running.end(), _CUT_SHORT_S)
            raise
        finally:
            os.close(running.report)
        if status != 0:
            raise Unavailable(self.explain(f"{program.name} failed", program.name))

    def explain(self, what: str, name: str) -> str:
        """What went wrong with a program, for a person to read.

        The one line that our own programs leave when they refuse something, or the end of the log.
        """
        lines = self._tail(name).splitlines()
        if len(lines) > 1 and lines[-2].startswith(REFUSED):
            return lines[-2].removeprefix(REFUSED)
        return "\n".join([f"{what}:", *lines])

    def _tail(self, name: str) -> str:
        path = self.log_dir / f"{name}.log"
        full = [f"No space left on device: make room in {self.log_dir.parent}"]
        with contextlib.suppress(OSError):
            text = path.read_bytes()[-_TAIL_BYTES:].decode(errors="replace")
            lines = [*text.splitlines()[-12:], *(full if is_full(self.log_dir) else [])]
            return "\n".join([*lines, f"(the whole log: {path})"])
        return f"(no log at {path})"

    async def _begin(
        self, program: Program, identity: str, log: int, lock: int, ready: int
    ) -> Process:
        """Have O's own processes forked, where they can be; start all others by command line."""
        env = {**program.env, "O_WORKER_IDENTITY": identity}
        arguments = arguments_of(program.argv)
        kept = {self._lifeline: "O_LIFELINE_FD", lock: "", ready: "O_READY_FD"}
        kept |= {fd: f"{SOCKET_FD}{n}" for n, fd in enumerate(program.sockets, start=1)}
        if self._forks is not None and arguments is not None:
            try:
                return await self._forks.fork(arguments, env, log, kept)
            except Unavailable as error:
                facts = {"child": program.name, "reason": error.message}
                _log.warning("a child is started without the fork server", extra=facts)
        return await asyncio.create_subprocess_exec(
            *program.argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=env | {variable: str(fd) for fd, variable in kept.items() if variable},
            pass_fds=tuple(kept),
            start_new_session=True,  # Ctrl-C is for the supervisor, which stops in order
            umask=0o077,
        )

    def _open_log(self, name: str) -> int:
        path = self.log_dir / f"{name}.log"  # it must be appended to; see `server.up.logs`
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
