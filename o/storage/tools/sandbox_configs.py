"""Statements about sandbox configurations, of which an organization has one of each type."""

from typing import Any

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.actors import Actor
from o.domain.tool_variables import SandboxConfig, SandboxType
from o.errors import Conflict, NotFound
from o.storage.pages import Page, page_by_time
from o.storage.rows import columns_of, model_of, models_of, row_of
from o.storage.tables.tools import sandbox_configs

_COLUMNS = columns_of(sandbox_configs, SandboxConfig)


async def upsert_config(connection: AsyncConnection, new: SandboxConfig) -> SandboxConfig:
    """Store a configuration; where there is one of its type, that one takes over its `config`."""
    statement = insert(sandbox_configs).values(row_of(sandbox_configs, new))
    statement = statement.on_conflict_do_update(
        index_elements=["organization_id", "type"],
        set_={
            name: statement.excluded[name]
            for name in ("config", "updated_at", "last_updated_by_id")
        },
    )
    row = (await connection.execute(statement.returning(*_COLUMNS))).mappings().one()
    return model_of(SandboxConfig, row)


async def get_or_add_config(connection: AsyncConnection, new: SandboxConfig) -> SandboxConfig:
    """The organization's configuration of this type, which is `new` where it has none."""
    statement = insert(sandbox_configs).values(row_of(sandbox_configs, new))
    await connection.execute(statement.on_conflict_do_nothing())
    rows = await connection.execute(
        select(*_COLUMNS).where(
            sandbox_configs.c.organization_id == new.organization_id,
            sandbox_configs.c.type == new.type,
        )
    )
    return model_of(SandboxConfig, rows.mappings().one())


async def get_config(connection: AsyncConnection, actor: Actor, config_id: str) -> SandboxConfig:
    """The configuration by that id.

    Raises:
        NotFound: There is none for this actor.
    """
    rows = await connection.execute(select(*_COLUMNS).where(_is(actor, config_id)))
    row = rows.mappings().one_or_none()
    if row is None:
        raise _not_found(config_id)
    return model_of(SandboxConfig, row)


async def list_configs(
    connection: AsyncConnection, actor: Actor, page: Page, type_: SandboxType | None
) -> list[SandboxConfig]:
    """A page of configurations by the time they were made.

    Raises:
        NotFound: A cursor names none of this actor.
    """
    mine = sandbox_configs.c.organization_id == actor.organization_id
    wanted = select(*_COLUMNS).where(mine)
    if type_ is not None:
        wanted = wanted.where(sandbox_configs.c.type == type_)
    statement = await page_by_time(connection, wanted, page, sandbox_configs, actor)
    return models_of(SandboxConfig, (await connection.execute(statement)).mappings().all())


async def change_config(
    connection: AsyncConnection,
    actor: Actor,
    config_id: str,
    type_: SandboxType,
    config: dict[str, Any],
) -> SandboxConfig:
    """Give a configuration another content.

    Raises:
        NotFound: There is none for this actor.
        Conflict: There is another one of the new type. The transaction is lost.
    """
    statement = (
        update(sandbox_configs)
        .where(_is(actor, config_id))
        .values(type=type_, config=config, updated_at=func.now(), last_updated_by_id=actor.user_id)
        .returning(*_COLUMNS)
    )
    try:
        row = (await connection.execute(statement)).mappings().one_or_none()
    except IntegrityError:
        raise Conflict(f"There is another sandbox configuration of type {type_}") from None
    if row is None:
        raise _not_found(config_id)
    return model_of(SandboxConfig, row)


async def delete_config(connection: AsyncConnection, actor: Actor, config_id: str) -> None:
    """Delete a configuration with its variables.

    Raises:
        NotFound: There is none for this actor.
    """
    gone = await connection.execute(delete(sandbox_configs).where(_is(actor, config_id)))
    if gone.rowcount == 0:
        raise _not_found(config_id)


def _is(actor: Actor, config_id: str) -> ColumnElement[bool]:
    return (sandbox_configs.c.id == config_id) & (
        sandbox_configs.c.organization_id == actor.organization_id
    )


def _not_found(config_id: str) -> NotFound:
    return NotFound(f"Sandbox config with id {config_id} not found")
