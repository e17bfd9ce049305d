"""What notices did not bring: one connection reads it for all who follow a run in this process."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Set
from datetime import UTC, datetime
from functools import partial

from api.answers.follower import Follower
from o.domain.runs import RunEvent
from o.errors import Gone, KeyShut, NotFound, Unavailable
from o.storage.database import DATABASE_IS_AWAY, Database, is_unreachable
from o.storage.organizations.keys import find_shut
from o.storage.turn.events import LogPart, find_behind, read_logs, replay_events
from o.storage.turn.runs import get_run

_log = logging.getLogger(__name__)
# How soon is found what a lost notice would have brought, and that a key was shut: sooner than the
# time for which new requests may still be let in by it (`KNOWN_S` of api.access.keys).
_LOOK_S = 1.0
_STATEMENT_S = 10.0
_PAUSE_S = 0.1
_SHUT = (
    "Unauthorized: the key has expired or was revoked. The run {run_id} goes on, and can be read "
    "with a key that is good."
)
_MOST_LOGS, _MOST_EVENTS = 50, 500  # of one statement, so that nobody waits long for others

_Asked = dict[tuple[str, int], list[Follower]]
"""Followers by the run and by the event behind which each of them lacks something."""


class CatchingUp:
    """Asks the database once a second which runs have moved on, and reads what followers lack.

    It asks as well whose keys were shut meanwhile: they are sent away.
    """

    def __init__(
        self, database_url: str, followers: Mapping[str, Set[Follower]], *, patience_s: float
    ) -> None:
        """Nothing is connected yet.

        Args:
            database_url: Where the runs are.
            followers: Those of each run, as they come and go.
            patience_s: How long they bear it that the database is away.
        """
        self._database = Database(database_url, pool_size=1, name="o api follow")
        self._followers = followers
        self._patience_s = patience_s
        self._asked = asyncio.Event()
        self._look_due_s = 0.0
        self._away_since: float | None = None

    def ask(self) -> None:
        """A follower wants to be read for."""
        self._asked.set()

    def look_at_all(self) -> None:
        """Ask at once which runs have moved on."""
        self._look_due_s = 0.0
        self._asked.set()

    async def run(self) -> None:
        """Keep followers up to date, until cancelled."""
        clock = asyncio.get_running_loop().time
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(self._look_due_s):
                    await self._asked.wait()
            self._asked.clear()
            if clock() >= self._look_due_s:
                self._look_due_s = clock() + _LOOK_S
                await self._with_patience(self._look)
            while asked := self._wanted():
                await self._with_patience(partial(self._read, asked))
                if clock() >= self._look_due_s:  # nor do looks put off what there is to be read
                    break

    async def close(self) -> None:
        """Let go of the connection."""
        await self._database.close()

    def _all(self) -> list[Follower]:
        return [one for followers in self._followers.values() for one in followers]

    def _wanted(self) -> _Asked:
        asked: _Asked = {}
        for follower in self._all():
            if follower.wants_more:
                key = (follower.run_id, follower.known)
                if key not in asked and len(asked) == _MOST_LOGS:
                    break
                asked.setdefault(key, []).append(follower)
        return asked

    async def _with_patience(self, look: Callable[[], Awaitable[None]]) -> None:
        """Look, or pause while the database is away: it is asked again after that.

        Followers fail once it has been away for too long, or has let a statement hang for so long.
        """
        began = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(_STATEMENT_S):
                await look()
        except Exception as error:
            if not isinstance(error, TimeoutError) and not is_unreachable(error):
                raise
            if self._away_since is None:
                self._away_since = began
                _log.warning("database is away", extra={"error": type(error).__name__})
            if asyncio.get_running_loop().time() - self._away_since > self._patience_s:
                self._away_since = None
                _fail(self._all(), lambda: Unavailable(DATABASE_IS_AWAY))
            await asyncio.sleep(_PAUSE_S)
        else:
            self._away_since = None

    async def _look(self) -> None:
        """One statement about runs and one about keys, whatever the number of followers."""
        known: dict[str, int] = {}
        for follower in self._all():
            if not follower.is_behind:
                run_id = follower.run_id
                known[run_id] = min(follower.known, known.get(run_id, follower.known))
        key_ids = {follower.key_id for follower in self._all() if follower.key_id is not None}
        behind: Set[str] = set()
        shut: Set[str] = set()
        if not known and not key_ids:
            return
        async with self._database.connect() as connection:
            if key_ids:
                shut = await find_shut(connection, key_ids, datetime.now(UTC))
            if known:
                behind = await find_behind(connection, known)
        for follower in self._all():
            if follower.key_id in shut:
                follower.shut(KeyShut(_SHUT.format(run_id=follower.run_id)))
            elif follower.run_id in behind:
                follower.fall_behind()

    async def _read(self, asked: _Asked) -> None:
        """Read for these followers; a log that cannot be read is a matter of its own followers."""
        for followers in asked.values():
            for follower in followers:
                follower.is_behind = False  # but for what is committed from here on
        try:
            async with self._database.connect() as connection:
                parts = await read_logs(connection, asked, most=_MOST_EVENTS)
            for key, part in parts.items():
                await self._give(part, key, asked[key])
        except BaseException as error:
            for followers in asked.values():
                for follower in followers:
                    follower.is_behind = True
            if not isinstance(error, Exception) or is_unreachable(error):
                raise
            await self._read_apart(asked, error)

    async def _read_apart(self, asked: _Asked, error: Exception) -> None:
        if len(asked) > 1:
            for key, followers in asked.items():
                await self._read({key: followers})
            return
        for (run_id, _), followers in asked.items():
            facts = {"run_id": run_id, "error": type(error).__name__}
            _log.error("the log of a run cannot be read", extra=facts)
            _fail(followers, lambda: error)

    async def _give(self, part: LogPart, key: tuple[str, int], followers: list[Follower]) -> None:
        run_id, after_seq = key
        if part.status is None:
            _fail(followers, lambda: NotFound(f"Run with id {run_id} was deleted"))
            return
        events = part.events
        if not events and not part.status.is_open:  # a closed run has a closing event, or had
            events = await self._replay(run_id) if after_seq == 0 else []
            if not events:
                _fail(followers, lambda: Gone(f"The events of run {run_id} are no longer kept"))
        for follower in followers:
            follower.add(events)
            if len(part.events) == _MOST_EVENTS:
                follower.fall_behind()

    async def _replay(self, run_id: str) -> list[RunEvent]:
        """The log of a run whose events were purged long after its end, made from the record."""
        async with self._database.connect() as connection:
            run = await get_run(connection, run_id)
            return await replay_events(connection, run) if run else []


def _fail(followers: Iterable[Follower], failure: Callable[[], Exception]) -> None:
    """Have each raise an error of its own: one that many raise gathers all their tracebacks."""
    for follower in followers:
        follower.fail(failure())
