"""Blocks as a conversation sees them: the agent's, but for those that it has to itself."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ARRAY, Select, Text, and_, bindparam, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.agents import Agent
from o.domain.blocks import Block
from o.errors import NotFound
from o.storage.agents.blocks import add_blocks
from o.storage.rows import all_models_of, columns_of, model_of
from o.storage.tables.core import agent_blocks, blocks, conversation_blocks

SEEN_BLOCKS = """(
    SELECT coalesce(jsonb_agg(to_jsonb(blocks) ORDER BY held.position, held.label), '[]')
    FROM agent_blocks AS held
    LEFT JOIN conversation_blocks AS isolated
        ON isolated.conversation_id = run.conversation_id AND isolated.label = held.label
    JOIN blocks ON blocks.id = coalesce(isolated.block_id, held.block_id)
    WHERE held.agent_id = run.agent_id
)"""
"""The same in SQL, as JSON, for the conversation of a row `run`."""


def _seen() -> Select[Any]:
    isolated = conversation_blocks
    is_isolated = and_(
        isolated.c.conversation_id == bindparam("conversation_id"),
        isolated.c.label == agent_blocks.c.label,
    )
    return (
        select(*columns_of(blocks, Block), isolated.c.block_id.is_not(None).label("is_isolated"))
        .select_from(agent_blocks)
        .outerjoin(isolated, is_isolated)
        .join(blocks, blocks.c.id == func.coalesce(isolated.c.block_id, agent_blocks.c.block_id))
        .where(agent_blocks.c.agent_id == bindparam("agent_id"))
    )


# Made once: to put a statement together costs more than to read the answer.
_IN_ORDER = _seen().order_by(agent_blocks.c.position, agent_blocks.c.label)
_BY_LABEL = (
    _seen()
    .where(agent_blocks.c.label == bindparam("label"))
    .with_for_update(of=blocks, key_share=True)
)
_LOCK_BY_LABELS = (
    _seen()
    .where(agent_blocks.c.label == func.any(bindparam("labels", type_=ARRAY(Text))))
    .order_by(blocks.c.id)
    .with_for_update(of=blocks, key_share=True)
)


@dataclass(frozen=True)
class SeenBlock:
    """A block, and whether the conversation has it to itself."""

    block: Block
    is_isolated: bool


async def list_seen_blocks(connection: AsyncConnection, agent: Agent) -> list[Block]:
    """The blocks of an agent where it acts, in the order of the prompt; outside a turn, its own.

    Raises:
        Unreadable: One of them is stored, and cannot be read.
    """
    given = {"conversation_id": agent.conversation_id, "agent_id": agent.id}
    return all_models_of(Block, (await connection.execute(_IN_ORDER, given)).mappings().all())


async def lock_seen_block(connection: AsyncConnection, agent: Agent, label: str) -> SeenBlock:
    """The block by that label where the agent acts; nobody else changes it in this transaction.

    Raises:
        NotFound: There is none.
    """
    given = {"conversation_id": agent.conversation_id, "agent_id": agent.id, "label": label}
    row = (await connection.execute(_BY_LABEL, given)).mappings().one_or_none()
    if row is None:
        raise NotFound(f"Agent {agent.id} has no block with the label {label!r}")
    return SeenBlock(model_of(Block, row), row["is_isolated"])


async def lock_seen_blocks(
    connection: AsyncConnection, agent: Agent, labels: Iterable[str]
) -> None:
    """Lock the blocks by those labels where the agent acts, in the order of their ids."""
    given = {
        "conversation_id": agent.conversation_id,
        "agent_id": agent.id,
        "labels": sorted(set(labels)),
    }
    await connection.execute(_LOCK_BY_LABELS, given)


async def list_isolated_blocks(connection: AsyncConnection, conversation_id: str) -> list[Block]:
    """The blocks that a conversation has to itself.

    Raises:
        Unreadable: One of them is stored, and cannot be read.
    """
    rows = await connection.execute(
        select(*columns_of(blocks, Block))
        .join(conversation_blocks, conversation_blocks.c.block_id == blocks.c.id)
        .where(conversation_blocks.c.conversation_id == conversation_id)
        .order_by(conversation_blocks.c.label)
    )
    return all_models_of(Block, rows.mappings().all())


async def add_isolated_blocks(
    connection: AsyncConnection, conversation_id: str, new: Sequence[Block]
) -> None:
    """Store new blocks for a conversation to have to itself."""
    if not new:
        return
    await add_blocks(connection, new)
    await connection.execute(
        insert(conversation_blocks).values(
            [
                {"conversation_id": conversation_id, "label": block.label, "block_id": block.id}
                for block in new
            ]
        )
    )
