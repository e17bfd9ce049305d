"""Removes decided approval requests that earlier releases left when they deleted runs."""

import logging

from o.storage.database import Database
from o.storage.old_rows import purge_stray_approvals

_log = logging.getLogger(__name__)

_BATCHES_A_SWEEP = 5
_REQUESTS_A_BATCH = 1_000


class StrayApprovalSweeper:
    """Goes once through all requests, some each time; this release leaves none behind."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._after: str | None = ""

    async def sweep(self) -> int:
        """Look at the next ones; answers how many went."""
        removed = 0
        for _ in range(_BATCHES_A_SWEEP):
            if self._after is None:
                break
            async with self._database.begin() as connection:
                self._after, gone = await purge_stray_approvals(
                    connection, after=self._after, limit=_REQUESTS_A_BATCH
                )
            removed += gone
        if removed:
            _log.info("approval requests of deleted runs purged", extra={"requests": removed})
        return removed
