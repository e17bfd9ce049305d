"""Pages of a list: a cursor is the id of a row, and stands for the place of that row.

A row that was deleted meanwhile keeps its place for a day (`deleted_rows`), so that a client that
deletes what a list shows, while it reads it, goes on where it was.

All lists that are read from the database go by this. An agent's history
(`o.storage.history.pages`) means something else by `after`, and only looks its cursors up here;
lists that are at hand whole are cut by `api.pagination`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from sqlalchemy import Select, Table, false, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.elements import ColumnElement

from o.domain.actors import Actor
from o.errors import NotFound
from o.storage.deleted_rows import deleted_by_time
from o.storage.tables.core import deleted_rows

Keys = Sequence[ColumnElement[Any]]
"""What a list is ordered by."""

Places = Mapping[str, tuple[Any, ...]]
"""The values of the keys by the id of the row."""

Deleted = Callable[[], Select[Any]]
"""Makes a statement of ids and keys of deleted rows (see `deleted_rows`), which few pages need."""


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
    statement: Select[Any],
    page: Page,
    keys: Keys,
    *,
    id_: ColumnElement[str],
    among: ColumnElement[bool],
    deleted: Deleted,
    what: str = "Cursor",
) -> Select[Any]:
    """`statement` narrowed to a page.

    Args:
        connection: Where the places of cursors are looked up, if the page names any.
        statement: Whose rows have `keys` and `id_`.
        page: Which part.
        keys: What the list is ordered by, together different for each row; never null.
        id_: The id, which cursors name.
        among: Holds for the rows that a cursor may name, shown or not.
        deleted: The deleted rows that a cursor may name.
        what: What a cursor is called when it names none.

    Raises:
        NotFound: A cursor names none of the rows.
    """
    places: Places = {}
    if cursors := _cursors(page):
        alive = select(*(id_, *keys)).where(among, id_.in_(cursors))
        places = await find_places(connection, page, alive, deleted, what=what)
    return narrowed(statement, page, keys, places).order_by(*in_order(keys, page)).limit(page.limit)


async def page_by_time(
    connection: AsyncConnection, statement: Select[Any], page: Page, table: Table, actor: Actor
) -> Select[Any]:
    """The same for an organization's rows of a table, by the time they were made.

    Raises:
        NotFound: A cursor names none of the actor's rows.
    """
    return await page_of_rows(
        connection,
        statement,
        page,
        (table.c.created_at, table.c.id),
        id_=table.c.id,
        among=table.c.organization_id == actor.organization_id,
        deleted=lambda: deleted_by_time(table, actor),
    )


async def page_of_kept_rows(
    connection: AsyncConnection,
    statement: Select[Any],
    page: Page,
    table: Table,
    *,
    among: ColumnElement[bool],
) -> Select[Any]:
    """The same for a table by `created_at` of which no row is forgotten while somebody pages it.

    Raises:
        NotFound: A cursor names none of the rows.
    """
    keys = (table.c.created_at, table.c.id)
    return await page_of_rows(
        connection, statement, page, keys, id_=table.c.id, among=among, deleted=_none_deleted
    )


def _none_deleted() -> Select[Any]:
    places = (deleted_rows.c.shown_id, deleted_rows.c.created_at, deleted_rows.c.id)
    return select(*places).where(false())


async def find_places(
    connection: AsyncConnection,
    page: Page,
    alive: Select[Any],
    deleted: Deleted,
    *,
    what: str,
    given: Mapping[str, Any] = MappingProxyType({}),
) -> Places:
    """Where the rows that the page names stand or stood: one statement, two if one was deleted.

    Args:
        connection: Any.
        page: Whose cursors are meant.
        alive: The ids and keys of the rows that they name; of several by one id the last counts.
        deleted: The same of deleted rows, whomever they name.
        what: What a cursor is called when it names none.
        given: The values that `alive` and `deleted` need by name.

    Raises:
        NotFound: A cursor names none of the rows.
    """
    cursors = _cursors(page)
    if not cursors:
        return {}
    places = _by_id(await connection.execute(alive, dict(given)))
    if missing := [cursor for cursor in cursors if cursor not in places]:
        named = deleted().where(deleted_rows.c.shown_id.in_(missing))
        places |= _by_id(await connection.execute(named, dict(given)))
    for cursor in cursors:
        if cursor not in places:
            raise NotFound(f"{what} {cursor[:100]} not found")
    return places


def _cursors(page: Page) -> list[str]:
    return [cursor for cursor in (page.before, page.after) if cursor is not None]


def _by_id(rows: Iterable[Any]) -> dict[str, tuple[Any, ...]]:
    return {row[0]: tuple(row)[1:] for row in rows}


def narrowed(statement: Select[Any], page: Page, keys: Keys, places: Places) -> Select[Any]:
    """`statement` with only what comes behind `after` and ahead of `before`."""
    here = tuple_(*keys)
    for cursor, forward in ((page.after, page.ascending), (page.before, not page.ascending)):
        if cursor is not None:
            there = tuple_(*places[cursor])
            statement = statement.where(here > there if forward else here < there)
    return statement


def in_order(keys: Keys, page: Page) -> list[ColumnElement[Any]]:
    """The keys in the order asked for."""
    return [key if page.ascending else key.desc() for key in keys]
