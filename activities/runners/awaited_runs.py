"""Waiting for runs of other agents: one look at the database for all who wait in this process."""

import asyncio
from collections import Counter

from o.storage.agents.agent_messages import AwaitedRun, look_at_awaited
from o.storage.database import Database

_INTERVAL_S = 0.1


class AwaitedRuns:
    """Tells how runs end. Nothing is asked while nobody waits."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._wanted: Counter[str] = Counter()
        self._look: asyncio.Task[dict[str, AwaitedRun]] | None = None

    async def settled(self, run_id: str) -> AwaitedRun:
        """Wait until there is nothing more to wait for.

        Raises:
            SQLAlchemyError: The database is away.
        """
        self._wanted[run_id] += 1
        try:
            while True:
                if self._look is None or self._look.done():
                    self._look = asyncio.create_task(self._next_look())
                found = await asyncio.shield(self._look)  # others wait for the same look
                if run_id in found and found[run_id].is_settled:
                    return found[run_id]
        finally:
            self._wanted[run_id] -= 1
            if not self._wanted[run_id]:
                del self._wanted[run_id]

    async def _next_look(self) -> dict[str, AwaitedRun]:
        await asyncio.sleep(_INTERVAL_S)
        if not self._wanted:  # whoever waited was cancelled
            return {}
        async with self._database.connect() as connection:
            return await look_at_awaited(connection, list(self._wanted))
