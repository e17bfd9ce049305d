"""Questions about blocks."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Select, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.actors import Actor
from o.domain.blocks import Block
from o.errors import NotFound
from o.storage.rows import columns_of, model_of, models_of, row_of
from o.storage.tables import agent_blocks, agents, blocks


async def add_block(connection: AsyncConnection, block: Block) -> None:
    """Store a new block."""
    await connection.execute(insert(blocks).values(row_of(blocks, block)))


async def attach_block(
    connection: AsyncConnection, agent_id: str, block: Block, position: int
) -> None:
    """Put a block into an agent's context, under its label."""
    await connection.execute(
        insert(agent_blocks).values(
            agent_id=agent_id, block_id=block.id, label=block.label, position=position
        )
    )


async def next_block_position(connection: AsyncConnection, agent_id: str) -> int:
    """The place behind all blocks of the agent."""
    last = await connection.scalar(
        select(func.max(agent_blocks.c.position)).where(agent_blocks.c.agent_id == agent_id)
    )
    return 0 if last is None else int(last) + 1


async def detach_block(connection: AsyncConnection, agent_id: str, block_id: str) -> None:
    """Take a block out of an agent's context. The block and its history stay."""
    await connection.execute(
        delete(agent_blocks).where(
            agent_blocks.c.agent_id == agent_id, agent_blocks.c.block_id == block_id
        )
    )


async def list_agent_blocks(
    connection: AsyncConnection, actor: Actor, agent_id: str
) -> list[Block]:
    """The agent's blocks in the order in which the prompt shows them."""
    rows = await connection.execute(
        _of_agent(actor, agent_id).order_by(agent_blocks.c.position, agent_blocks.c.label)
    )
    return models_of(Block, rows.mappings().all())


async def blocks_by_agent(
    connection: AsyncConnection, agent_ids: Sequence[str]
) -> dict[str, list[Block]]:
    """The blocks of each of these agents, which the caller has already found for an actor."""
    rows = await connection.execute(
        select(agent_blocks.c.agent_id, *columns_of(blocks, Block))
        .join(blocks, blocks.c.id == agent_blocks.c.block_id)
        .where(agent_blocks.c.agent_id.in_(agent_ids))
        .order_by(agent_blocks.c.agent_id, agent_blocks.c.position, agent_blocks.c.label)
    )
    found: dict[str, list[Block]] = {agent_id: [] for agent_id in agent_ids}
    for row in rows.mappings():
        found[row["agent_id"]].append(model_of(Block, row))
    return found


async def get_agent_block(
    connection: AsyncConnection, actor: Actor, agent_id: str, label: str, *, lock: bool = False
) -> Block:
    """The agent's block by that label; with `lock`, nobody else changes it in this transaction.

    Raises:
        NotFound: The agent has no such block, or is not this actor's.
    """
    question = _of_agent(actor, agent_id).where(agent_blocks.c.label == label)
    if lock:
        question = question.with_for_update(of=blocks)
    row = (await connection.execute(question)).mappings().one_or_none()
    if row is None:
        raise NotFound(f"Block with label {label!r} is not attached to agent {agent_id}")
    return model_of(Block, row)


async def label_is_taken(connection: AsyncConnection, block_id: str, label: str) -> bool:
    """Whether an agent that has this block has another one by that label."""
    mine, other = agent_blocks.alias(), agent_blocks.alias()
    found = await connection.scalar(
        select(other.c.block_id)
        .join(mine, mine.c.agent_id == other.c.agent_id)
        .where(mine.c.block_id == block_id, other.c.block_id != block_id, other.c.label == label)
        .limit(1)
    )
    return found is not None


async def change_block(
    connection: AsyncConnection, actor: Actor, block: Block, changes: Mapping[str, Any]
) -> Block:
    """Apply `changes` (column to value) to `block` and count its version up.

    The caller holds the block's row lock (`get_agent_block(lock=True)`), so no edit between is
    lost.
    """
    row = await connection.execute(
        update(blocks)
        .where(blocks.c.id == block.id, blocks.c.organization_id == actor.organization_id)
        .values(
            **changes,
            version=blocks.c.version + 1,
            last_updated_by_id=actor.user_id,
            updated_at=func.now(),
        )
        .returning(*columns_of(blocks, Block))
    )
    if changes.get("label", block.label) != block.label:
        await connection.execute(
            update(agent_blocks)
            .where(agent_blocks.c.block_id == block.id)
            .values(label=changes["label"])
        )
    return model_of(Block, row.mappings().one())


def _of_agent(actor: Actor, agent_id: str) -> Select[Any]:
    return (
        select(*columns_of(blocks, Block))
        .join(agent_blocks, agent_blocks.c.block_id == blocks.c.id)
        .join(agents, agents.c.id == agent_blocks.c.agent_id)
        .where(
            agents.c.id == agent_id,
            agents.c.organization_id == actor.organization_id,
            agents.c.deleted_at.is_(None),
        )
    )
