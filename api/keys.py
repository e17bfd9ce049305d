"""The keys that requests come with, as this process knows them."""

import logging
import time
from datetime import UTC, datetime, timedelta

from sqlalchemy.exc import SQLAlchemyError

from o.domain.keys import ApiKey, hash_of
from o.errors import OError
from o.storage.database import Database
from o.storage.keys import find_key, note_use

_log = logging.getLogger(__name__)
KNOWN_S = 2.0
"""How long a look into the database is good: a key that is revoked opens nothing after that."""
_MOST = 10_000
_USE_EVERY = timedelta(minutes=1)


class KeyBook:
    """Looks keys up, and remembers the good ones for a moment."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, ApiKey]] = {}

    def has_met(self, secret: str) -> bool:
        """Whether it was a good key when it was last looked up here."""
        return hash_of(secret) in self._known

    async def find(self, database: Database, secret: str) -> ApiKey | None:
        """The key by its text; None where there is none, or it is expired or revoked."""
        hashed, now = hash_of(secret), datetime.now(UTC)
        since, key = self._known.get(hashed, (0.0, None))
        if key is None or time.monotonic() - since > KNOWN_S:
            began = time.monotonic()
            async with database.connect() as connection:
                key = await find_key(connection, hashed)
            if key is None or not key.is_good(now):
                self._known.pop(hashed, None)
                return None
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[hashed] = (began, key)
            await self._note(database, key, now)
        return key if key.is_good(now) else None

    async def _note(self, database: Database, key: ApiKey, now: datetime) -> None:
        """Keep that it was used; a full disk is no reason to refuse a read."""
        if key.last_used_at is not None and now - key.last_used_at < _USE_EVERY:
            return
        try:
            async with database.begin() as connection:
                await note_use(connection, key.id, now, every=_USE_EVERY)
        except (OError, SQLAlchemyError):
            _log.warning("the use of a key could not be noted", extra={"key_id": key.id})
