"""Statements about which agent has which blocks."""

from collections.abc import Sequence

from sqlalchemy import bindparam, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.actors import Actor
from o.domain.blocks import Block
from o.errors import Conflict, NotFound
from o.storage.agents.agents import agent_not_found
from o.storage.locks import lock_rows
from o.storage.rows import columns_of, model_of, models_of
from o.storage.tables.core import agent_blocks, agents, blocks

# Made once: to put a statement together costs more than to read the answer.
_ALL = (
    select(agents.c.id.label("holder_id"), *columns_of(blocks, Block))
    .select_from(
        agents.outerjoin(
            agent_blocks.join(blocks, blocks.c.id == agent_blocks.c.block_id),
            agent_blocks.c.agent_id == agents.c.id,
        )
    )
    .where(
        agents.c.id == bindparam("agent_id"),
        agents.c.organization_id == bindparam("organization_id"),
        agents.c.deleted_at.is_(None),
    )
    .order_by(agent_blocks.c.position, agent_blocks.c.label)
)
_READ_BY_LABEL = (
    select(*columns_of(blocks, Block))
    .join(agent_blocks, agent_blocks.c.block_id == blocks.c.id)
    .join(agents, agents.c.id == agent_blocks.c.agent_id)
    .where(
        agents.c.id == bindparam("agent_id"),
        agents.c.organization_id == bindparam("organization_id"),
        agents.c.deleted_at.is_(None),
        agent_blocks.c.label == bindparam("label"),
    )
)
_BY_LABEL = {
    False: _READ_BY_LABEL,
    True: _READ_BY_LABEL.with_for_update(of=blocks, key_share=True),
}


async def list_agent_blocks(
    connection: AsyncConnection, actor: Actor, agent_id: str
) -> list[Block]:
    """The agent's blocks in the order in which the prompt shows them.

    Raises:
        NotFound: There is no such agent for this actor.
    """
    rows = await connection.execute(
        _ALL, {"agent_id": agent_id, "organization_id": actor.organization_id}
    )
    found = rows.mappings().all()
    if not found:
        raise agent_not_found(agent_id)
    return models_of(Block, [row for row in found if row["id"] is not None])


async def get_agent_block(
    connection: AsyncConnection, actor: Actor, agent_id: str, label: str, *, lock: bool = False
) -> Block:
    """The agent's block by that label; with `lock`, nobody else changes it in this transaction.

    Raises:
        NotFound: The agent has no such block, or is not this actor's.
    """
    found = await connection.execute(
        _BY_LABEL[lock],
        {"agent_id": agent_id, "label": label, "organization_id": actor.organization_id},
    )
    row = found.mappings().one_or_none()
    if row is None:
        raise NotFound(f"Block with label {label!r} is not attached to agent {agent_id}")
    return model_of(Block, row)


async def attach_blocks(
    connection: AsyncConnection, agent_id: str, attached: Sequence[Block]
) -> None:
    """Put blocks behind those that an agent has; the caller has found both for an actor.

    Attaching a block again changes nothing. `get_blocks` keeps the labels as they are meanwhile.

    Raises:
        Conflict: The agent has another block by one of the labels.
    """
    if not attached:
        return
    labels = [block.label for block in attached]
    for label in labels:
        if labels.count(label) > 1:
            raise Conflict(f"Two of the blocks have the label {label!r}")
    last = (
        select(func.coalesce(func.max(agent_blocks.c.position), -1))
        .where(agent_blocks.c.agent_id == agent_id)
        .scalar_subquery()
    )
    rows = [
        {
            "agent_id": agent_id,
            "block_id": block.id,
            "label": block.label,
            "position": last + place,
        }
        for place, block in enumerate(attached, start=1)
    ]
    already = insert(agent_blocks).values(rows)
    # A block that is there already meets itself; another block by its label is a conflict.
    statement = already.on_conflict_do_update(
        index_elements=["agent_id", "label"],
        set_={"block_id": already.excluded.block_id},
        where=agent_blocks.c.block_id == already.excluded.block_id,
    ).returning(agent_blocks.c.label)
    done = {row.label for row in await connection.execute(statement)}
    for block in attached:
        if block.label not in done:
            raise Conflict(f"Agent {agent_id} has another block with the label {block.label!r}")


async def detach_block(connection: AsyncConnection, agent_id: str, block_id: str) -> None:
    """Take a block from an agent, which the caller has found for an actor; the block stays.

    Raises:
        NotFound: The agent does not have it.
    """
    gone = await connection.execute(
        delete(agent_blocks)
        .where(agent_blocks.c.agent_id == agent_id, agent_blocks.c.block_id == block_id)
        .returning(agent_blocks.c.block_id)
    )
    if gone.one_or_none() is None:
        raise NotFound(f"Block with id {block_id} is not attached to agent {agent_id}")


async def detach_all_blocks(connection: AsyncConnection, agent_id: str) -> None:
    """Take all blocks from an agent, which the caller has found for an actor."""
    await connection.execute(delete(agent_blocks).where(agent_blocks.c.agent_id == agent_id))


async def detach_block_from(
    connection: AsyncConnection, agent_ids: Sequence[str], block_id: str
) -> None:
    """Take a block from those of these agents that have it; the caller has locked them."""
    theirs = agent_blocks.c.agent_id.in_(agent_ids) & (agent_blocks.c.block_id == block_id)
    await lock_rows(connection, theirs, agent_blocks.c.agent_id)
    await connection.execute(delete(agent_blocks).where(theirs))
