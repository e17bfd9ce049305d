"""Following runs: their events, as they are committed."""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator

import psycopg
from sqlalchemy.exc import SQLAlchemyError

from api.answers.follower import Follower
from api.answers.polling import CatchingUp
from o.domain.runs import EventKind, RunEvent
from o.errors import Unavailable
from o.storage.database import NOTIFY_CHANNEL, connect_alone, libpq_url

_log = logging.getLogger(__name__)
_PAUSE_S = 0.1
# A restart takes seconds. Official clients repeat a request twice, within two seconds unless they
# are told when, and obey up to a minute.
_RESTARTED_IN_S = 10


class RunWatcher:
    """Passes the events of runs on to whoever follows them.

    Notices carry them where they are short; what they do not carry, `CatchingUp` reads. Both have
    a connection to themselves: however many runs are followed, other requests find the pool as it
    is when nobody follows any.
    """

    def __init__(self, database_url: str, *, patience_s: float) -> None:
        """Nothing is connected yet.

        Args:
            database_url: Where the runs are.
            patience_s: How long followers bear it that the database is away.
        """
        self._url = libpq_url(database_url)
        self._is_leaving = False
        self._followers: dict[str, set[Follower]] = {}
        self._catching_up = CatchingUp(database_url, self._followers, patience_s=patience_s)

    async def run(self) -> None:
        """Keep followers up to date, until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_again_and_again(self._listen))
                tasks.create_task(_again_and_again(self._catching_up.run))
        finally:
            await self._catching_up.close()

    async def follow(
        self,
        run_id: str,
        *,
        key_id: str | None = None,
        is_new: bool = False,
        idle_s: float = 1.0,
    ) -> AsyncGenerator[list[RunEvent], None]:
        """Events of a run in order from the first, in batches, up to its closing one.

        An empty batch comes when `idle_s` seconds have brought nothing, so that the caller can do
        what is due.

        Args:
            run_id: Which run.
            key_id: The key by which it is followed, None for none.
            is_new: The run was stored a moment ago, so there is nothing to read yet.
            idle_s: The longest silence.

        Raises:
            NotFound: The run was deleted.
            Gone: Its log was purged while it was read.
            KeyShut: The key opens nothing any more.
            Unavailable: This process is about to end.
        """
        with self._subscribed(run_id, key_id, is_new=is_new) as follower:
            while True:
                events = await follower.next(idle_s)
                yield events
                if events and events[-1].kind is EventKind.CLOSED:
                    return

    @contextlib.contextmanager
    def _subscribed(self, run_id: str, key_id: str | None, *, is_new: bool) -> Iterator[Follower]:
        ask = self._catching_up.ask
        follower = Follower(run_id, key_id=key_id, is_behind=not is_new, ask=ask)
        followers = self._followers.setdefault(run_id, set())
        followers.add(follower)
        if self._is_leaving:
            follower.fail(_leaving(run_id))
        try:
            yield follower
        finally:
            followers.discard(follower)
            if not followers:
                self._followers.pop(run_id, None)

    def take_leave(self) -> None:
        """Send all who follow a run away: this process is about to end, and their runs go on."""
        self._is_leaving = True
        for run_id, followers in self._followers.items():
            for follower in followers:
                follower.fail(_leaving(run_id))

    async def _listen(self) -> None:
        """Pass notices on, as long as the connection holds."""
        async with await connect_alone(self._url, "o api listen") as connection:
            await connection.execute(f"LISTEN {NOTIFY_CHANNEL}")
            self._catching_up.look_at_all()  # for what was committed before
            async for notice in connection.notifies():
                self._notify(notice.payload)

    def _notify(self, payload: str) -> None:
        """A notice: the run's id and, unless they are long, the events that came."""
        run_id, _, sent = payload.partition(" ")
        followers = self._followers.get(run_id)
        if not followers:
            return
        try:
            events = [RunEvent.model_validate(one) for one in json.loads(sent)] if sent else []
        except (
            ValueError,
            RecursionError,
        ):  # a release that writes them otherwise is being rolled out
            events = []
        for follower in followers:
            if events:
                follower.add(events)
            else:
                follower.fall_behind()


def _leaving(run_id: str) -> Unavailable:
    return Unavailable(
        f"The server shuts down; the run {run_id} goes on. What comes of it is at "
        f"GET /v1/runs/{run_id}/messages. A request that is sent again joins it where its messages "
        "have an otid, or where the client says that it retries; another one is a new message.",
        retry_after_s=_RESTARTED_IN_S,
    )


async def _again_and_again(work: Callable[[], Awaitable[None]]) -> None:
    """Work that lasts as long as the process. Nothing that it meets may end it in silence."""
    while True:
        try:
            await work()
        except (psycopg.Error, SQLAlchemyError, OSError) as error:
            _log.warning("followers lost their connection", extra={"error": type(error).__name__})
        except Exception:
            _log.exception("following runs has failed, and begins again")
        await asyncio.sleep(_PAUSE_S)
