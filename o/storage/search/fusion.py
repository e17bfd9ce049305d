"""One list of several: each text counts by its places in them."""

from bisect import bisect_left
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

_K = 20
"""How much the first places are alike. The usual 60 is for many lists of equal worth."""

_ALIKE = 0.02
"""By how much texts may differ in coverage that have as many of the query's words."""

_COVERAGE_POWER = 2
"""A text that has few of a question's words is often there by chance, and counts for little."""


@dataclass(frozen=True)
class Hit:
    """A text that one arm of a search has found.

    Attributes:
        coverage: How much of the query it has, by the rarity of the words; 1 is all.
        is_bare: Whether it was found by words and has no vector (yet).
    """

    id: str
    created_at: datetime
    coverage: float = 1.0
    is_bare: bool = False


@dataclass(frozen=True)
class Ranked:
    """A text among the results.

    Attributes:
        score: Greater is better; 1 where every arm has it first.
        text_rank: Its place among those found by words, from 1; None where it is not.
        vector_rank: The same for those found by meaning.
    """

    id: str
    score: float
    text_rank: int | None = None
    vector_rank: int | None = None


def fused(
    words: Sequence[Hit],
    vectors: Sequence[Sequence[Hit]] = (),
    *,
    without_vector: Collection[str] = (),
    limit: int,
) -> list[Ranked]:
    """The best of all lists by weighed reciprocal rank; of equals the newest first.

    Beside vectors, a text counts by its words for as much as few others have as many of them: what
    a dozen texts share (a name, say) tells them from the rest, and not from one another.

    Args:
        words: What was found by words, the best first.
        vectors: What was found by meaning, a list for each model; a text is in one of them.
        without_vector: Texts that no list of vectors can have: their words count for both.
        limit: How many at most.
    """
    scores: dict[str, float] = {}
    text_ranks: dict[str, int] = {}
    vector_ranks: dict[str, int] = {}
    coverages = sorted(hit.coverage for hit in words)
    for rank, hit in enumerate(words, 1):
        text_ranks[hit.id] = rank
        if not vectors:
            scores[hit.id] = 1 / (_K + rank)
            continue
        weight = hit.coverage**_COVERAGE_POWER
        if hit.id in without_vector:
            weight += hit.coverage
        as_good = len(words) - bisect_left(coverages, hit.coverage - _ALIKE)
        scores[hit.id] = weight / as_good / (_K + 1)
    for found in vectors:
        for rank, hit in enumerate(found, 1):
            vector_ranks[hit.id] = rank
            scores[hit.id] = scores.get(hit.id, 0.0) + 1 / (_K + rank)
    times = {hit.id: hit.created_at for found in (words, *vectors) for hit in found}
    best = (bool(words) + any(vectors)) / (_K + 1)
    ordered = sorted(times, key=lambda one: (scores[one], times[one], one), reverse=True)
    return [
        Ranked(one, scores[one] / best, text_ranks.get(one), vector_ranks.get(one))
        for one in ordered[:limit]
    ]
