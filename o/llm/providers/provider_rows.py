"""The providers of each organization: those of the environment, and those that are rows.

The rows are read again when they have changed: whoever asks brings the mark that the database has
for them now (`ModelRequest.providers_mark`), so that no turn needs a statement for it.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace

from pydantic import SecretStr

from o.domain.providers import (
    MarkedProviders,
    ProviderRecord,
    environment_provider_id,
    secret_of,
)
from o.errors import InvalidInput
from o.llm.providers.provider_types import PROVIDER_TYPES
from o.llm.providers.providers import Provider, Providers, ProviderSet
from o.outbound import OutboundGuard
from o.secrets import Keyring, SecretUnreadable
from o.settings.providers import ProviderSettings

_MOST_HELD = 1_000
"""Organizations whose providers are held at once."""

ReadRows = Callable[[str], Awaitable[MarkedProviders]]
"""Reads an organization's rows (`o.storage.providers.read_providers`)."""


@dataclass(frozen=True)
class _Held:
    mark: str
    providers: ProviderSet


class ProviderRows:
    """A `ProviderSource`: asks the database for an organization's providers when they change."""

    def __init__(
        self, settings: ProviderSettings, keyring: Keyring, read: ReadRows, guard: OutboundGuard
    ) -> None:
        """Read nothing yet.

        Args:
            settings: The environment's own providers, with their keys.
            keyring: Decrypts the keys of rows.
            read: Where the rows are.
            guard: Judges connections to the addresses that clients have named.
        """
        self.environment = Providers(settings)
        self._keyring = keyring
        self._read = read
        self._guard = guard
        self._held: dict[str, _Held] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def providers_of(self, organization_id: str, mark: str | None = None) -> ProviderSet:
        """The providers of an organization; see `ProviderSource`."""
        if not organization_id:
            return self.environment
        if mark is None:  # whoever asks so may know of a change a moment ago
            return (await self._load(organization_id)).providers
        held = self._held.get(organization_id)
        if held is None or held.mark != mark:
            async with self._locks[organization_id]:  # a hundred turns may find the same change
                held = self._held.get(organization_id)
                if held is None or held.mark != mark:
                    held = await self._load(organization_id)
        return held.providers

    async def _load(self, organization_id: str) -> _Held:
        found = await self._read(organization_id)
        known = ProviderSet(
            self._all(organization_id, found.records), self.environment.default_model
        )
        held = _Held(found.mark, known)
        self._held.pop(organization_id, None)
        self._held[organization_id] = held
        while len(self._held) > _MOST_HELD:
            oldest = next(iter(self._held))
            del self._held[oldest]
            self._locks.pop(oldest, None)
        return held

    def _all(self, organization_id: str, records: list[ProviderRecord]) -> Iterator[Provider]:
        """First the environment's, in the order of the types, then the others as they were made."""
        by_name = {record.name: record for record in records}
        for provider in self.environment.all():
            record = by_name.get(provider.name)
            if record is None or record.origin == "environment":
                yield environment_provider(provider, organization_id, record)
        for record in records:
            if record.origin == "api" and record.provider_type in PROVIDER_TYPES:
                yield self.provider_of(record)

    def provider_of(self, record: ProviderRecord) -> Provider:
        """The provider that a row made through the API stands for."""
        kind = PROVIDER_TYPES[record.provider_type]
        base_url, fault = "", ""
        try:
            base_url = kind.address(record.base_url, record.region)
        except InvalidInput as error:  # a row that was written by hand
            fault = error.message
        opened: dict[str, SecretStr] = {}
        for column, stored in (("api_key", record.api_key), ("access_key", record.access_key)):
            if stored is not None:
                try:
                    text = self._keyring.decrypt(stored, of=secret_of(record.id, column))
                    opened[column] = SecretStr(text)
                except SecretUnreadable as error:
                    fault = (
                        f"The {column} of the provider {record.name} cannot be read: {error}. "
                        f"Set it anew: PATCH /v1/providers/{record.id}"
                    )
        return Provider(
            record.name,
            record.provider_type,
            kind.wire_at(base_url),
            base_url,
            opened.get("api_key"),
            id=record.id,
            organization_id=record.organization_id,
            access_key=opened.get("access_key"),
            region=record.region,
            api_version=record.api_version,
            of_environment=False,
            fault=fault,
            guard=self._guard if record.base_url_judged else None,
        )


def environment_provider(
    provider: Provider, organization_id: str, record: ProviderRecord | None
) -> Provider:
    """A provider of the environment as an organization has it, with what was changed in its row."""
    own = replace(
        provider,
        id=environment_provider_id(organization_id, provider.name),
        organization_id=organization_id,
    )
    if record is None:
        return own
    kind = PROVIDER_TYPES[provider.provider_type]
    region = record.region or own.region
    base_url = own.base_url
    if record.base_url:
        base_url = kind.address(record.base_url)
    elif own.region and base_url == kind.address(None, own.region):
        base_url = kind.address(None, region)
    return replace(
        own,
        base_url=base_url,
        wire=kind.wire_at(base_url),
        region=region,
        api_version=record.api_version or own.api_version,
    )
