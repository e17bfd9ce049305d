"""A search of messages from end to end: whose, the query as a vector, then both arms."""

from dataclasses import dataclass

from o.storage.database import Database
from o.storage.search.message_scope import message_scope
from o.storage.search.messages import FoundMessage, MessageFilter, search_messages
from o.storage.search.passages import Mode
from o.storage.search.query_vectors import QueryVectors
from o.storage.search.results import Results, VectorsOfQuery
from o.storage.search.session import asking


@dataclass(frozen=True)
class MessageQuery:
    """What is looked for among messages.

    Attributes:
        text: Whatever a person or a model wrote; the newest messages where it is blank.
        limit: How many at most.
        wanted: What else they must be.
        mode: By words, by meaning, or by both.
    """

    text: str
    limit: int
    wanted: MessageFilter
    mode: Mode = "hybrid"


class MessageSearch:
    """Searches messages for whoever asks: a client, or an agent by its tool."""

    def __init__(self, database: Database, queries: QueryVectors, *, timeout_s: float) -> None:
        """Nothing is searched yet.

        Args:
            database: Where messages are.
            queries: Embeds what is asked.
            timeout_s: How long each statement may take.
        """
        self._database = database
        self._queries = queries
        self._timeout_s = timeout_s

    async def search(self, organization_id: str, asked: MessageQuery) -> Results[FoundMessage]:
        """The messages that fit a query best. No connection of the caller's is to be open.

        Where there are no vectors, or the model does not answer in time, words decide alone.

        Args:
            organization_id: Whose messages.
            asked: What is looked for, and how.

        Raises:
            Unavailable: It took too long.
        """
        ask = asking(self._database, timeout_s=self._timeout_s)
        scope = await message_scope(ask, organization_id, asked.wanted.agent_id)
        vectors = VectorsOfQuery(
            self._queries,
            asked.text,
            asked.mode,
            organization_id=organization_id,
            spaces=[scope.space] if scope.space is not None else [],
            mark=scope.providers_mark,
        )
        found = await search_messages(
            ask,
            scope,
            asked.text,
            vectors.make,
            mode=asked.mode,
            wanted=asked.wanted,
            limit=asked.limit,
        )
        return vectors.results(found)
