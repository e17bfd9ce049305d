"""What holds in a container alone: what has to be said there, and what its first process does."""

import os
import signal
from collections.abc import Callable
from typing import NoReturn

import click

from o.settings.all import Settings

_NEEDED = {
    "DATABASE_URL": "postgresql://user:password@host:5432/database, of PostgreSQL 16 to 18 with "
    "pgvector; what is special in a password is written as in addresses: @ as %40",
    "TEMPORAL_ADDRESS": "host:port of a Temporal server",
    "O_API_TOKEN": "what clients carry: openssl rand -hex 32",
    "O_ENCRYPTION_KEY": "what secrets are encrypted with: openssl rand -base64 32",
}
_PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


def check_complete(settings: Settings) -> None:
    """See that a process in a container was told what it would find or make elsewhere.

    There, the own address is nobody's, and a key that it made would be gone with the container.

    Raises:
        click.UsageError: Something is missing; the message names all of it.
    """
    has = {
        "DATABASE_URL": settings.database_url,
        "TEMPORAL_ADDRESS": settings.temporal_address,
        "O_API_TOKEN": settings.api_token,
        "O_ENCRYPTION_KEY": settings.encryption_key,
    }
    if missing := [name for name in _NEEDED if not has[name]]:
        lines = "".join(f"\n  {name}: {_NEEDED[name]}" for name in missing)
        raise click.UsageError(
            f"in a container, each of O's processes needs these settings, the same for all:{lines}"
        )


def run_as_init(work: Callable[[], None]) -> None:
    """Do `work`; where this is the first process of a container, in a child of it.

    The kernel keeps signals from a first process that does not handle them, so it could not be
    stopped while it starts; and whoever dies orphaned becomes its child, for nobody else to bury.
    """
    if os.getpid() != 1:
        work()
        return
    # Nothing is lost between the fork and the handlers: signals wait until these are there.
    signal.pthread_sigmask(signal.SIG_BLOCK, _PASSED_ON)
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _PASSED_ON)
        work()
        return
    for number in _PASSED_ON:
        signal.signal(number, lambda given, _: os.kill(child, given))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _PASSED_ON)
    _bury_until(child)


def _bury_until(child: int) -> NoReturn:
    """Wait for every process that ends here, and end as `child` does."""
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            os._exit(128 - code if code < 0 else code)
