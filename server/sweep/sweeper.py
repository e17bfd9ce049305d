"""The sweeper: looks every few seconds for what was lost, is late, or is to go.

Its duties stand in two rounds, each with a lock of its own, so that one worker at a time goes
them. Lost runs come first. A duty that fails is a line in the log, and the next one follows.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from temporalio.client import Client

from o.storage.database import Database
from server.sweep.approvals import ApprovalSweeper
from server.sweep.callbacks import CallbackSweeper
from server.sweep.purges import PurgeSweeper
from server.sweep.runs import RunSweeper

_log = logging.getLogger(__name__)
_RESCUE_LOCK = 0x6F5F7377  # "o_sw"
_PURGE_LOCK = 0x6F5F7075  # "o_pu"

_Duty = tuple[str, Callable[[], Awaitable[object]]]


class Sweeper:
    """All that is looked after in the background of the workers."""

    def __init__(
        self,
        database: Database,
        client: Client,
        task_queue: str,
        *,
        interval_s: float,
        event_retention_h: int,
    ) -> None:
        self._database = database
        self._interval_s = interval_s
        self.runs = RunSweeper(database, client, task_queue, older_than_s=interval_s)
        approvals = ApprovalSweeper(database, client, task_queue, older_than_s=interval_s)
        callbacks = CallbackSweeper(database, client, task_queue)
        purges = PurgeSweeper(database, client, event_retention_h=event_retention_h)
        self._rescues: list[_Duty] = [
            ("lost runs", self.runs.sweep),
            ("late approvals", approvals.sweep_late),
            ("shown approvals", approvals.sweep_shown),
            ("callbacks", callbacks.sweep),
        ]
        self._purges: list[_Duty] = [
            ("deleted rows", purges.sweep_deleted),
            ("old events", purges.sweep_events),
            ("old places", purges.sweep_places),
        ]

    async def run(self) -> None:
        """Sweep until cancelled."""
        await asyncio.gather(
            self._go_round(_RESCUE_LOCK, self._rescues), self._go_round(_PURGE_LOCK, self._purges)
        )

    async def sweep(self) -> None:
        """Go both rounds once, whoever else does."""
        await do_all(self._rescues)
        await do_all(self._purges)

    async def _go_round(self, lock: int, duties: Sequence[_Duty]) -> None:
        while True:
            try:
                async with self._database.try_lock(lock) as is_ours:
                    if is_ours:
                        await do_all(duties)
            except Exception as error:  # the top of a background job, which must never end
                _log.warning("sweep failed", extra={"error": type(error).__name__})
            await asyncio.sleep(self._interval_s)


async def do_all(duties: Sequence[_Duty]) -> None:
    """Do each, whatever becomes of the others. A part that is away is tried again next time."""
    for name, duty in duties:
        try:
            await duty()
        except Exception as error:  # the top of a background job; see above
            facts = {"duty": name, "error": type(error).__name__}
            _log.warning("part of a sweep failed", extra=facts)
