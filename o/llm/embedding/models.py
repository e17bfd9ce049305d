"""What is known of models that embed text beside their names."""

import re
from dataclasses import dataclass

USUAL_DIMENSIONS = 1_536
"""What is said of a model of which nothing is known, as V1 does."""

# By what an id holds; the first that fits counts. Numbers are those of the models' own pages.
_DIMENSIONS = [
    (re.compile(pattern, re.IGNORECASE), dimensions)
    for pattern, dimensions in (
        (r"text-embedding-3-large", 3_072),
        (r"text-embedding-(3-small|ada-002)", 1_536),
        (r"gemini-embedding", 3_072),
        (r"text-(multilingual-)?embedding-00[45]", 768),
        (r"embeddinggemma|nomic-embed", 768),
        (r"mxbai-embed-large|snowflake-arctic-embed2?(:latest|[:-]?(l|335m|568m).*)?$", 1_024),
        (r"snowflake-arctic-embed[:-]m|arctic-embed[:-](110m|137m)", 768),
        (r"all-minilm|snowflake-arctic-embed[:-](xs|s|22m|33m)", 384),
        (r"codestral-embed", 1_536),
        (r"mistral-embed|jina-embeddings-v3|voyage-3(\.5)?$", 1_024),
        (r"qwen3-embedding[:-]?8b|nv-embed", 4_096),
        (r"qwen3-embedding[:-]?4b", 2_560),
        (r"qwen3-embedding[:-]?0\.6b|bge-m3|multilingual-e5-large", 1_024),
        (r"(bge|gte|e5)-large", 1_024),
        (r"(bge|gte|e5)-base|multilingual-e5-base", 768),
        (r"(bge|gte|e5)-small|multilingual-e5-small", 384),
    )
]


def dimensions_of(model: str) -> int | None:
    """How many numbers a model's vectors have, None where nobody has told us.

    Args:
        model: Its id, as its provider spells it.
    """
    return next((count for pattern, count in _DIMENSIONS if pattern.search(model)), None)


@dataclass(frozen=True)
class Wording:
    """What some models want before a text, and make better vectors with."""

    query: str = ""
    passage: str = ""


_INSTRUCTION = "Instruct: Given a question, retrieve relevant passages that answer it\nQuery: "
_FOR_SEARCH = "Represent this sentence for searching relevant passages: "
# By what an id holds; the first that fits counts. As the models' own pages have it.
_WORDINGS = [
    (re.compile(pattern, re.IGNORECASE), wording)
    for pattern, wording in (
        (r"nomic-embed-text", Wording("search_query: ", "search_document: ")),
        (r"e5-[a-z0-9-]*instruct|qwen3-embedding", Wording(_INSTRUCTION)),
        (r"(^|[/:_.-])e5-|multilingual-e5", Wording("query: ", "passage: ")),
        (r"embeddinggemma", Wording("task: search result | query: ", "title: none | text: ")),
        (r"arctic-embed(-[a-z]+-v2|2)", Wording("query: ")),
        (r"mxbai-embed-large|arctic-embed|bge-(small|base|large)-en", Wording(_FOR_SEARCH)),
    )
]


def wording_of(model: str) -> Wording:
    """What is put before texts for a model; nothing for those that want nothing.

    Args:
        model: Its id, as its provider spells it.
    """
    found = (wording for pattern, wording in _WORDINGS if pattern.search(model))
    return next(found, Wording())
