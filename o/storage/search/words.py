"""The arm of a search that goes by words: PostgreSQL's full text, weighed by rarity."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import TextClause

from o.storage.search.fusion import Hit
from o.storage.search.plan import MOST_RANKED, Plan, Sample, Term, in_scopes, plan, widened
from o.storage.search.session import Ask, statement_of

MOST_QUERY_CHARS = 4_000
"""How much of a query is looked for by its words."""

_SAMPLE = 200
_MOST_TERMS = 64
_MOST_BROUGHT = 2 * MOST_RANKED
_LEAST_COVERAGE = 0.05
"""A text that has less of a query, by rarity, has hardly more than its frequent words."""

_LENGTH_WEIGHT = 0.35
"""How much it counts against a text that it is long."""


@dataclass(frozen=True)
class Corpus:
    """What is searched by words.

    Attributes:
        rows: FROM and WHERE of the statement that finds texts; `terms` is their words.
        id: The column that names a text.
        sample: A statement that selects `terms` of up to `:sample` texts, the newest.
        scopes: Words, one of which each text must have.
        values: Parameters of `rows` and `sample`.
        total: How many texts there are; None where nobody knows.
        is_bare: Whether the text `ranked` has no vector, in SQL.
    """

    rows: str
    id: str
    sample: str
    scopes: Sequence[str]
    values: Mapping[str, Any] = field(default_factory=dict)
    total: int | None = None
    is_bare: str = "false"


async def find_by_words(ask: Ask, corpus: Corpus, query: str, *, limit: int) -> list[Hit]:
    """The texts that have the query's words, the best first.

    Where no text has any of the words, those that have words which begin like them.

    Args:
        ask: Sends a statement.
        corpus: What is searched.
        query: Whatever a person or a model wrote.
        limit: How many at most.
    """
    sample = await _sample(ask, corpus, query)
    for wanted in (plan(sample), widened(sample)):
        if wanted is None:
            return []
        if found := await _ranked(ask, corpus, wanted, sample, limit):
            return found
    return []


async def _sample(ask: Ask, corpus: Corpus, query: str) -> Sample:
    statement = statement_of(
        f"""
        WITH asked AS MATERIALIZED (
            SELECT lexeme, CAST(
                '''' || replace(replace(lexeme, '\\', '\\\\'), '''', '''''') || '''' AS tsquery
            ) AS query
            FROM unnest(o_search_terms(:query)) ORDER BY positions[1] LIMIT :terms
        ), sample AS MATERIALIZED ({corpus.sample}),
        size AS (SELECT count(*) AS texts, coalesce(avg(length(terms)), 1) AS length FROM sample)
        SELECT lexeme, texts, length, (
            SELECT count(*) FROM sample WHERE sample.terms @@ asked.query
        ) AS seen
        FROM size LEFT JOIN asked ON true
        """  # noqa: S608
    )
    values = {
        "query": query[:MOST_QUERY_CHARS],
        "terms": _MOST_TERMS,
        "sample": _SAMPLE,
        **corpus.values,
    }
    rows = await ask(statement, values)
    size = rows[0].texts
    terms = [Term(row.lexeme, row.seen) for row in rows if row.lexeme is not None]
    total = corpus.total
    if total is None:
        total = size if size < _SAMPLE else 50 * _SAMPLE
    return Sample(terms, size, float(rows[0].length), total)


async def _ranked(ask: Ask, corpus: Corpus, wanted: Plan, sample: Sample, limit: int) -> list[Hit]:
    values = {
        "bring": in_scopes(wanted.bring, corpus.scopes),
        "brought": _MOST_BROUGHT,
        "queries": [one.query for one in wanted.asked],
        "estimates": [one.estimate for one in wanted.asked],
        "brings": [one.brings for one in wanted.asked],
        "total": float(max(sample.total, sample.size, 1)),
        "mean_length": sample.mean_length,
        "limit": limit,
        **corpus.values,
    }
    rows = await ask(_ranking(corpus), values)
    return [Hit(row.id, row.created_at, row.coverage, row.is_bare) for row in rows]


def _ranking(corpus: Corpus) -> TextClause:
    """BM25 but for its last constants: rarity, frequency that saturates, and length.

    Words that bring texts are counted in what they have brought, others were in the sample. That
    may be more than `:total`, which is an estimate; no word is without weight.
    """
    return statement_of(
        f"""
        WITH asked AS MATERIALIZED (
            SELECT place, CAST(query AS tsquery) AS query, estimate, brings
            FROM unnest(CAST(:queries AS text[]), CAST(:estimates AS float8[]),
                CAST(:brings AS boolean[]))
                WITH ORDINALITY AS one (query, estimate, brings, place)
        ), brought AS MATERIALIZED (
            SELECT {corpus.id} AS id, created_at, terms
            {corpus.rows} AND terms @@ CAST(:bring AS tsquery)
            LIMIT :brought
        ), hits AS MATERIALIZED (
            SELECT id, created_at, length(terms) AS length, place, ts_rank(terms, query) AS weight
            FROM brought JOIN asked ON terms @@ query
        ), counted AS (
            SELECT place, count(*) AS texts FROM hits GROUP BY place
        ), rarity AS (
            SELECT place, ln(1 + (greatest(0.0, CAST(:total AS float8) - texts) + 0.5)
                / (texts + 0.5)) AS weight
            FROM (
                SELECT place, CASE
                    WHEN brings AND (SELECT count(*) FROM brought) < :brought
                        THEN coalesce(counted.texts, 0)
                    ELSE greatest(estimate, counted.texts)
                END AS texts
                FROM asked LEFT JOIN counted USING (place)
            ) AS one
        )
        SELECT ranked.*, {corpus.is_bare} AS is_bare FROM (
            SELECT id, created_at,
                sum(rarity.weight) / (SELECT sum(weight) FROM rarity) AS coverage,
                sum(rarity.weight * hits.weight)
                / (1 - {_LENGTH_WEIGHT} + {_LENGTH_WEIGHT} * length
                    / greatest(1.0, CAST(:mean_length AS float8))) AS score
            FROM hits JOIN rarity USING (place)
            GROUP BY id, created_at, length
            HAVING sum(rarity.weight) >= {_LEAST_COVERAGE} * (SELECT sum(weight) FROM rarity)
            ORDER BY score DESC, created_at DESC, id DESC
            LIMIT :limit
        ) AS ranked ORDER BY score DESC, created_at DESC, id DESC
        """  # noqa: S608
    )
