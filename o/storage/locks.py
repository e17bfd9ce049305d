"""The one order in which rows are locked, so that no two transactions wait for each other.

    an organization's waits → a thread's advisory lock → that of equal requests → approvals →
    runs → blocks → tools → archives → folders → files → an agent's open files → conversations →
    agents → the rest

Within a table, rows are locked by age where they are many (approvals, runs) and by id elsewhere.
Whoever holds a lock takes no other that stands before it: a tool call holds its run's lock when it
takes that of a block, and those of its conversation and its agent when it commits its return, so a
change of an agent locks the blocks and tools that it attaches before it locks the agent. Where
only a row itself tells what stands before it, it is read first, and read again once all is locked.
"""

from typing import Any

from sqlalchemy import Column, ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncConnection


async def lock_rows(
    connection: AsyncConnection,
    which: ColumnElement[bool],
    *order: Column[Any],
    key_share: bool = False,
) -> None:
    """Lock rows that are to be changed or deleted.

    Args:
        connection: In a transaction.
        which: A condition on one table.
        order: That table's, as above.
        key_share: For rows that stay: others may store meanwhile what names them by foreign keys.
    """
    locked = select(order[-1]).where(which).order_by(*order).with_for_update(key_share=key_share)
    await connection.execute(locked)
