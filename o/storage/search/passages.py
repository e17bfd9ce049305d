"""Searching passages: by their words, by their meaning, or by both."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import text

from o.domain.archives import Passage
from o.storage.rows import columns_of, model_of
from o.storage.search.fusion import Hit, Ranked, fused
from o.storage.search.plan import scope_of
from o.storage.search.scope import PassageScope
from o.storage.search.session import Ask, statement_of
from o.storage.search.vectors import find_by_vector
from o.storage.search.words import Corpus, find_by_words
from o.storage.tables.memory import passages

Mode = Literal["text", "vector", "hybrid"]
VectorsOf = Callable[[], Awaitable[Mapping[int, Sequence[float]]]]
"""Makes a query's vectors, by the id of their space."""

DEEPEST = 40
"""Results that an arm brings at least, so that the arms have something in common."""


@dataclass(frozen=True)
class PassageFilter:
    """Which passages are wanted, beside what they say.

    Attributes:
        tags: Empty for all passages.
        match_all: Whether a passage must have all of the tags, or any of them.
        since, until: When it was made, both included.
    """

    tags: Sequence[str] = ()
    match_all: bool = False
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class FoundPassage:
    """A passage with its place among the results."""

    passage: Passage
    ranked: Ranked


# Of an archive that was deleted they stay for a while.
_IN_AN_ARCHIVE = (
    "EXISTS (SELECT FROM archives AS kept WHERE kept.id = passages.archive_id "
    "AND kept.deleted_at IS NULL AND NOT kept.is_folder)"
)
_IN_A_FILE = (
    "(passages.file_id IS NULL OR EXISTS (SELECT FROM files AS kept "
    "WHERE kept.id = passages.file_id AND kept.deleted_at IS NULL))"
)
_NO_VECTOR = """
    NOT EXISTS (
        SELECT FROM passage_vectors
        WHERE passage_id = ranked.id AND space_id = ANY(CAST(:spaces AS bigint[]))
    )
"""
_READ = text(
    f"""
    SELECT {", ".join(f"passages.{column.name}" for column in columns_of(passages, Passage))}
    FROM passages JOIN archives ON archives.id = passages.archive_id
    WHERE passages.id = ANY(CAST(:ids AS text[])) AND passages.organization_id = :organization_id
      AND archives.deleted_at IS NULL
    """  # noqa: S608
)


def given(vectors: Mapping[int, Sequence[float]]) -> VectorsOf:
    """Vectors that are there already."""

    async def made() -> Mapping[int, Sequence[float]]:
        return vectors

    return made


async def search_passages(
    ask: Ask,
    scope: PassageScope,
    query: str,
    vectors: VectorsOf,
    *,
    mode: Mode = "hybrid",
    wanted: PassageFilter | None = None,
    limit: int,
) -> list[FoundPassage]:
    """The passages that fit a query best; without a query, the newest.

    Both arms search at the same time, each with a connection while it asks.

    Args:
        ask: Sends a statement.
        scope: Whose passages.
        query: Whatever a person or a model wrote.
        vectors: Makes the query's, where it is searched by meaning.
        mode: By words, by meaning, or by both; without vectors by words, whatever it says.
        wanted: What else they must be.
        limit: How many at most.
    """
    if scope.archive_ids is not None and not scope.archive_ids:
        return []
    condition, values = _condition(scope, wanted or PassageFilter())
    if not query.strip():
        newest = await _newest(ask, scope, condition, values, limit)
        return await _read(ask, scope, [Ranked(hit.id, 0.0) for hit in newest])
    deep = max(2 * limit, DEEPEST)
    corpus = _corpus(scope, condition, values)

    async def near() -> list[list[Hit]]:
        made = {} if mode == "text" else await vectors()
        asked = (
            find_by_vector(
                ask, space, made[space.id], condition=condition, values=values, limit=deep
            )
            for space in scope.spaces
            if space.id in made
        )
        return [await one for one in asked]

    async def said() -> list[Hit]:
        return await find_by_words(ask, corpus, query, limit=deep)

    if mode == "hybrid":
        found, words = await asyncio.gather(near(), said())
    else:
        found = await near()
        words = [] if found else await said()
    ranked = fused(words, found, without_vector=_without_vector(words[:limit], found), limit=limit)
    return await _read(ask, scope, ranked)


