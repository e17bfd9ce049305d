"""Statements about providers of models. A trigger marks the organization with each change."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.actors import Actor
from o.domain.providers import MarkedProviders, ProviderRecord
from o.errors import Conflict, NotFound
from o.storage.database import Database
from o.storage.pages import Page, page_by_time
from o.storage.rows import columns_of, model_of, models_of, row_of
from o.storage.tables.core import organizations
from o.storage.tables.providers import providers


async def read_providers(connection: AsyncConnection, organization_id: str) -> MarkedProviders:
    """Every provider of an organization, in one statement; unreadable rows are left out."""
    rows = await connection.execute(
        select(organizations.c.providers_mark, *columns_of(providers, ProviderRecord))
        .join_from(
            organizations,
            providers,
            providers.c.organization_id == organizations.c.id,
            isouter=True,
        )
        .where(organizations.c.id == organization_id)
        .order_by(providers.c.created_at, providers.c.id)
    )
    found = rows.mappings().all()
    mark = found[0]["providers_mark"] if found else ""
    return MarkedProviders(mark, models_of(ProviderRecord, [row for row in found if row["id"]]))


async def list_providers(
    connection: AsyncConnection,
    actor: Actor,
    page: Page,
    *,
    in_environment: Sequence[str],
    name: str | None = None,
    provider_type: str | None = None,
) -> list[ProviderRecord]:
    """A page of providers by the time they were made.

    Args:
        connection: Any.
        actor: Whose.
        page: Which part.
        in_environment: The names of those that the environment brings; others of it are hidden.
        name: Only the one by that name.
        provider_type: Only those of that type.

    Raises:
        NotFound: A cursor names no provider of this actor.
    """
    wanted = {providers.c.name: name, providers.c.provider_type: provider_type}
    statement = await page_by_time(
        connection,
        _visible(actor, in_environment).where(
            *(column == value for column, value in wanted.items() if value is not None)
        ),
        page,
        providers,
        actor,
    )
    return models_of(ProviderRecord, (await connection.execute(statement)).mappings().all())


async def get_provider(
    connection: AsyncConnection, actor: Actor, provider_id: str, *, in_environment: Sequence[str]
) -> ProviderRecord:
    """The provider by that id.

    Raises:
        NotFound: There is none for this actor, or the environment does not bring it any more.
    """
    statement = _visible(actor, in_environment).where(providers.c.id == provider_id)
    row = (await connection.execute(statement)).mappings().one_or_none()
    if row is None:
        raise _not_found(provider_id)
    return model_of(ProviderRecord, row)


async def add_environment_providers(
    connection: AsyncConnection, new: Sequence[ProviderRecord]
) -> None:
    """Store providers that the environment brings, where nothing has their names."""
    if new:
        # In one order, so that no two who store them wait for each other.
        rows = [row_of(providers, record) for record in sorted(new, key=lambda one: one.name)]
        await connection.execute(insert(providers).values(rows).on_conflict_do_nothing())


async def add_provider(
    connection: AsyncConnection, new: ProviderRecord, *, in_environment: Sequence[str]
) -> ProviderRecord:
    """Store a new provider, in a transaction.

    A row of the environment is in nobody's way once the environment does not bring it any more.

    Raises:
        Conflict: The organization has one by that name.
    """
    if new.name not in in_environment:
        of_the_past = and_(
            providers.c.organization_id == new.organization_id,
            providers.c.name == new.name,
            providers.c.origin == "environment",
        )
        await connection.execute(delete(providers).where(of_the_past))
    stored = await connection.execute(
        insert(providers)
        .values(row_of(providers, new))
        .on_conflict_do_nothing(index_elements=["organization_id", "name"])
        .returning(providers.c.id)
    )
    if new.name in in_environment or stored.one_or_none() is None:
        raise Conflict(
            f"There is a provider named {new.name!r}: change or delete it, or choose another name"
        )
    return new


async def change_provider(
    connection: AsyncConnection,
    actor: Actor,
    provider_id: str,
    changes: Mapping[str, Any],
    *,
    in_environment: Sequence[str],
) -> ProviderRecord:
    """Apply `changes` (column to value) to a provider.

    Raises:
        NotFound: There is none for this actor, or the environment does not bring it any more.
    """
    rows = await connection.execute(
        update(providers)
        .where(_is(actor, provider_id), _is_there(in_environment))
        .values(**changes, updated_at=func.now())
        .returning(*columns_of(providers, ProviderRecord))
    )
    row = rows.mappings().one_or_none()
    if row is None:
        raise _not_found(provider_id)
    return model_of(ProviderRecord, row)


async def note_synced(
    connection: AsyncConnection, actor: Actor, provider_id: str
) -> ProviderRecord:
    """Note that a provider was asked for its models now.

    Raises:
        NotFound: It is gone.
    """
    rows = await connection.execute(
        update(providers)
        .where(_is(actor, provider_id))
        .values(last_synced=func.now())
        .returning(*columns_of(providers, ProviderRecord))
    )
    row = rows.mappings().one_or_none()
    if row is None:
        raise _not_found(provider_id)
    return model_of(ProviderRecord, row)


async def delete_provider(connection: AsyncConnection, actor: Actor, provider_id: str) -> None:
    """Delete a provider that was made through the API; its name is free at once.

    Raises:
        NotFound: There is none for this actor.
    """
    gone = await connection.execute(
        delete(providers)
        .where(_is(actor, provider_id), providers.c.origin == "api")
        .returning(providers.c.id)
    )
    if gone.one_or_none() is None:
        raise _not_found(provider_id)


def _not_found(provider_id: str) -> NotFound:
    return NotFound(f"Provider with id {provider_id} not found")


def _is(actor: Actor, provider_id: str) -> ColumnElement[bool]:
    return (providers.c.id == provider_id) & (providers.c.organization_id == actor.organization_id)


def _is_there(in_environment: Sequence[str]) -> ColumnElement[bool]:
    return or_(providers.c.origin == "api", providers.c.name.in_(in_environment))


def _visible(actor: Actor, in_environment: Sequence[str]) -> Select[Any]:
    return select(*columns_of(providers, ProviderRecord)).where(
        providers.c.organization_id == actor.organization_id, _is_there(in_environment)
    )


def provider_reader(database: Database) -> Callable[[str], Awaitable[MarkedProviders]]:
    """What reads the providers of an organization by its id, on a connection of its own."""

    async def read(organization_id: str) -> MarkedProviders:
        async with database.connect() as connection:
            return await read_providers(connection, organization_id)

    return read
