"""What was deleted and is still there, until its workflows are closed and its rows can go."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Text, any_, delete, func, literal, select, text
from sqlalchemy.dialects.postgresql import ARRAY, aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncConnection

from o.storage.archives.agent_archives import mark_own_archives_deleted
from o.storage.conditions import IS_OPEN, IS_PENDING
from o.storage.locks import lock_rows
from o.storage.tables.core import (
    agents,
    approvals,
    blocks,
    conversation_blocks,
    conversations,
    runs,
)


@dataclass(frozen=True)
class Deleted:
    """An agent, or one conversation of an agent that lives on.

    Attributes:
        id: The agent's, or the conversation's.
        conversation_ids: Whose workflows must be closed before the rows go.
    """

    id: str
    is_agent: bool
    conversation_ids: list[str]


async def list_deleted(connection: AsyncConnection, *, limit: int) -> list[Deleted]:
    """Some of what is marked deleted and still to be purged, others each time.

    By chance, so that what cannot be purged keeps nothing else from it.
    """
    of_agents = await connection.execute(
        select(
            agents.c.id,
            func.array_agg(aggregate_order_by(conversations.c.id, conversations.c.id)),
        )
        .join(conversations, conversations.c.agent_id == agents.c.id)
        .where(agents.c.deleted_at.is_not(None))
        .group_by(agents.c.id)
        .order_by(func.random())
        .limit(limit)
    )
    found = [Deleted(id_, is_agent=True, conversation_ids=ids) for id_, ids in of_agents]
    alone = await connection.execute(
        select(conversations.c.id)
        .join(agents, agents.c.id == conversations.c.agent_id)
        .where(conversations.c.deleted_at.is_not(None), agents.c.deleted_at.is_(None))
        .order_by(func.random())
        .limit(limit)
    )
    return found + [Deleted(id_, is_agent=False, conversation_ids=[id_]) for (id_,) in alone]


async def purge(connection: AsyncConnection, deleted: Deleted) -> None:
    """Remove what was deleted with all that hangs on it. The blocks of an agent stay.

    The blocks that conversations had to themselves go too. All that somebody may be at work with
    is locked first, in the order of `o.storage.locks`.

    Args:
        connection: In a transaction.
        deleted: What; its workflows are closed.
    """
    is_gone: ColumnElement[bool] = conversations.c.id == deleted.id
    if deleted.is_agent:
        is_gone = conversations.c.agent_id == deleted.id
    # Whoever holds a row for long keeps it from being purged, and nobody waiting for a connection.
    await connection.execute(text("SET LOCAL lock_timeout = '1s'"))
    of_it = select(conversations.c.id).where(is_gone)
    await lock_rows(
        connection,
        approvals.c.conversation_id.in_(of_it) & IS_PENDING,
        approvals.c.created_at,
        approvals.c.id,
    )
    await lock_rows(
        connection, runs.c.conversation_id.in_(of_it) & IS_OPEN, runs.c.created_at, runs.c.id
    )
    isolated = await connection.execute(
        select(conversation_blocks.c.block_id)
        .join(conversations, conversations.c.id == conversation_blocks.c.conversation_id)
        .where(is_gone)
    )
    # One parameter, however many there are: a statement takes 65,535.
    is_isolated = blocks.c.id == any_(literal(isolated.scalars().all(), ARRAY(Text)))
    await lock_rows(connection, is_isolated, blocks.c.id)
    if deleted.is_agent:  # again: a tool may have made one since
        await mark_own_archives_deleted(connection, deleted.id)
    await lock_rows(connection, is_gone, conversations.c.id)
    gone = agents if deleted.is_agent else conversations
    await connection.execute(
        delete(gone).where(gone.c.id == deleted.id, gone.c.deleted_at.is_not(None))
    )
    await connection.execute(delete(blocks).where(is_isolated))
