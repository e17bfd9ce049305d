"""What runs the tools by which agents search."""

from collections.abc import Mapping

from activities.runners.file_tools import FileTools
from activities.runners.search_tools import SearchTools
from o.settings.all import Settings
from o.storage.database import Database
from o.storage.search.archival import PassageSearch
from o.storage.search.query_vectors import QueryVectors
from o.storage.search.recall import MessageSearch
from o.tools.invocation import ToolRunner
from server.worker.embedding import WorkerEmbedding


def search_runners(
    settings: Settings, database: Database, embedding: WorkerEmbedding
) -> Mapping[str, ToolRunner]:
    """The runners by the names of their tools."""
    queries = QueryVectors(embedding.models, timeout_s=settings.search_embedding_timeout_s)
    timeout_s = settings.search_timeout_s
    passages = PassageSearch(database, queries, timeout_s=timeout_s)
    messages = MessageSearch(database, queries, timeout_s=timeout_s)
    return {
        **SearchTools(messages, passages).runners(),
        **FileTools(database, passages).runners(),
    }
