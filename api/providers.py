"""Providers as clients ask for them: rows with encrypted secrets, and the environment's own."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncConnection

from api.wire.providers import CheckProviderBody, CreateProviderBody, UpdateProviderBody
from o.domain.actors import Actor
from o.domain.providers import ProviderRecord, environment_provider_id, secret_of
from o.errors import Conflict, InvalidInput
from o.ids import new_id
from o.llm.providers.provider_rows import ProviderRows, environment_provider
from o.llm.providers.provider_types import PROVIDER_TYPES, find_type
from o.llm.providers.providers import LOCAL, Provider
from o.outbound import OutboundGuard
from o.secrets import Keyring
from o.storage import providers as stored
from o.storage.provider_rests import end_rest

_SECRETS = ("api_key", "access_key")


class ProviderBook:
    """Reads and changes an organization's providers."""

    def __init__(self, rows: ProviderRows, keyring: Keyring) -> None:
        self._rows = rows
        self._keyring = keyring

    @property
    def names_in_environment(self) -> list[str]:
        """The providers that the environment brings."""
        return [provider.name for provider in self._rows.environment.all()]

    async def bring_environment(self, connection: AsyncConnection, actor: Actor) -> None:
        """Make rows for the providers of the environment that have none yet."""
        now = datetime.now(UTC)
        await stored.add_environment_providers(
            connection,
            [
                ProviderRecord(
                    id=environment_provider_id(actor.organization_id, provider.name),
                    organization_id=actor.organization_id,
                    name=provider.name,
                    provider_type=provider.provider_type,
                    origin="environment",
                    created_at=now,
                    updated_at=now,
                )
                for provider in self._rows.environment.all()
            ],
        )

    async def get(
        self, connection: AsyncConnection, actor: Actor, provider_id: str
    ) -> ProviderRecord:
        """A provider's row.

        Raises:
            NotFound: There is none, or the environment does not bring it any more.
        """
        names = self.names_in_environment
        if provider_id in {environment_provider_id(actor.organization_id, one) for one in names}:
            await self.bring_environment(connection, actor)
        return await stored.get_provider(connection, actor, provider_id, in_environment=names)

    def provider_of(self, record: ProviderRecord) -> Provider:
        """The provider that a row stands for, which may be one of the environment."""
        ours = self._rows.environment.get(record.name)
        if record.origin == "environment" and ours is not None:
            return environment_provider(ours, record.organization_id, record)
        return self._rows.provider_of(record)

    async def create(
        self, connection: AsyncConnection, actor: Actor, body: CreateProviderBody
    ) -> ProviderRecord:
        """Store a new provider, in a transaction.

        Raises:
            InvalidInput: Something is missing that its type needs.
            Conflict: The organization has one by that name.
        """
        body.check_whole()
        now = datetime.now(UTC)
        provider_id = new_id("provider")
        given = body.model_dump(exclude_none=True, exclude={"name", "provider_type"})
        record = ProviderRecord(
            id=provider_id,
            organization_id=actor.organization_id,
            name=body.name,
            provider_type=body.provider_type,
            created_at=now,
            updated_at=now,
            base_url_judged=_is_judged(actor, body.base_url),
            **self._sealed(provider_id, {name: value or None for name, value in given.items()}),
        )
        return await stored.add_provider(
            connection, record, in_environment=self.names_in_environment
        )

    async def change(
        self, connection: AsyncConnection, actor: Actor, provider_id: str, body: UpdateProviderBody
    ) -> ProviderRecord:
        """Change a provider.

        Raises:
            NotFound: There is none.
            InvalidInput: It would lack what its type needs.
            Conflict: Its key is read from the environment, and another one was given, or another
                address by somebody who is not the server's administrator.
        """
        record = await self.get(connection, actor, provider_id)
        changes = body.changes()
        if record.origin == "environment":
            if actor.key_id is not None and "base_url" in changes:  # it would get the server's key
                raise Conflict(
                    f"The provider {record.name} comes from the environment: only the server's "
                    "token changes where its key is sent; create a provider of another name"
                )
            self._leave_secrets(record, changes)
        after = record.model_copy(update={k: v for k, v in changes.items() if k not in _SECRETS})
        kind = find_type(record.provider_type)
        if record.origin == "api" or after.base_url:
            kind.address(after.base_url, after.region)
        if not changes:
            return record
        # It may answer now: whoever waits for its rest to end is not to wait on.
        await end_rest(connection, actor.organization_id, record.name)
        stored_changes = self._sealed(provider_id, changes)
        if "base_url" in changes:
            stored_changes["base_url_judged"] = _is_judged(actor, changes["base_url"])
        return await stored.change_provider(
            connection,
            actor,
            provider_id,
            stored_changes,
            in_environment=self.names_in_environment,
        )

    async def delete(self, connection: AsyncConnection, actor: Actor, provider_id: str) -> None:
        """Delete a provider. Agents that use its models fail until they are given others.

        Raises:
            NotFound: There is none.
            Conflict: The environment brings it.
        """
        record = await self.get(connection, actor, provider_id)
        if record.name == LOCAL:
            raise Conflict("The bundled model goes when another provider is set at start")
        if record.origin == "environment":
            raise Conflict(
                f"The provider {record.name} comes from the environment: unset "
                f"{PROVIDER_TYPES[record.provider_type].variables} where the server is started"
            )
        await stored.delete_provider(connection, actor, provider_id)

    def _leave_secrets(self, record: ProviderRecord, changes: dict[str, str | None]) -> None:
        """Drop from `changes` the secrets that the environment has already.

        Raises:
            Conflict: They are others.
        """
        provider = self.provider_of(record)
        for column, ours in (("api_key", provider.api_key), ("access_key", provider.access_key)):
            given = changes.pop(column, None)
            if given is not None and (ours is None or ours.get_secret_value() != given):
                kind = PROVIDER_TYPES[record.provider_type]
                raise Conflict(
                    f"The {column} of {record.name} is read from the environment ({kind.key}): "
                    "change it there, or create a provider of another name"
                )

    def _sealed(self, provider_id: str, given: Mapping[str, str | None]) -> dict[str, Any]:
        """Column to value, with the secrets encrypted."""
        return {
            column: self._keyring.encrypt(value, of=secret_of(provider_id, column))
            if column in _SECRETS and value is not None
            else value
            for column, value in given.items()
        }


