"""Organizations, and the users in them."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict


class Organization(BaseModel):
    """What owns things. One that is deleted is kept for the record, without what it had."""

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    created_at: datetime
    deleted_at: datetime | None = None


class User(BaseModel):
    """Who asks, in one organization for good. One that is deleted is kept for the record."""

    model_config = ConfigDict(frozen=True)

    id: str
    organization_id: str
    name: str
    created_at: datetime
    updated_at: datetime | None = None
    deleted_at: datetime | None = None


class AuditRecord(BaseModel):
    """That somebody did something.

    Attributes:
        organization_id: Whose it was to do.
        user_id: Who did it: a user, `temporal`, or `expiry`.
        key_id: By which key; None by the server's token, or where none was needed.
        what: The operation, as the API's document names it.
        target_id: To what.
        details: More of it, without contents or secrets.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    organization_id: str
    user_id: str | None
    key_id: str | None
    what: str
    target_id: str | None
    details: dict[str, object]
    created_at: datetime
