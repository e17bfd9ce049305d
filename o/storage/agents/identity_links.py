"""Statements about which agents and blocks have which identities.

A change of links is made under the locks of the agents and blocks that it gives an identity to, or
of the one agent whose identities it says; what stays is never taken away first.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Column, ColumnElement, Table, Text, any_, delete, exists, literal, select
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.identities import Identity
from o.storage.rows import columns_of, model_of, readable
from o.storage.tables.core import agents, blocks
from o.storage.tables.identities import agent_identities, block_identities, identities


@dataclass(frozen=True)
class Holders:
    """What can have an identity: agents, or blocks.

    Attributes:
        link: The table that says so.
        column: Its column for the holder.
        holder: The holder's id, where it is looked for.
        organization: The holder's organization there.
    """

    link: Table
    column: Column[str]
    holder: Column[str]
    organization: Column[str]


AGENTS = Holders(
    agent_identities, agent_identities.c.agent_id, agents.c.id, agents.c.organization_id
)
BLOCKS = Holders(
    block_identities, block_identities.c.block_id, blocks.c.id, blocks.c.organization_id
)


def identity_conditions(
    holders: Holders, identity_id: str | None, keys: Sequence[str] | None
) -> list[ColumnElement[bool]]:
    """Hold for the agents or blocks that have this identity, and one by one of these keys."""
    link, is_its = holders.link, holders.column == holders.holder
    found: list[ColumnElement[bool]] = []
    if identity_id:
        found.append(exists().where(is_its, link.c.identity_id == identity_id))
    if keys:
        named = exists().where(
            is_its,
            link.c.identity_id == identities.c.id,
            identities.c.organization_id == holders.organization,
            identities.c.identifier_key == any_(literal(list(keys), ARRAY(Text))),
        )
        found.append(named)
    return found


async def give_identity(
    connection: AsyncConnection, holders: Holders, identity_id: str, holder_ids: Sequence[str]
) -> None:
    """Give agents or blocks an identity; who has it keeps it. The caller has found them all."""
    rows = [
        {holders.column.name: one, "identity_id": identity_id} for one in sorted(set(holder_ids))
    ]
    if rows:
        await connection.execute(insert(holders.link).values(rows).on_conflict_do_nothing())


async def take_identity(
    connection: AsyncConnection, holders: Holders, identity_id: str, holder_id: str
) -> None:
    """Take an identity from an agent or a block, which need not have it."""
    await connection.execute(
        delete(holders.link).where(
            holders.column == holder_id, holders.link.c.identity_id == identity_id
        )
    )


async def keep_holders(
    connection: AsyncConnection, holders: Holders, identity_id: str, holder_ids: Sequence[str]
) -> None:
    """Take an identity from all agents, or all blocks, but these."""
    await connection.execute(
        delete(holders.link).where(
            holders.link.c.identity_id == identity_id,
            holders.column.not_in(list(holder_ids)),
        )
    )


async def set_identities_of_agent(
    connection: AsyncConnection, agent_id: str, identity_ids: Sequence[str]
) -> None:
    """Let an agent, which the caller has locked, have these identities and no others.

    The caller has found them (`get_identities`).
    """
    link = agent_identities
    await connection.execute(
        delete(link).where(link.c.agent_id == agent_id, link.c.identity_id.not_in(identity_ids))
    )
    rows = [{"agent_id": agent_id, "identity_id": one} for one in sorted(set(identity_ids))]
    if rows:
        await connection.execute(insert(link).values(rows).on_conflict_do_nothing())


async def identities_of_agents(
    connection: AsyncConnection, agent_ids: Sequence[str]
) -> dict[str, list[Identity]]:
    """What identities each of these agents has, the oldest first; without who else has them.

    Those that cannot be read are left out.
    """
    rows = await connection.execute(
        select(
            agent_identities.c.agent_id.label("holder_id"),
            *columns_of(identities, Identity),
        )
        .join(identities, identities.c.id == agent_identities.c.identity_id)
        .where(agent_identities.c.agent_id == any_(literal(list(agent_ids), ARRAY(Text))))
        .order_by(identities.c.created_at, identities.c.id)
    )
    found: dict[str, list[Identity]] = {}
    for holder_id, identity in readable(
        rows.mappings(), lambda row: (row["holder_id"], model_of(Identity, row))
    ):
        found.setdefault(holder_id, []).append(identity)
    return found
