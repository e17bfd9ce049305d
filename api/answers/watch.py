"""Waiting for runs: one LISTEN connection a process, with polling as the fallback."""

import asyncio
import contextlib
import json
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from functools import partial

import psycopg

from o.domain.runs import EventKind, RunEvent
from o.errors import NotFound
from o.storage.database import NOTIFY_CHANNEL, Database, libpq_url, with_patience
from o.storage.turn.events import list_events, replay_events
from o.storage.turn.runs import get_run

_log = logging.getLogger(__name__)


class News:
    """What one follower of a run has been told and not yet taken."""

    def __init__(self) -> None:
        self._woken = asyncio.Event()
        self._events: list[RunEvent] = []

    def add(self, events: Sequence[RunEvent]) -> None:
        """Events that were committed; none when the follower must look for itself."""
        self._events += events
        self._woken.set()

    def take(self, after_seq: int) -> list[RunEvent] | None:
        """The events that follow `after_seq`, None when they are not here without a gap."""
        self._woken.clear()
        told, self._events = self._events, []
        news = [event for event in told if event.seq > after_seq]
        if not news or [event.seq for event in news] != list(
            range(after_seq + 1, after_seq + 1 + len(news))
        ):
            return None
        return news

    async def wait(self, timeout_s: float) -> None:
        """Until there is news, or for so long: a notice may be lost with its connection."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._woken.wait()


class RunWatcher:
    """Tells of the events of runs as they are committed."""

    def __init__(self, database: Database, database_url: str, *, patience_s: float) -> None:
        self._database = database
        self._url = libpq_url(database_url)
        self._patience_s = patience_s
        self._waiting: defaultdict[str, set[News]] = defaultdict(set)

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
                        self._tell(notice.payload)
            except psycopg.Error as error:
                _log.warning("listener lost", extra={"error": type(error).__name__})
                await asyncio.sleep(0.1)

    async def follow(
        self, run_id: str, *, after_seq: int = 0, is_new: bool = False, poll_s: float = 1.0
    ) -> AsyncIterator[list[RunEvent]]:
        """Events of a run in order, in batches, up to its closing one.

        An empty batch comes at least every `poll_s` seconds, so that the caller can do what is due.

        Args:
            run_id: Which run.
            after_seq: The last event that the caller has.
            is_new: The run was stored a moment ago, so there is nothing to read yet.
            poll_s: How soon what a lost notice would have told is found.

        Raises:
            NotFound: The run was deleted.
        """
        with self._subscribed(run_id) as news:
            if is_new:
                await news.wait(poll_s)
            while True:
                events = news.take(after_seq)
                if events is None:
                    events = await with_patience(
                        partial(self._read, run_id, after_seq), patience_s=self._patience_s
                    )
                yield events
                if events:
                    after_seq = events[-1].seq
                    if events[-1].kind is EventKind.CLOSED:
                        return
                await news.wait(poll_s)

    async def _read(self, run_id: str, after_seq: int) -> list[RunEvent]:
        async with self._database.connect() as connection:
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
    def _subscribed(self, run_id: str) -> Iterator[News]:
        news = News()
        self._waiting[run_id].add(news)
        try:
            yield news
        finally:
            self._waiting[run_id].discard(news)
            if not self._waiting[run_id]:
                del self._waiting[run_id]

    def _tell(self, payload: str) -> None:
        """Pass a notice on: the run's id and, unless they are long, the events that came."""
        run_id, _, told = payload.partition(" ")
        waiting = self._waiting.get(run_id)
        if not waiting:
            return
        events = [RunEvent.model_validate(event) for event in json.loads(told)] if told else []
        for news in waiting:
            news.add(events)

    def _wake_all(self) -> None:
        for waiting in self._waiting.values():
            for news in waiting:
                news.add([])