def _is_judged(actor: Actor, base_url: str | None) -> bool:
    """Whether connections to an address are judged that an actor names; the usual ones are not."""
    return actor.key_id is not None and bool(base_url)


async def check_address(guard: OutboundGuard, actor: Actor, base_url: str | None) -> None:
    """See that who asks with a key names no address of the inner network.

    Whoever has the server's token may: local servers are what many providers are for.

    Raises:
        InvalidInput: It is no public one, and no operator has named it.
    """
    if actor.key_id is None or not base_url:
        return
    if (refusal := await guard.refusal(base_url)) is not None:
        raise InvalidInput(f"base_url: {refusal}")


def provider_to_check(body: CheckProviderBody, guard: OutboundGuard | None = None) -> Provider:
    """A provider that is not stored, to be asked once.

    Args:
        body: What is known of it.
        guard: What judges the addresses that are connected to; None for all.

    Raises:
        InvalidInput: Something is missing that its type needs.
    """
    body.check_whole()
    kind = find_type(body.provider_type)
    base_url = kind.address(body.base_url, body.region)
    return Provider(
        kind.name,
        kind.name,
        kind.wire_at(base_url),
        base_url,
        SecretStr(body.api_key) if body.api_key else None,
        access_key=SecretStr(body.access_key) if body.access_key else None,
        region=body.region,
        api_version=body.api_version,
        guard=guard,
    )
