"""The keys that requests come with, as this process knows them."""

import asyncio
import logging
import time
from contextvars import Context
from datetime import UTC, datetime, timedelta

from sqlalchemy.exc import SQLAlchemyError

from o.domain.keys import ApiKey, hash_of
from o.errors import OError
from o.storage.database import Database, with_patience
from o.storage.organizations.keys import find_keys, note_use

_log = logging.getLogger(__name__)
KNOWN_S = 2.0
"""How long a look into the database is good: a key that is revoked opens nothing after that."""
_MOST = 10_000
_USE_EVERY = timedelta(minutes=1)


class KeyBook:
    """Looks keys up, and remembers the good ones for a moment.

    There is one look into the database at a time: what comes meanwhile is the next one, together.
    So whoever tries what is no key takes one connection at most, and keeps a good key that comes
    between waiting for no more than two statements.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, ApiKey]] = {}
        self._forgot_at = 0.0
        self._one_at_a_time = asyncio.Lock()
        self._next: tuple[set[str], asyncio.Task[dict[str, ApiKey]]] | None = None

    async def find(
        self, database: Database, secret: str, *, patience_s: float = 0.0
    ) -> ApiKey | None:
        """The key by its text; None where there is none, or it is expired or revoked.

        Args:
            database: Where keys are.
            secret: The text.
            patience_s: How long to wait for a database that is away.

        Raises:
            SQLAlchemyError: It was away for longer, or the look failed.
        """
        hashed, now = hash_of(secret), datetime.now(UTC)
        since, key = self._known.get(hashed, (0.0, None))
        if key is None or time.monotonic() - since > KNOWN_S:
            began = time.monotonic()
            found = await with_patience(
                lambda: asyncio.shield(self._looking(database, hashed)),  # others wait for it too
                patience_s=patience_s,
            )
            key = found.get(hashed)
            if key is None or not key.is_good(now):
                self._known.pop(hashed, None)
                return None
            if len(self._known) >= _MOST:
                self._known.clear()
            if began > self._forgot_at:  # else the look may be older than what was shut
                self._known[hashed] = (began, key)
            await self._note(database, key, now)
        return key if key.is_good(now) else None

    def forget(self) -> None:
        """Look every key up anew: some have been shut."""
        self._known.clear()
        self._forgot_at = time.monotonic()

    def _looking(self, database: Database, hashed: str) -> asyncio.Task[dict[str, ApiKey]]:
        """The next look, which has not begun and seeks this key too."""
        if self._next is None:
            hashes: set[str] = set()
            looking = self._look(database, hashes)
            # In a context of its own: it is no part of the request that came first.
            self._next = hashes, asyncio.create_task(looking, context=Context())
        self._next[0].add(hashed)
        return self._next[1]

    async def _look(self, database: Database, hashes: set[str]) -> dict[str, ApiKey]:
        async with self._one_at_a_time:
            self._next = None
            async with database.connect() as connection:
                return await find_keys(connection, hashes)

    async def _note(self, database: Database, key: ApiKey, now: datetime) -> None:
        """Keep that it was used; a full disk is no reason to refuse a read."""
        if key.last_used_at is not None and now - key.last_used_at < _USE_EVERY:
            return
        try:
            async with database.begin() as connection:
                await note_use(connection, key.id, now, every=_USE_EVERY)
        except (OError, SQLAlchemyError):
            _log.warning("the use of a key could not be noted", extra={"key_id": key.id})
