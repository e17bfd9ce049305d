"""A query as a vector: made by the models of what is searched, or not in time."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

from o.errors import OError
from o.storage.search.vectors import SearchedSpace

_log = logging.getLogger(__name__)

_MOST_SPACES = 4
"""Models that one query is embedded by; those of the most texts go first."""

_MOST_EMBEDDED_CHARS = 8_000
"""How much of a query is embedded: what local models read is shorter still."""

NO_VECTORS = "nothing that is searched has a vector"
TOO_SLOW = "the embedding model did not answer in time"
FAILED = "the embedding model could not be asked"
UNFIT = "the embedding model made no vector that compares with those that are searched"


class QueryEmbedder(Protocol):
    """Makes the vector of a query: what is needed here of `o.domain.embedding.TextEmbedder`."""

    async def embed(
        self,
        handle: str,
        organization_id: str,
        texts: Sequence[str],
        *,
        is_query: bool,
        mark: str | None = None,
    ) -> list[list[float]]:
        """One vector for each text."""
        ...


class QueryVectors:
    """Embeds queries, and waits for no model for long."""

    def __init__(self, embedder: QueryEmbedder | None, *, timeout_s: float) -> None:
        """Ask nobody yet.

        Args:
            embedder: None where words alone are searched.
            timeout_s: How long a query's vector is waited for.
        """
        self._embedder = embedder
        self._timeout_s = timeout_s

    async def of(
        self,
        organization_id: str,
        spaces: Sequence[SearchedSpace],
        query: str,
        *,
        mark: str | None,
    ) -> tuple[dict[int, list[float]], str]:
        """The query's vectors by space, and why there are fewer than spaces.

        Args:
            organization_id: Whose providers are asked.
            spaces: What is searched.
            query: Whatever a person or a model wrote.
            mark: What its providers are known by now: see `ProviderSource`.
        """
        asked = sorted(spaces, key=lambda space: -space.total)[:_MOST_SPACES]
        if self._embedder is None or not asked:
            return {}, NO_VECTORS
        made = await asyncio.gather(
            *(self._one(self._embedder, organization_id, space, query, mark) for space in asked)
        )
        vectors = {
            space.id: one
            for space, one in zip(asked, made, strict=True)
            if not isinstance(one, str)
        }
        return vectors, next((one for one in made if isinstance(one, str)), "")

    async def _one(
        self,
        embedder: QueryEmbedder,
        organization_id: str,
        space: SearchedSpace,
        query: str,
        mark: str | None,
    ) -> list[float] | str:
        """The query's vector, or why there is none."""
        try:
            async with asyncio.timeout(self._timeout_s):
                (vector,) = await embedder.embed(
                    space.handle,
                    organization_id,
                    [query[:_MOST_EMBEDDED_CHARS]],
                    is_query=True,
                    mark=mark,
                )
        except TimeoutError:
            reason = TOO_SLOW
        except (OError, ValueError) as error:
            reason = FAILED
            facts = {"handle": space.handle, "error": type(error).__name__}
            _log.warning("a query was not embedded", extra=facts)
        else:
            # No angle is between zeros and anything, nor between vectors of other lengths.
            return vector if len(vector) == space.dimension and any(vector) else UNFIT
        return reason
