"""Cursor paging: V1's parameters, and the cutting of lists that are at hand whole."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Literal, Protocol, TypeVar

from fastapi import Query

from o.errors import NotFound
from o.storage.pages import Page

_MOST = 10_000
Order = Literal["asc", "desc"]


def page_query(
    *, limit: int, order: Order = "desc", most: int | None = None
) -> Callable[..., Awaitable[Page]]:
    """The dependency that reads V1's `before`, `after`, `limit`, `order` and `ascending`.

    Args:
        limit: Entries on a page, when the client does not say.
        order: The list's own order.
        most: A higher limit is 422. Where V1 knows none, it is taken as 10,000, and the client's
            paging goes on from there.
    """
    default_limit, default_order = limit, order

    async def page(
        before: str | None = None,
        after: str | None = None,
        limit: Annotated[int, Query(ge=1, le=most)] = default_limit,
        order: Order = default_order,
        ascending: Annotated[bool, Query(deprecated=True)] = False,
    ) -> Page:
        return Page(before, after, min(limit, _MOST), ascending=ascending or order == "asc")

    return page


class _HasId(Protocol):
    @property
    def id(self) -> str: ...


_Item = TypeVar("_Item", bound=_HasId)


def page_of(items: Sequence[_Item], page: Page) -> list[_Item]:
    """A page of items that are at hand whole, given in ascending order.

    Raises:
        NotFound: A cursor names none of the items.
    """
    ordered = items if page.ascending else items[::-1]
    start = _place(ordered, page.after) + 1 if page.after is not None else 0
    end = _place(ordered, page.before) if page.before is not None else len(ordered)
    return list(ordered[start:end][: page.limit])


def _place(items: Sequence[_Item], cursor: str) -> int:
    for place, item in enumerate(items):
        if item.id == cursor:
            return place
    raise NotFound(f"Cursor {cursor[:100]} not found")
