"""Whether the database can be reached, why not, and when its clients are to leave."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import psycopg

from o.errors import Unavailable
from o.storage.database import NO_ROOM, Database, connect_alone

_log = logging.getLogger(__name__)

_PROBE_S = 10.0
_PASSING_S = 20.0


@dataclass(frozen=True)
class Reason:
    """Why a connection could not be made.

    Attributes:
        words: For the operator; they hold no secret.
        lasts: Whether time does not mend it.
        passes: Whether it is over in a moment, so that it is worth waiting for.
        remedy: What an operator can do.
    """

    words: str
    lasts: bool = False
    passes: bool = False
    remedy: str = "Start it, or set DATABASE_URL to another one"

    def __str__(self) -> str:
        """The words, for messages."""
        return self.words


SHUTS_DOWN = Reason("it shuts down", passes=True)
_BROKE_OFF = Reason("it broke the connection off")
_TLS = Reason("it and we do not agree on TLS", lasts=True)
_CERTIFICATE = Reason("a certificate is not accepted, or not found", lasts=True)
_FULL = Reason("it has too many clients", passes=True)
_NOBODY = Reason("nothing listens there")
_NO_NAME = Reason("its host name is not known")
# PostgreSQL gives no SQLSTATE to who is not let in, only words, in the server's language. Of what
# libpq says of TLS only the disagreements last: a server that restarts breaks off TLS as well
# ("SSL SYSCALL error: EOF detected"), and a message may tell of several attempts.
_KNOWN = (
    ("authentication failed", Reason("it refuses the user or the password", lasts=True)),
    ("no password supplied", Reason("it wants a password", lasts=True)),
    ("no pg_hba.conf entry", Reason("its pg_hba.conf lets nobody in from here", lasts=True)),
    ("certificate", _CERTIFICATE),
    ("does not support SSL", _TLS),
    ("private key file", _CERTIFICATE),
    (" alert ", _TLS),
    ("no protocols available", _TLS),
    ("unsupported protocol", _TLS),
    ("wrong version number", _TLS),
    ("does not exist", Reason("it has no such database or user")),
    ("shutting down", SHUTS_DOWN),
    ("starting up", Reason("it starts up", passes=True)),
    *((words, Reason("its disk is full", remedy="Make room there")) for words in NO_ROOM),
    ("too many clients", _FULL),
    ("connection slots", _FULL),
    ("Connection refused", _NOBODY),
    ("No such file or directory", _NOBODY),
    ("resolve host", _NO_NAME),
    ("Name or service not known", _NO_NAME),
    ("timeout", Reason("it does not answer")),
    ("SSL", _BROKE_OFF),
    ("closed the connection", _BROKE_OFF),
    ("Connection reset", _BROKE_OFF),
)


async def why_unreachable(url: str) -> Reason | None:
    """Why a new connection cannot be made now, None when it can."""
    try:
        async with await connect_alone(url, "o probe"):
            return None
    except psycopg.Error as error:
        return reason_of(error)


def reason_of(error: BaseException) -> Reason:
    """Why a connection could not be made. Words of ours: the driver's may repeat the URL."""
    text = str(error)
    found = next((reason for words, reason in _KNOWN if words in text), None)
    return found or Reason(type(error).__name__)


async def reach(url: str, *, patience_s: float = 0.0) -> None:
    """Wait until the database takes connections.

    Args:
        url: As libpq reads it.
        patience_s: How long it may take, unless it is about to take them.

    Raises:
        Unavailable: It did not within `patience_s` (or 20 s, where it is about to), or refuses us
            in a way that time does not mend.
    """
    began = time.monotonic()
    logged: Reason | None = None
    while (reason := await why_unreachable(url)) is not None:
        enough_s = max(patience_s, _PASSING_S) if reason.passes else patience_s
        if reason.lasts or time.monotonic() - began >= enough_s:
            raise Unavailable(
                f"the database of DATABASE_URL cannot be used: {reason}. {reason.remedy}"
            )
        if reason != logged:
            _log.warning("waiting for the database", extra={"reason": str(reason)})
            logged = reason
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
        work: What has a connection of its own: cancelled then, and begun anew, as it is after an
            error.
        probe_s: Seconds between two looks.
    """
    while True:
        working = None if work is None else asyncio.create_task(_lasting(work, probe_s))
        try:
            while await why_unreachable(database.url) != SHUTS_DOWN:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(probe_s)
        finally:
            if working is not None:
                working.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await working
        _log.warning("the database shuts down: connections are dropped")
        await database.drop_connections()
        await asyncio.sleep(min(1.0, probe_s))


async def _lasting(work: Callable[[], Coroutine[Any, Any, None]], pause_s: float) -> None:
    """Work that an error does not end in silence."""
    while True:
        try:
            return await work()
        except Exception:  # the top of a background job
            _log.exception("background work failed, and begins again")
        await asyncio.sleep(pause_s)
