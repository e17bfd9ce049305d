"""Pages of lists: cursors are ids of entries, `before` and `after` count in the order asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from o.errors import NotFound


@dataclass(frozen=True)
class Page:
    """Which part of a list.

    Attributes:
        before: Id of an entry; what comes ahead of it in the order asked for.
        after: Id of an entry; what comes behind it.
        ascending: Oldest first.
    """

    before: str | None = None
    after: str | None = None
    limit: int = 100
    ascending: bool = False

    @property
    def cursors(self) -> list[str]:
        """The ids that it names."""
        return [cursor for cursor in (self.before, self.after) if cursor is not None]


Keys = Sequence[ColumnElement[Any]]
Places = dict[str, tuple[Any, ...]]


async def places_of(
    connection: AsyncConnection, entries: Select[Any], ids: Sequence[str]
) -> Places:
    """The sort keys of the entries with these ids. No statement is sent when there are no ids.

    Args:
        connection: Any.
        entries: Selects id and sort keys of everything that the actor may see in this list.
        ids: Cursors.

    Raises:
        NotFound: A cursor names no entry.
    """
    if not ids:
        return {}
    id_column = entries.selected_columns[0]
    rows = await connection.execute(entries.where(id_column.in_(ids)))
    found = {row[0]: tuple(row[1:]) for row in rows}
    for cursor in ids:
        if cursor not in found:
            raise NotFound(f"Cursor {cursor[:100]} not found")
    return found


def is_older(keys: Keys, place: tuple[Any, ...]) -> ColumnElement[bool]:
    """The condition that an entry stands before `place` when the oldest comes first."""
    return tuple_(*keys) < tuple_(*place)


def is_newer(keys: Keys, place: tuple[Any, ...]) -> ColumnElement[bool]:
    """The condition that an entry stands behind `place` when the oldest comes first."""
    return tuple_(*keys) > tuple_(*place)


def ordered(question: Select[Any], keys: Keys, *, ascending: bool) -> Select[Any]:
    """`question`, oldest or newest first."""
    return question.order_by(*(keys if ascending else [key.desc() for key in keys]))


async def page_of(
    connection: AsyncConnection, question: Select[Any], entries: Select[Any], keys: Keys, page: Page
) -> Select[Any]:
    """`question` cut down to one page.

    Args:
        connection: Where the cursors are looked up, in one statement, when there are any.
        question: Selects the list, filtered but neither ordered nor limited.
        entries: Selects id and `keys` of what may be a cursor; a filter need not hold for those.
        keys: What the list is ordered by; no two entries have them all alike.
        page: Which one.

    Raises:
        NotFound: A cursor names no entry.
    """
    places = await places_of(connection, entries, page.cursors)
    behind, ahead = (is_newer, is_older) if page.ascending else (is_older, is_newer)
    if page.after is not None:
        question = question.where(behind(keys, places[page.after]))
    if page.before is not None:
        question = question.where(ahead(keys, places[page.before]))
    return ordered(question, keys, ascending=page.ascending).limit(page.limit)
