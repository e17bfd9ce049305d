"""A search of passages from end to end: whose, the query as a vector, then both arms."""

from collections.abc import Sequence
from dataclasses import dataclass

from o.storage.agents.agents import agent_not_found
from o.storage.database import Database
from o.storage.search.passages import FoundPassage, Mode, PassageFilter, search_passages
from o.storage.search.query_vectors import QueryVectors
from o.storage.search.results import Results, VectorsOfQuery
from o.storage.search.scope import PassageScope, passage_scope, scope_of_agent
from o.storage.search.session import Ask, asking

_ALL = PassageFilter()


@dataclass(frozen=True)
class PassageQuery:
    """What is looked for among passages.

    Attributes:
        text: Whatever a person or a model wrote; the newest passages where it is blank.
        limit: How many at most.
        mode: By words, by meaning, or by both.
        wanted: What else the passages must be.
    """

    text: str
    limit: int
    mode: Mode = "hybrid"
    wanted: PassageFilter = _ALL


class PassageSearch:
    """Searches passages for whoever asks: a client, or an agent by its tool."""

    def __init__(self, database: Database, queries: QueryVectors, *, timeout_s: float) -> None:
        """Nothing is searched yet.

        Args:
            database: Where passages are.
            queries: Embeds what is asked.
            timeout_s: How long each statement may take.
        """
        self._database = database
        self._queries = queries
        self._timeout_s = timeout_s

    async def search(
        self, organization_id: str, archive_ids: Sequence[str] | None, asked: PassageQuery
    ) -> Results[FoundPassage]:
        """The passages that fit a query best. No connection of the caller's is to be open.

        Where there are no vectors, or the model does not answer in time, words decide alone.

        Args:
            organization_id: Whose passages.
            archive_ids: None for all of its archives.
            asked: What is looked for, and how.

        Raises:
            Unavailable: It took too long.
        """
        ask = asking(self._database, timeout_s=self._timeout_s)
        scope = await passage_scope(ask, organization_id, archive_ids)
        return await self._search(ask, scope, asked)

    async def search_agent(
        self, organization_id: str, agent_id: str, asked: PassageQuery
    ) -> tuple[str, Results[FoundPassage]]:
        """The same in all archives of an agent, and where the agent is: its timezone.

        Raises:
            NotFound: The organization has no such agent.
            Unavailable: It took too long.
        """
        ask = asking(self._database, timeout_s=self._timeout_s)
        found = await scope_of_agent(ask, organization_id, agent_id)
        if found is None:
            raise agent_not_found(agent_id)
        timezone, scope = found
        return timezone, await self._search(ask, scope, asked)

    async def _search(
        self, ask: Ask, scope: PassageScope, asked: PassageQuery
    ) -> Results[FoundPassage]:
        vectors = VectorsOfQuery(
            self._queries,
            asked.text,
            asked.mode,
            organization_id=scope.organization_id,
            spaces=scope.spaces,
            mark=scope.providers_mark,
        )
        found = await search_passages(
            ask,
            scope,
            asked.text,
            vectors.make,
            mode=asked.mode,
            wanted=asked.wanted,
            limit=asked.limit,
        )
        return vectors.results(found)
