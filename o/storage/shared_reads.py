"""Reads of single rows: those that are asked for at once are one statement.

Much of what a read of one row costs, here and in PostgreSQL, is the statement and not the row. So
the rows that are asked for in one turn of the event loop are read together. A statement begins
after the last of them was asked for: who has written reads what they wrote.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ClauseElement
from sqlalchemy.exc import DataError

from o.storage.quick import QuickConnection

_MOST_ROWS = 20  # of one statement, so that nobody waits for very many

_Rows = dict[str, Any]


@dataclass(frozen=True)
class _Batch:
    """Rows of an organization that are to be read together."""

    statement: ClauseElement
    organization_id: str
    ids: dict[str, None] = field(default_factory=dict)  # a set that keeps its order


class SharedReads:
    """Reads rows by id, those of one turn of the event loop in one statement."""

    def __init__(self, connect: Callable[[], AbstractAsyncContextManager[QuickConnection]]) -> None:
        self._connect = connect
        self._gathered: dict[tuple[ClauseElement, str], tuple[_Batch, asyncio.Task[_Rows]]] = {}

    async def row(self, statement: ClauseElement, organization_id: str, row_id: str) -> Any:
        """A row of an organization, whose columns are attributes; None where there is none.

        Args:
            statement: Made once; selects `id` and more of the rows whose ids are `:ids`, a list,
                and that are of `:organization_id`.
            organization_id: Whose row.
            row_id: Which.

        Raises:
            SQLAlchemyError: There is no connection, or the statement failed for this row.
        """
        batch, reading = self._joined(statement, organization_id, row_id)
        try:
            rows = await asyncio.shield(reading)  # others may wait for it
        except DataError:  # of one of the rows; whatever else failed would fail again
            if len(batch.ids) == 1:
                raise
            rows = await self._read(_Batch(statement, organization_id, {row_id: None}))
        return rows.get(row_id)

    def _joined(
        self, statement: ClauseElement, organization_id: str, row_id: str
    ) -> tuple[_Batch, asyncio.Task[_Rows]]:
        """The batch in which a row is read, and its reading, which has not begun."""
        kind = statement, organization_id
        found = self._gathered.get(kind)
        if found is None or len(found[0].ids) >= _MOST_ROWS:
            batch = _Batch(statement, organization_id)
            found = self._gathered[kind] = batch, asyncio.create_task(self._read_gathered(batch))
        found[0].ids[row_id] = None
        return found

    async def _read_gathered(self, batch: _Batch) -> _Rows:
        """Read a batch, which nobody joins from now on."""
        kind = batch.statement, batch.organization_id
        if self._gathered[kind][0] is batch:  # and not one that was begun when it was full
            del self._gathered[kind]
        return await self._read(batch)

    async def _read(self, batch: _Batch) -> _Rows:
        values = {"ids": list(batch.ids), "organization_id": batch.organization_id}
        async with self._connect() as quick:
            rows = await quick.execute(batch.statement, values)
        return {row.id: row for row in rows.all()}
