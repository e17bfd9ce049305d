"""What goes with an organization that was deleted: all that it had, some at a time."""

import logging

from o.storage.database import Database
from o.storage.organizations.purges import (
    has_contents,
    list_organizations_to_purge,
    mark_contents_deleted,
    mark_purged,
    owned_tables,
    purge_owned,
)

_log = logging.getLogger(__name__)
_A_SWEEP = 10
_BATCHES_A_SWEEP = 100
_ROWS_A_BATCH = 500


class OrganizationSweeper:
    """Purges organizations, those with the fewest things left as soon as they can be."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def sweep(self) -> None:
        """Go on with some; what a sweep leaves, the next one finds."""
        async with self._database.connect() as connection:
            deleted = await list_organizations_to_purge(connection, limit=_A_SWEEP)
        for organization_id in deleted:
            await self._sweep_one(organization_id)

    async def _sweep_one(self, organization_id: str) -> None:
        """Mark what other duties purge; once that has gone, remove the rest."""
        for _ in range(_BATCHES_A_SWEEP):
            async with self._database.begin() as connection:
                if not await mark_contents_deleted(
                    connection, organization_id, limit=_ROWS_A_BATCH
                ):
                    break
        async with self._database.begin() as connection:
            if await has_contents(connection, organization_id):
                return
        if await self._purge_rest(organization_id):
            return  # and looked at again, for what came meanwhile
        async with self._database.begin() as connection:
            await mark_purged(connection, organization_id)
        _log.info("deleted organization purged", extra={"organization_id": organization_id})

    async def _purge_rest(self, organization_id: str) -> int:
        """Remove rows of each table; how many have gone."""
        gone = 0
        for table in owned_tables():
            for _ in range(_BATCHES_A_SWEEP):
                async with self._database.begin() as connection:
                    purged = await purge_owned(
                        connection, table, organization_id, limit=_ROWS_A_BATCH
                    )
                gone += purged
                if not purged:
                    break
        return gone
