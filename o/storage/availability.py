"""Whether the database can be reached, why not, and when its clients are to leave."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any

import psycopg

from o.errors import Unavailable
from o.storage.database import Database

_log = logging.getLogger(__name__)

_PROBE_S = 10.0
_CONNECT_TIMEOUT_S = 5

SHUTS_DOWN = "it shuts down"
# PostgreSQL gives no SQLSTATE to who is not let in, only words, in the server's language.
_REASONS = {
    "authentication failed": "it refuses the user or the password",
    "no password supplied": "it wants a password",
    "no pg_hba.conf entry": "its pg_hba.conf lets nobody in from here",
    "does not exist": "it has no such database or user",
    "shutting down": SHUTS_DOWN,
    "starting up": "it starts up",
    "too many clients": "it has too many clients",
    "connection slots": "it has too many clients",
    "Connection refused": "nothing listens there",
    "No such file or directory": "nothing listens there",
    "resolve host": "its host name is not known",
    "Name or service not known": "its host name is not known",
    "timeout": "it does not answer",
    "certificate": "its certificate is not accepted",
    "SSL": "it and we do not agree on TLS",
}
_PASSING = {SHUTS_DOWN, "it starts up", "it has too many clients"}
_PASSING_S = 20.0
_FINAL = {
    "it refuses the user or the password",
    "it wants a password",
    "its pg_hba.conf lets nobody in from here",
    "its certificate is not accepted",
    "it and we do not agree on TLS",
}


async def why_unreachable(database: Database) -> str | None:
    """Why a new connection cannot be made now, None when it can.

    Words of ours: those of the driver may repeat parts of the URL.
    """
    try:
        async with await psycopg.AsyncConnection.connect(
            database.url, autocommit=True, connect_timeout=_CONNECT_TIMEOUT_S
        ):
            return None
    except psycopg.Error as error:
        return reason_of(error)


def reason_of(error: BaseException) -> str:
    """Why a connection could not be made, in words that hold no secret."""
    text = str(error)
    found = next((reason for words, reason in _REASONS.items() if words in text), None)
    return found or type(error).__name__


async def reach(database: Database, *, patience_s: float = 0.0) -> None:
    """Wait until the database takes connections.

    Raises:
        Unavailable: It did not within `patience_s` (or 20 s, where it is about to), or refuses us
            in a way that time does not mend.
    """
    began, said = time.monotonic(), ""
    while (reason := await why_unreachable(database)) is not None:
        enough_s = max(patience_s, _PASSING_S) if reason in _PASSING else patience_s
        if reason in _FINAL or time.monotonic() - began >= enough_s:
            raise Unavailable(
                f"the database of DATABASE_URL cannot be used: {reason}. "
                "Start it, or set DATABASE_URL to another one"
            )
        if reason != said:
            _log.warning("waiting for the database", extra={"reason": reason})
            said = reason
        await asyncio.sleep(0.1)


async def until_shutdown(
    database: Database,
    work: Callable[[], Coroutine[Any, Any, None]] | None = None,
    *,
    probe_s: float = _PROBE_S,
) -> None:
    """Leave a database that shuts down, each time that it does, until cancelled.

    In its smart way it serves the connections that it has for as long as they stay, and refuses
    new ones: whoever has enough of them never notices, so a new one is tried now and then.

    Args:
        database: Its idle connections are closed, the others when their work is done.
        work: What has a connection of its own: cancelled then, and begun anew.
        probe_s: Seconds between two looks.
    """
    while True:
        working = None if work is None else asyncio.create_task(work())
        try:
            while await why_unreachable(database) != SHUTS_DOWN:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(probe_s)
        finally:
            if working is not None:
                working.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await working
        _log.warning("the database shuts down: connections are dropped")
        await database.drop_connections()
        await asyncio.sleep(min(1.0, probe_s))
