"""Waiting for runs: one LISTEN connection a process, with polling as the fallback."""

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from functools import partial

import psycopg
from sqlalchemy.ext.asyncio import AsyncEngine

from o.domain.runs import EventKind, RunEvent
from o.errors import NotFound
from o.storage.engine import NOTIFY_CHANNEL, autocommit, libpq_url, with_patience
from o.storage.events import list_events, replay_events
from o.storage.runs import get_run

_log = logging.getLogger(__name__)
_POLL_S = 1.0


class RunWatcher:
    """Tells of the events of runs as they are committed."""

    def __init__(self, engine: AsyncEngine, database_url: str, *, patience_s: float) -> None:
        self._engine = autocommit(engine)
        self._url = libpq_url(database_url)
        self._patience_s = patience_s
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    async def listen(self) -> None:
        """Wake whoever waits, until cancelled. While the database is away, waiters poll."""
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(
                    self._url, autocommit=True, application_name="o api listen", connect_timeout=5
                ) as connection:
                    await connection.execute(f"LISTEN {NOTIFY_CHANNEL}")
                    self._wake_all()
                    async for notice in connection.notifies():
                        for waiter in self._waiting.get(notice.payload, ()):
                            waiter.set()
            except psycopg.Error as error:
                _log.warning("listener lost", extra={"error": type(error).__name__})
                await asyncio.sleep(0.1)

    async def follow(
        self, run_id: str, *, after_seq: int = 0, is_new: bool = False
    ) -> AsyncIterator[list[RunEvent]]:
        """Events of a run in order, in batches, up to its closing one.

        An empty batch comes at least every second, so that the caller can do what is due.

        Args:
            run_id: Which run.
            after_seq: The last event that the caller has.
            is_new: The run was stored a moment ago, so there is nothing to read yet.

        Raises:
            NotFound: The run was deleted.
        """
        with self._subscribed(run_id) as woken:
            if is_new:
                await _wait(woken)
            while True:
                woken.clear()
                events = await with_patience(
                    partial(self._read, run_id, after_seq), patience_s=self._patience_s
                )
                yield events
                if events:
                    after_seq = events[-1].seq
                    if events[-1].kind is EventKind.CLOSED:
                        return
                await _wait(woken)

    async def _read(self, run_id: str, after_seq: int) -> list[RunEvent]:
        async with self._engine.connect() as connection:
            events = await list_events(connection, run_id, after_seq=after_seq)
            if events:
                return events
            run = await get_run(connection, run_id)
            if run is None:
                raise NotFound(f"Run with id {run_id} was deleted")
            # A run at rest has a closing event, unless its events were purged long after.
            is_purged = after_seq == 0 and not run.status.is_open
            return await replay_events(connection, run) if is_purged else []

    @contextlib.contextmanager
    def _subscribed(self, run_id: str) -> Iterator[asyncio.Event]:
        woken = asyncio.Event()
        self._waiting[run_id].add(woken)
        try:
            yield woken
        finally:
            self._waiting[run_id].discard(woken)
            if not self._waiting[run_id]:
                del self._waiting[run_id]

    def _wake_all(self) -> None:
        for waiters in self._waiting.values():
            for waiter in waiters:
                waiter.set()


async def _wait(woken: asyncio.Event) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_POLL_S):
            await woken.wait()
