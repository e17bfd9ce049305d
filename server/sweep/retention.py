"""What is kept how long, and how it goes: a list of kinds, and one sweeper for all.

Each kind has a share of each round, and goes in small batches, so that nobody waits for a long
transaction's locks, and what has piled up of one kind keeps no other.
"""

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from o.settings.retention import Retention
from o.storage.database import Database
from o.storage.deleted_rows import purge_deleted_rows
from o.storage.old_rows import (
    Place,
    list_organizations,
    purge_audit,
    purge_batches,
    purge_runs,
    purge_usage,
)
from o.storage.runs import purge_events
from o.storage.step_traces import purge_traces
from o.storage.worker_requests import purge_worker_requests

_log = logging.getLogger(__name__)
_LONGEST_S = 2.0
"""That a kind may take of one round."""
_ORGANIZATIONS_A_SWEEP = 50
_FROM_THE_START_S = 3600.0
"""How often runs are looked at again that had to stay; sooner, where they are kept for less."""


class Purge(Protocol):
    """Removes up to `limit` rows that are older than `kept`; answers how many went."""

    async def __call__(self, connection: AsyncConnection, *, kept: timedelta, limit: int) -> int:
        """One batch, in a transaction of the caller."""
        ...


class PurgeOfOne(Protocol):
    """The same for one organization."""

    async def __call__(
        self, connection: AsyncConnection, organization_id: str, *, kept: timedelta, limit: int
    ) -> int:
        """One batch, in a transaction of the caller."""
        ...


@dataclass(frozen=True)
class Kind:
    """A kind of row that goes when it is old.

    Attributes:
        kept: How long it is kept; None is for ever.
        batch: How many go in one transaction: fewer, where one of them is much.
    """

    name: str
    kept: timedelta | None
    purge: Purge
    batch: int


@dataclass(frozen=True)
class KindOfOne:
    """The same, where the indexes go by organization."""

    name: str
    kept: timedelta | None
    purge: PurgeOfOne
    batch: int


class RetentionSweeper:
    """Removes what is older than it is kept."""

    def __init__(self, database: Database, kept: Retention) -> None:
        self._database = database
        self._runs = _OldRuns()
        self._kinds = (
            Kind("old events", kept.events, purge_events, 50),
            Kind("old places", kept.places, purge_deleted_rows, 1_000),
            Kind("old traces", kept.traces, purge_traces, 100),
            Kind("old requests of workers", kept.requests, purge_worker_requests, 1_000),
        )
        self._kinds_of_one = (
            KindOfOne("old runs", kept.runs, self._runs.purge, 100),
            KindOfOne("old batches", kept.runs, purge_batches, 100),
            KindOfOne("old records of who did what", kept.audit, purge_audit, 1_000),
            KindOfOne("old sums of usage", kept.usage, purge_usage, 1_000),
        )
        self._after: dict[str, str] = {}

    def duties(self) -> Sequence[tuple[str, Callable[[], Awaitable[object]]]]:
        """One for each kind that is not kept for ever, by its name."""
        of_all = [(one.name, partial(self._sweep, one)) for one in self._kinds if one.kept]
        of_each = [
            (one.name, partial(self._sweep_each, one)) for one in self._kinds_of_one if one.kept
        ]
        return [*of_all, *of_each]

    async def _sweep(self, kind: Kind) -> None:
        await self._purge(kind.name, kind.purge, kind.kept, kind.batch, time.monotonic())

    async def _sweep_each(self, kind: KindOfOne) -> None:
        """Some organizations each time, in turn."""
        began = time.monotonic()
        after = self._after.get(kind.name, "")
        async with self._database.connect() as connection:
            ids = await list_organizations(connection, after=after, limit=_ORGANIZATIONS_A_SWEEP)
        last = ids[-1] if len(ids) < _ORGANIZATIONS_A_SWEEP and ids else None
        self._after[kind.name] = ""
        for organization_id in ids:
            # Before its turn: one whose purge fails keeps none behind it.
            self._after[kind.name] = "" if organization_id == last else organization_id
            purge = partial(_of_one, kind.purge, organization_id)
            await self._purge(kind.name, purge, kind.kept, kind.batch, began)
            if time.monotonic() - began > _LONGEST_S:
                return

    async def _purge(
        self, name: str, purge: Purge, kept: timedelta | None, batch: int, began: float
    ) -> None:
        if kept is None:
            return
        while True:
            async with self._database.begin() as connection:
                purged = await purge(connection, kept=kept, limit=batch)
            _log.debug("old rows gone through", extra={"kind": name, "rows": purged})
            if purged < batch or time.monotonic() - began > _LONGEST_S:
                return


async def _of_one(
    purge: PurgeOfOne,
    organization_id: str,
    connection: AsyncConnection,
    *,
    kept: timedelta,
    limit: int,
) -> int:
    return await purge(connection, organization_id, kept=kept, limit=limit)


class _OldRuns:
    """Goes on behind the last run that was looked at: some must stay, however old they are."""

    def __init__(self) -> None:
        self._places: dict[str, Place] = {}
        self._began = time.monotonic()

    async def purge(
        self, connection: AsyncConnection, organization_id: str, *, kept: timedelta, limit: int
    ) -> int:
        """As many as were looked at, which says whether there are more."""
        if time.monotonic() - self._began > min(kept.total_seconds(), _FROM_THE_START_S):
            self._places.clear()
            self._began = time.monotonic()
        place = self._places.get(organization_id, Place())
        purged = await purge_runs(connection, organization_id, kept=kept, after=place, limit=limit)
        self._places[organization_id] = purged.last
        if purged.gone:
            _log.info("old runs purged", extra={"runs": purged.gone})
        return purged.looked_at
