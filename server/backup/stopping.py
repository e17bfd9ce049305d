"""Long work on the database beside the event loop, which SIGINT and SIGTERM stop."""

import asyncio
import signal
from collections.abc import Callable
from typing import TypeVar

import psycopg

from o.errors import Unavailable
from o.storage.availability import reason_of

_Result = TypeVar("_Result")


class Stop:
    """Whether the work is to stop, which it asks now and then."""

    def __init__(self) -> None:
        self.is_asked = False
        self._connection: psycopg.Connection | None = None

    def hold(self, connection: psycopg.Connection) -> None:
        """What `connection` waits for is cancelled when the work is to stop."""
        self._connection = connection

    def ask(self) -> None:
        """Have the work stop."""
        self.is_asked = True
        if self._connection is not None and not self._connection.closed:
            self._connection.cancel()

    def check(self) -> None:
        """Go on, or not.

        Raises:
            Unavailable: The work is to stop.
        """
        if self.is_asked:
            raise Unavailable("stopped")


async def in_thread(work: Callable[[Stop], _Result]) -> _Result:
    """Do what works on a database, in a thread.

    Raises:
        Unavailable: A signal stopped it, or the database failed.
    """
    stop = Stop()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.ask)
    try:
        return await asyncio.to_thread(work, stop)
    except psycopg.Error as error:
        stop.check()
        raise Unavailable(f"the database failed: {_words(error)}") from error
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def _words(error: psycopg.Error) -> str:
    """What PostgreSQL says, without the values that it may say it of."""
    if isinstance(error, psycopg.DataError | psycopg.IntegrityError):
        return type(error).__name__
    return error.diag.message_primary or reason_of(error).words
