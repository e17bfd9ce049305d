"""`o up`: one process that starts everything O needs, keeps it alive, and stops it in order."""

import asyncio
import contextlib
import logging
import os
import signal
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from o.errors import Conflict
from o.settings.all import Settings
from o.settings.providers import ProviderSettings
from server.up import locks, state
from server.up.clash import refuse_name_clash
from server.up.commands import Commands
from server.up.console import Screen
from server.up.forks import ForkServer
from server.up.processes import Processes

_log = logging.getLogger(__name__)


async def run(
    settings: Settings,
    providers: ProviderSettings,
    *,
    commands: Commands | None = None,
    namespaces: bool = True,
    patience_s: float = locks.PATIENCE_S,
    forks: ForkServer | None = None,
) -> int:
    """Be the supervisor until SIGINT, SIGTERM or SIGHUP; answers the exit status.

    Args:
        settings: What the operator set; where an address is given, nothing is embedded for it.
        providers: Decides whether the bundled model is started.
        commands: Other command lines for O's own processes.
        namespaces: False keeps PostgreSQL out of user namespaces when we are root.
        patience_s: How long what an earlier life left may take to leave before it is killed.
        forks: Has O's own processes forked; without it they are started by their command lines.

    Raises:
        OError: it cannot start; one clear text, and everything is stopped again.
    """
    refuse_name_clash()
    data_dir = private(settings.data_dir)
    with _named(data_dir):
        lock = locks.claim(data_dir)
    try:
        with _named(data_dir):
            state.remove(data_dir)
        screen = Screen()
        screen.say(f"O keeps its data in {data_dir}, its logs in {data_dir / 'logs'}")
        with _named(data_dir):
            await locks.wait_until_free(data_dir / "run", patience_s)
        settings = settings.model_copy(update={"data_dir": data_dir})
        with _named(data_dir):
            processes = Processes(
                settings,
                providers,
                commands or Commands(),
                screen,
                namespaces=namespaces,
                patience_s=patience_s,
                forks=forks,
            )
            await _live(processes, screen)
        screen.say("stopped")
        return 0
    finally:
        os.close(lock)


async def _live(processes: Processes, screen: Screen) -> None:
    """Start, wait for a signal, stop; a second signal makes the stop a quick one."""
    stop = asyncio.Event()

    def ask_to_stop() -> None:
        if stop.is_set():
            processes.hurry()
        else:
            screen.say("\nstopping; once more to kill")
            stop.set()

    with _on_signals(ask_to_stop):
        starting = asyncio.create_task(processes.start())
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()
                await stopping
        finally:
            stop.set()
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            await processes.stop()


@contextlib.contextmanager
def _on_signals(call: Callable[[], None]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # else started with nohup
        numbers.append(signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, call)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


@contextlib.contextmanager
def _named(data_dir: Path) -> Iterator[None]:
    """Name the file that is in the way: a full disk, a folder where a file should be.

    Raises:
        Conflict: in place of an OSError.
    """
    try:
        yield
    except OSError as error:
        where = error.filename or data_dir
        raise Conflict(
            f"cannot keep data in {data_dir}: {where}: {error.strerror or error}. "
            "Mend that, or set O_DATA_DIR to another directory"
        ) from error


def private(data_dir: Path) -> Path:
    """The data directory, absolute, there, and closed to others.

    Raises:
        Conflict: it cannot be made.
    """
    path = data_dir.resolve()
    try:
        for folder in (path, path / "logs", path / "run"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # 0711 lets the account of PostgreSQL through; see `server.up.postgres_account`.
            if stat.S_IMODE(folder.stat().st_mode) not in {0o700, 0o711}:
                folder.chmod(0o700)
    except OSError as error:
        raise Conflict(
            f"cannot keep data in {path}: {error.filename}: {error.strerror}. "
            "Mend that, or set O_DATA_DIR to another directory"
        ) from error
    return path
