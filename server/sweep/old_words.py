"""Finds out the words of messages that earlier releases stored, so that they are searched too."""

import logging

from o.storage.database import Database
from o.storage.search.backlog import keep_old_words

_log = logging.getLogger(__name__)

_BATCHES_A_SWEEP = 5
_MESSAGES_A_BATCH = 500


class OldWordsSweeper:
    """Takes some old messages each time, in short transactions, until all have their words."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def sweep(self) -> None:
        """Take the next ones."""
        for _ in range(_BATCHES_A_SWEEP):
            async with self._database.begin() as connection:
                looked_at = await keep_old_words(connection, limit=_MESSAGES_A_BATCH)
            if not looked_at:
                return
            _log.info("old messages can be searched", extra={"messages": looked_at})
