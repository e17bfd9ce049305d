"""The one order in which rows are locked, so that no two transactions wait for each other.

    a thread's advisory lock → approvals → runs → blocks → conversations → agents → the rest

Within a table, rows are locked by age where they are many (approvals, runs) and by id elsewhere.
Whoever holds a lock takes no other that stands before it: a tool call holds its run's lock when it
takes that of a block, and those of its conversation and its agent when it commits its return, so a
change of an agent locks the blocks that it attaches before it locks the agent. Where only a row
itself tells what stands before it, it is read first, and read again once all is locked.
"""

from sqlalchemy import ColumnElement, Table, select
from sqlalchemy.ext.asyncio import AsyncConnection


async def lock_rows(connection: AsyncConnection, table: Table, which: ColumnElement[bool]) -> None:
    """Lock rows that are to be deleted, in the table's order."""
    order = [table.c.created_at, table.c.id] if "status" in table.c else [table.c.id]
    await connection.execute(select(table.c.id).where(which).order_by(*order).with_for_update())
