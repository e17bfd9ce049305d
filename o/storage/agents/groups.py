"""Statements about groups of agents."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    Table,
    Text,
    any_,
    delete,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    type_coerce,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.actors import Actor
from o.domain.groups import Group
from o.errors import NotFound
from o.storage.pages import Page, page_by_time
from o.storage.rows import columns_of, model_of, models_of, readable, row_of
from o.storage.tables.core import agents
from o.storage.tables.identities import group_agents, group_blocks, groups

_LIVING = agents.alias("living")
_AGENT_IDS = func.array(
    select(group_agents.c.agent_id)
    .join(_LIVING, _LIVING.c.id == group_agents.c.agent_id)
    .where(group_agents.c.group_id == groups.c.id, _LIVING.c.deleted_at.is_(None))
    .order_by(group_agents.c.position, group_agents.c.agent_id)
    .scalar_subquery()
)
_BLOCK_IDS = func.array(
    select(group_blocks.c.block_id)
    .where(group_blocks.c.group_id == groups.c.id)
    .order_by(group_blocks.c.position, group_blocks.c.block_id)
    .scalar_subquery()
)
_MANAGER = (
    select(_LIVING.c.id)
    .where(_LIVING.c.id == groups.c.manager_agent_id, _LIVING.c.deleted_at.is_(None))
    .scalar_subquery()
)
_SHOWN = (
    *(one for one in columns_of(groups, Group) if one.name != "manager_agent_id"),
    _MANAGER.label("manager_agent_id"),
    type_coerce(_AGENT_IDS, ARRAY(Text)).label("agent_ids"),
    type_coerce(_BLOCK_IDS, ARRAY(Text)).label("shared_block_ids"),
)


@dataclass(frozen=True)
class GroupFilter:
    """Which groups a list is about; None leaves a criterion out.

    Attributes:
        agent_id: Only groups that this agent is in.
        with_hidden: Whether hidden groups are among them.
    """

    manager_type: str | None = None
    project_id: str | None = None
    agent_id: str | None = None
    with_hidden: bool = False


async def add_group(connection: AsyncConnection, group: Group) -> None:
    """Store a new group with its agents and blocks, which the caller has found for an actor."""
    await connection.execute(insert(groups).values(row_of(groups, group)))
    await set_group_agents(connection, group.id, group.agent_ids)
    await set_group_blocks(connection, group.id, group.shared_block_ids)


async def get_group(
    connection: AsyncConnection, actor: Actor, group_id: str, *, lock: bool = False
) -> Group:
    """The group by that id; with `lock`, nobody else changes it in this transaction.

    Raises:
        NotFound: There is none for this actor.
    """
    statement = select(*_SHOWN).where(_is(actor, group_id))
    if lock:
        statement = statement.with_for_update(of=groups, key_share=True)
    row = (await connection.execute(statement)).mappings().one_or_none()
    if row is None:
        raise group_not_found(group_id)
    return model_of(Group, row)


async def list_groups(
    connection: AsyncConnection, actor: Actor, wanted: GroupFilter, page: Page
) -> list[Group]:
    """A page of groups by the time they were made.

    Raises:
        NotFound: A cursor names no group of this actor.
    """
    statement: Select[Any] = await page_by_time(
        connection, select(*_SHOWN).where(_is_of(actor), *_conditions(wanted)), page, groups, actor
    )
    return models_of(Group, (await connection.execute(statement)).mappings().all())


async def count_groups(connection: AsyncConnection, actor: Actor) -> int:
    """How many groups there are that are not hidden."""
    statement = select(func.count()).select_from(groups)
    statement = statement.where(_is_of(actor), *_conditions(GroupFilter()))
    return int(await connection.scalar(statement) or 0)


async def groups_managed_by(
    connection: AsyncConnection, agent_ids: Sequence[str]
) -> dict[str, Group]:
    """The group that each of these agents leads; of several, the newest."""
    rows = await connection.execute(
        select(*_SHOWN)
        .where(groups.c.manager_agent_id == any_(literal(list(agent_ids), ARRAY(Text))))
        .order_by(groups.c.created_at, groups.c.id)
    )
    found = readable(rows.mappings(), lambda row: model_of(Group, row))
    return {group.manager_agent_id: group for group in found if group.manager_agent_id is not None}


async def change_group(
    connection: AsyncConnection, actor: Actor, group_id: str, changes: Mapping[str, Any]
) -> None:
    """Apply `changes` (column to value) to a group that the caller has locked."""
    await connection.execute(
        update(groups)
        .where(_is(actor, group_id))
        .values(**changes, last_updated_by_id=actor.user_id, updated_at=func.now())
    )


async def set_group_agents(
    connection: AsyncConnection, group_id: str, agent_ids: Sequence[str]
) -> None:
    """Let a group have these agents, in this order, each once, and no others."""
    await _set_members(connection, group_agents, "agent_id", group_id, agent_ids)


async def set_group_blocks(
    connection: AsyncConnection, group_id: str, block_ids: Sequence[str]
) -> None:
    """Let a group have these blocks, in this order, each once, and no others."""
    await _set_members(connection, group_blocks, "block_id", group_id, block_ids)


async def delete_group(connection: AsyncConnection, actor: Actor, group_id: str) -> None:
    """Delete a group; its agents and their blocks stay.

    Raises:
        NotFound: There is none for this actor.
    """
    gone = await connection.execute(
        delete(groups).where(_is(actor, group_id)).returning(groups.c.id)
    )
    if gone.one_or_none() is None:
        raise group_not_found(group_id)


def group_not_found(group_id: str) -> NotFound:
    """What every question says about a group that this actor does not have."""
    return NotFound(f"Group with id {group_id} not found")


async def _set_members(
    connection: AsyncConnection, link: Table, column: str, group_id: str, ids: Sequence[str]
) -> None:
    await connection.execute(delete(link).where(link.c.group_id == group_id))
    rows = [
        {"group_id": group_id, column: one, "position": place}
        for place, one in enumerate(dict.fromkeys(ids))
    ]
    if rows:
        await connection.execute(insert(link).values(rows))


def _is_of(actor: Actor) -> ColumnElement[bool]:
    return groups.c.organization_id == actor.organization_id


def _is(actor: Actor, group_id: str) -> ColumnElement[bool]:
    return (groups.c.id == group_id) & _is_of(actor)


def _conditions(wanted: GroupFilter) -> list[ColumnElement[bool]]:
    equal = {
        groups.c.manager_type: wanted.manager_type,
        groups.c.project_id: wanted.project_id,
    }
    found = [column == value for column, value in equal.items() if value is not None]
    if wanted.agent_id is not None:
        is_in = (group_agents.c.group_id == groups.c.id) & (
            group_agents.c.agent_id == wanted.agent_id
        )
        found.append(exists().where(is_in))
    if not wanted.with_hidden:
        found.append(or_(groups.c.hidden.is_(None), groups.c.hidden.is_(False)))
    return found
