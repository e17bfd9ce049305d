"""Cursor paging of lists that are short enough to be at hand whole."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from o.errors import NotFound


class _HasId(Protocol):
    @property
    def id(self) -> str: ...


_Item = TypeVar("_Item", bound=_HasId)


def page_of(
    items: Sequence[_Item], *, before: str | None, after: str | None, limit: int
) -> list[_Item]:
    """Up to `limit` items behind the one with id `after` and ahead of the one with id `before`.

    Raises:
        NotFound: A cursor names none of the items.
    """
    start = _place(items, after) + 1 if after is not None else 0
    end = _place(items, before) if before is not None else len(items)
    return list(items[start:end][:limit])


def _place(items: Sequence[_Item], cursor: str) -> int:
    for place, item in enumerate(items):
        if item.id == cursor:
            return place
    raise NotFound(f"Cursor {cursor[:100]} not found")
