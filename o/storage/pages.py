"""Pages of a list: keyset paging by a time and, for what has the same time, by id."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, and_, func, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.elements import ColumnElement

from o.errors import NotFound


@dataclass(frozen=True)
class Page:
    """Which part of a list is wanted.

    Attributes:
        before: Only what comes ahead of this id in the order asked for.
        after: Only what comes behind this id in the order asked for.
        limit: How many at most.
        ascending: Whether the oldest come first.
    """

    before: str | None = None
    after: str | None = None
    limit: int = 50
    ascending: bool = False


async def page_of_rows(
    connection: AsyncConnection,
    question: Select[Any],
    page: Page,
    *,
    time: ColumnElement[Any],
    id_: ColumnElement[str],
    of_actor: ColumnElement[bool],
) -> Select[Any]:
    """`question` narrowed to a page.

    Args:
        connection: Where a cursor's place is looked up; without a cursor it is not used.
        question: Whose rows have `time` and `id_`.
        page: Which part.
        time: What the list is ordered by; never null.
        id_: The id, which cursors name.
        of_actor: Holds for the rows that a cursor may name.

    Raises:
        NotFound: A cursor names no row of this actor.
    """
    for cursor, forward in ((page.after, page.ascending), (page.before, not page.ascending)):
        if cursor is None:
            continue
        place = await connection.scalar(select(time).where(and_(id_ == cursor, of_actor)))
        if place is None:
            raise NotFound(f"Cursor {cursor[:100]} not found")
        here, there = func.row(time, id_), func.row(place, cursor)
        question = question.where(here > there if forward else here < there)
    order = (time, id_) if page.ascending else (time.desc(), id_.desc())
    return question.order_by(*order).limit(page.limit)
