"""The arm of a search that goes by meaning: vectors of one model, compared by their angle."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from o.storage.search.embedded import PASSAGES, Kept
from o.storage.search.fusion import Hit
from o.storage.search.session import Ask, statement_of
from o.storage.search.space_index import column_of, is_quantized, operator_of, vector_type

_FEW = 2_000
"""Vectors that are sooner compared one by one than found by the index of a larger space."""

_MOST_EF = 1_000
_AGAIN = 10
"""How many times as many are taken by a coarse index, to be put in order exactly."""


@dataclass(frozen=True)
class SearchedSpace:
    """Vectors of one model that are searched.

    Attributes:
        handle: The model's, by which the query is to be embedded.
        archive_ids: Whose; None for all of the space.
        total: How many texts those have.
        has_index: Whether there is an index over the space.
        kept: What has these vectors.
    """

    id: int
    handle: str
    dimension: int
    archive_ids: Sequence[str] | None
    total: int
    has_index: bool
    kept: Kept = PASSAGES


async def find_by_vector(
    ask: Ask,
    space: SearchedSpace,
    vector: Sequence[float],
    *,
    condition: str,
    values: Mapping[str, Any],
    limit: int,
) -> list[Hit]:
    """The texts whose vectors are nearest to one, the nearest first.

    Few vectors are all compared; of many the index over their space finds the nearest, and goes on
    looking where a condition throws too many of them away.

    Args:
        ask: Sends a statement.
        space: Which vectors.
        vector: Of the query, by the model of the space.
        condition: What the texts must fulfil, in SQL: about `passages`, or where all stands beside
            the vectors about `v`. Empty for nothing.
        values: Its parameters.
        limit: How many at most.
    """
    if len(vector) != space.dimension:
        return []
    values = {"vector": _as_text(vector), "limit": limit, **values}
    within, settings = "", dict[str, str]()
    if space.archive_ids is not None:
        within = "AND v.archive_id = ANY(CAST(:archives_of_space AS text[]))"
        values["archives_of_space"] = list(space.archive_ids)
    if not space.has_index or space.total <= _FEW:
        statement = _exactly(space, within, condition)
    else:
        settings = {
            "hnsw.iterative_scan": "relaxed_order",
            "hnsw.ef_search": str(min(_MOST_EF, max(40, limit + limit // 2))),
            "enable_sort": "off",
        }
        statement = _by_index(space, within, condition, limit)
    rows = await ask(statement_of(statement), values, settings)
    return [Hit(row.id, row.created_at) for row in rows]


def _exactly(space: SearchedSpace, within: str, condition: str) -> str:
    return _statement(
        space, within, condition, order="v.embedding <=> CAST(:vector AS vector)", taken=":limit"
    )


def _by_index(space: SearchedSpace, within: str, condition: str, limit: int) -> str:
    asked = f"CAST(CAST(:vector AS vector) AS {vector_type(space.dimension)})"
    if is_quantized(space.dimension):
        asked = f"binary_quantize({asked})"
    column, operator = column_of(space.dimension, "v.embedding"), operator_of(space.dimension)
    taken = limit * _AGAIN if is_quantized(space.dimension) else limit
    return _statement(
        space, within, condition, order=f"{column} {operator} {asked}", taken=str(taken)
    )


def _statement(space: SearchedSpace, within: str, condition: str, *, order: str, taken: str) -> str:
    """What comes in `order`, put in order exactly: an index is coarse, or only roughly in order."""
    kept = space.kept
    texts = f"JOIN {kept.texts} ON {kept.texts}.{kept.text_id}"
    joined = f"{texts} = v.{kept.id}" if condition and not kept.is_whole else ""
    return f"""
        WITH near AS MATERIALIZED (
            SELECT v.{kept.id} AS near_id, v.embedding <=> CAST(:vector AS vector) AS distance
            FROM {kept.vectors} AS v {joined}
            WHERE v.space_id = {space.id:d} {within} {condition and "AND " + condition}
            ORDER BY {order} LIMIT {taken}
        )
        SELECT near_id AS id, created_at
        FROM near {texts} = near_id
        ORDER BY distance, created_at DESC, near_id DESC LIMIT :limit
    """  # noqa: S608


def _as_text(vector: Sequence[float]) -> str:
    return "[" + ",".join(map(repr, map(float, vector))) + "]"
