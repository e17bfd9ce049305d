"""Statements that find passages of an archive which say the same, a bounded part at a time.

By the distance of their vectors where there are any, else by their words: those that differ in
case, blanks and punctuation alone have one `key`, which is in an index.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.archives import Archive, Passage
from o.storage.rows import columns_of, models_of
from o.storage.search.space_index import column_of, operator_of
from o.storage.tables.memory import passages

MOST_OTHERS = 10
"""How many duplicates of one passage are told."""

_COMPARED_NUMBERS = 200_000_000
"""How many numbers of vectors one question compares: about a second of one processor."""

_CLOSE = 4 * MOST_OTHERS
"""How many an index names, which are then compared exactly."""

_PROBES = """
    WITH probes AS (
        SELECT passages.id, passages.created_at, seen.embedding
        FROM passages JOIN passage_vectors AS seen
          ON seen.passage_id = passages.id AND seen.space_id = :space_id
        WHERE passages.archive_id = :archive_id
          AND (passages.created_at, passages.id) > (
              coalesce(
                  (SELECT created_at FROM passages
                   WHERE id = :after AND archive_id = :archive_id),
                  (SELECT created_at FROM deleted_rows
                   WHERE shown_id = :after AND organization_id = :organization_id LIMIT 1),
                  '-infinity'
              ), :after)
        ORDER BY passages.created_at, passages.id
        LIMIT :probes
    )
"""
_ITERATE = text("SELECT set_config('hnsw.iterative_scan', 'relaxed_order', true)")
_SPACE = text("SELECT dimension, index_name IS NOT NULL FROM vector_spaces WHERE id = :space_id")
_EQUAL = text(
    """
    SELECT repeated.key, array(
        SELECT id FROM passages WHERE archive_id = :archive_id AND key = repeated.key
        ORDER BY created_at, id LIMIT :most + 1
    ) AS ids
    FROM (
        SELECT key FROM passages WHERE archive_id = :archive_id AND key > :after
        GROUP BY key HAVING count(*) > 1
        ORDER BY key LIMIT :limit
    ) AS repeated
    ORDER BY repeated.key
    """
)


@dataclass(frozen=True)
class Duplicates:
    """A passage, and others that say the same.

    Attributes:
        others: The nearest first, each with its similarity from 0 to 1.
    """

    passage: Passage
    others: list[tuple[Passage, float]]


@dataclass(frozen=True)
class DuplicatesPage:
    """A part of what an archive holds twice.

    Attributes:
        after: What the next question goes on from; None when there is no more.
    """

    found: list[Duplicates]
    after: str | None


async def list_near(
    connection: AsyncConnection,
    archive: Archive,
    space_id: int,
    *,
    threshold: float,
    after: str,
    limit: int,
) -> DuplicatesPage:
    """Look for what is near to the next passages of an archive, the oldest first.

    All vectors are compared with each, unless an index over them names the nearest.

    Args:
        connection: In a transaction (`o.storage.search.session`).
        archive: The caller has found it for an actor; all its vectors are compared with each.
        space_id: Its vectors.
        threshold: How similar at least, by the cosine of the angle between vectors.
        after: The last passage that was looked at; empty to begin.
        limit: How many are looked at, at most; fewer where each takes long.
    """
    row = (await connection.execute(_SPACE, {"space_id": space_id})).one()
    dimension, has_index = int(row[0]), bool(row[1])
    probes = limit
    if has_index:
        await connection.execute(_ITERATE)
    else:
        affordable = _COMPARED_NUMBERS // (max(archive.passage_count, 1) * dimension)
        probes = max(1, min(limit, affordable))
    rows = await connection.execute(
        text(_near(space_id, dimension, has_index=has_index)),
        {
            "archive_id": archive.id,
            "organization_id": archive.organization_id,
            "space_id": space_id,
            "after": after,
            "probes": probes,
            "most": MOST_OTHERS,
            "threshold": threshold,
        },
    )
    near: dict[str, list[tuple[str, float]]] = defaultdict(list)
    for id_, other, similarity in rows:
        near[id_] += [] if other is None else [(other, min(float(similarity), 1.0))]
    last = list(near)[-1] if len(near) == probes else None
    return DuplicatesPage(await _shown(connection, near), last)


def _near(space_id: int, dimension: int, *, has_index: bool) -> str:
    """The question of `list_near`. The index is over one space, whose id it has as it stands."""
    others = "passage_vectors AS other WHERE other.space_id = :space_id"
    if has_index:
        order = (
            f"{column_of(dimension, 'embedding')} {operator_of(dimension)} "
            f"{column_of(dimension, 'probes.embedding')}"
        )
        others = (
            "(SELECT passage_id, embedding, archive_id FROM passage_vectors "  # noqa: S608
            f"WHERE space_id = {space_id:d} AND archive_id = :archive_id "
            f"ORDER BY {order} LIMIT {_CLOSE}) AS other WHERE true"
        )
    return f"""
        {_PROBES}
        SELECT probes.id, near.passage_id, 1 - near.distance AS similarity
        FROM probes LEFT JOIN LATERAL (
            SELECT other.passage_id, other.embedding <=> probes.embedding AS distance
            FROM {others}
              AND other.archive_id = :archive_id AND other.passage_id <> probes.id
            ORDER BY distance
            LIMIT :most
        ) AS near ON near.distance <= 1 - CAST(:threshold AS float8)
        ORDER BY probes.created_at, probes.id, near.distance
    """  # noqa: S608


async def list_equal(
    connection: AsyncConnection, archive_id: str, *, after: str, limit: int
) -> DuplicatesPage:
    """Passages with the same words, by their `key`; of each the oldest first.

    Args:
        connection: Any.
        archive_id: The caller has found it for an actor.
        after: The last key that was told of; empty to begin.
        limit: Of how many keys, at most.
    """
    asked = {"archive_id": archive_id, "after": after, "limit": limit, "most": MOST_OTHERS}
    rows = (await connection.execute(_EQUAL, asked)).all()
    equal = {ids[0]: [(id_, 1.0) for id_ in ids[1:]] for _, ids in rows}
    last = rows[-1][0] if len(rows) == limit else None
    return DuplicatesPage(await _shown(connection, equal), last)


async def _shown(
    connection: AsyncConnection, found: dict[str, list[tuple[str, float]]]
) -> list[Duplicates]:
    """The passages of these ids; those that are gone meanwhile are left out."""
    named = {id_ for id_, others in found.items() if others}
    named |= {other for others in found.values() for other, _ in others}
    by_id = await _passages(connection, named)
    shown = []
    for id_, others in found.items():
        there = [(by_id[other], similarity) for other, similarity in others if other in by_id]
        if id_ in by_id and there:
            shown.append(Duplicates(by_id[id_], there))
    return shown


async def _passages(connection: AsyncConnection, ids: Iterable[str]) -> dict[str, Passage]:
    statement = passages.select().with_only_columns(*columns_of(passages, Passage))
    rows = await connection.execute(statement.where(passages.c.id.in_(list(ids))))
    return {passage.id: passage for passage in models_of(Passage, rows.mappings().all())}