def _without_vector(said: Sequence[Hit], near: Sequence[Sequence[Hit]]) -> set[str]:
    """Which of the passages that were found by words have no vector (yet)."""
    known = {hit.id for found in near for hit in found}
    return {hit.id for hit in said if hit.is_bare and hit.id not in known} if near else set()


def _condition(scope: PassageScope, wanted: PassageFilter) -> tuple[str, dict[str, Any]]:
    """In SQL, empty where every passage will do."""
    conditions, values = list[str](), dict[str, Any]()
    if wanted.tags:
        operator = "@>" if wanted.match_all else "&&"
        conditions.append(f"passages.tags {operator} CAST(:tags AS text[])")
        values["tags"] = list(wanted.tags)
    if wanted.since is not None:
        conditions.append("passages.created_at >= :since")
        values["since"] = wanted.since
    if wanted.until is not None:
        conditions.append("passages.created_at <= :until")
        values["until"] = wanted.until
    if scope.archive_ids is None:
        conditions.append(_IN_AN_ARCHIVE)
    if scope.of_files:
        conditions.append(_IN_A_FILE)
    return " AND ".join(conditions), values


def _corpus(scope: PassageScope, condition: str, values: Mapping[str, Any]) -> Corpus:
    owners = [scope.organization_id] if scope.archive_ids is None else scope.archive_ids
    each = "greatest(1, :sample / greatest(1, cardinality(CAST(:sampled AS text[]))))"
    return Corpus(
        rows=f"FROM passages WHERE {condition or 'true'}",
        id="passages.id",
        sample=f"""
            SELECT one.terms FROM unnest(CAST(:sampled AS text[])) AS archive (id),
            LATERAL (
                SELECT terms FROM passages WHERE passages.archive_id = archive.id
                ORDER BY created_at DESC, passages.id DESC LIMIT {each}
            ) AS one
        """,  # noqa: S608
        scopes=[scope_of(owner) for owner in owners],
        values={
            "sampled": list(scope.sampled),
            "spaces": [space.id for space in scope.spaces],
            **values,
        },
        total=scope.total,
        is_bare=_NO_VECTOR,
    )


async def _newest(
    ask: Ask,
    scope: PassageScope,
    condition: str,
    values: Mapping[str, Any],
    limit: int,
) -> list[Hit]:
    """Of each archive by the index that has its order."""
    statement = f"""
        SELECT one.id, one.created_at FROM archives,
        LATERAL (
            SELECT passages.id, created_at FROM passages
            WHERE passages.archive_id = archives.id AND {condition or "true"}
            ORDER BY created_at DESC, passages.id DESC LIMIT :limit
        ) AS one
        WHERE archives.organization_id = :organization_id AND archives.deleted_at IS NULL
          AND CASE WHEN CAST(:ids AS text[]) IS NULL THEN NOT archives.is_folder
            ELSE archives.id = ANY(CAST(:ids AS text[])) END
        ORDER BY one.created_at DESC, one.id DESC LIMIT :limit
    """  # noqa: S608
    ids = None if scope.archive_ids is None else list(scope.archive_ids)
    more = {"organization_id": scope.organization_id, "ids": ids, "limit": limit}
    rows = await ask(statement_of(statement), {**values, **more})
    return [Hit(row.id, row.created_at) for row in rows]


async def _read(ask: Ask, scope: PassageScope, found: Sequence[Ranked]) -> list[FoundPassage]:
    """What was found, as it is stored; what was deleted meanwhile is left out."""
    if not found:
        return []
    values = {"ids": [one.id for one in found], "organization_id": scope.organization_id}
    rows = await ask(_READ, values, None)
    stored = {row.id: model_of(Passage, row._asdict()) for row in rows}
    return [FoundPassage(stored[one.id], one) for one in found if one.id in stored]
