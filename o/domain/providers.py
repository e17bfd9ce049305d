"""Providers as they are stored."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from o.ids import derived_id

ProviderOrigin = Literal["api", "environment"]


class ProviderRecord(BaseModel):
    """A provider of an organization.

    Attributes:
        name: Unique in the organization; the first part of its handles.
        provider_type: In V1's words.
        origin: Who made it. One of the environment has its key there, and only what was changed
            through the API here; it counts for nothing while the environment does not name it.
        base_url: None for the usual address of its type, or for what the environment says.
        base_url_judged: Whether a client named it who has a key and not the server's token: each
            connection to it is judged.
        api_key: Encrypted (`o.secrets`).
        access_key: Encrypted.
        last_synced: When it was last asked for its models through the API.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    organization_id: str
    name: str
    provider_type: str
    origin: ProviderOrigin = "api"
    base_url: str | None = None
    base_url_judged: bool = False
    api_key: str | None = None
    access_key: str | None = None
    region: str | None = None
    api_version: str | None = None
    created_at: datetime
    updated_at: datetime
    last_synced: datetime | None = None


@dataclass(frozen=True)
class MarkedProviders:
    """The providers of an organization, the oldest first, and the mark that they go by.

    Who holds them under this mark has them as they are.
    """

    mark: str
    records: list[ProviderRecord]


def environment_provider_id(organization_id: str, name: str) -> str:
    """The id of the row of a provider that the environment brings, the same at every start."""
    return derived_id("provider", organization_id, "environment", name)


def secret_of(provider_id: str, column: str) -> str:
    """What an encrypted column of a provider's row belongs to, for `o.secrets`."""
    return f"{provider_id}/{column}"
