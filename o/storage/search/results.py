"""What a search has found, and how it was searched in the end."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from o.storage.search.passages import Mode
from o.storage.search.query_vectors import NO_VECTORS, QueryVectors
from o.storage.search.vectors import SearchedSpace

_Found = TypeVar("_Found")


@dataclass(frozen=True)
class Results(Generic[_Found]):
    """What a search has found.

    Attributes:
        mode: How it was searched in the end.
        problem: Why not as it was asked for; empty where it was.
    """

    found: Sequence[_Found]
    mode: Mode
    problem: str = ""


class VectorsOfQuery:
    """The vectors of one query: none is made before its search wants them."""

    def __init__(
        self,
        queries: QueryVectors,
        text: str,
        mode: Mode,
        *,
        organization_id: str,
        spaces: Sequence[SearchedSpace],
        mark: str | None,
    ) -> None:
        """Nothing is made yet. `mode` is what was asked for; of the rest see `QueryVectors.of`."""
        self._queries = queries
        self._text = text
        self._mode = mode
        self._organization_id = organization_id
        self._spaces = spaces
        self._mark = mark
        self._made: dict[int, list[float]] = {}
        self._problem = NO_VECTORS if mode != "text" and text.strip() else ""

    async def make(self) -> dict[int, list[float]]:
        """The vectors by space, as far as there are any."""
        self._made, self._problem = await self._queries.of(
            self._organization_id, self._spaces, self._text, mark=self._mark
        )
        return self._made

    def results(self, found: Sequence[_Found]) -> Results[_Found]:
        """What was found by them, or by words where there are none."""
        used: Mode = self._mode if self._made or self._mode == "text" else "text"
        return Results(found, used, self._problem)
