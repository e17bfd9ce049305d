"""Keys of the API: who asks by one, and what it opens."""

import hashlib
import secrets
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

Scope = Literal["admin", "write", "read", "approve"]
SCOPES: tuple[Scope, ...] = ("admin", "write", "read", "approve")
"""`admin` is everything of its organization; `write` reads as well; `approve` decides approvals."""

SECRET_PREFIX = "osk_"  # noqa: S105  what every key begins with
_SECRET_BYTES = 32
_SHOWN_CHARS = 10


class ApiKey(BaseModel):
    """A key as it is kept: never its text.

    Attributes:
        prefix: The first characters of its text, by which people tell keys apart.
        last_used_at: Known to the minute.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    organization_id: str
    user_id: str
    name: str
    prefix: str
    scopes: list[Scope]
    created_at: datetime
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None

    def opens(self, wanted: frozenset[Scope]) -> bool:
        """Whether one of the wanted scopes is among what the key may."""
        held = set(self.scopes)
        if "admin" in held:
            return True
        if "write" in held:
            held.add("read")
        return not held.isdisjoint(wanted)

    @property
    def told(self) -> dict[str, object]:
        """What the record has of it when it is made."""
        return {"prefix": self.prefix, "scopes": list(self.scopes)}

    def is_good(self, now: datetime) -> bool:
        """Whether it is neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


def new_secret() -> str:
    """The text of a new key: 256 random bits."""
    return SECRET_PREFIX + secrets.token_urlsafe(_SECRET_BYTES)


def hash_of(secret: str) -> str:
    """What is kept of a key's text. It is random, so that a fast hash is enough."""
    return hashlib.sha256(secret.encode()).hexdigest()


def shown_prefix(secret: str) -> str:
    """What is shown of a key's text."""
    return secret[:_SHOWN_CHARS]
