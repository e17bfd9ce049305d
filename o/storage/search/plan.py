"""Which words of a query are worth looking for: pure decisions over what a sample has shown.

PostgreSQL's own ranking knows no rarity, and ranks whatever matches: a long question joined by OR
would rank most of what there is. So a few words, the rarest, bring the texts that are ranked, and
the others only weigh in.
"""

from collections.abc import Sequence
from dataclasses import dataclass

MOST_RANKED = 300
"""Texts that are ranked, about; a few more where a word is more frequent than the sample shows."""

MOST_SCORED = 16
"""Words of a query that weigh in, the rarest of them."""

_SHORTEST_PREFIX = 3
_UNSEEN = 0.3
"""How often a word is counted that the sample does not hold."""


@dataclass(frozen=True)
class Term:
    """A word of the query as the index has it.

    Attributes:
        seen: In how many texts of the sample it is.
    """

    lexeme: str
    seen: int


@dataclass(frozen=True)
class Sample:
    """What some of the texts that are searched have shown.

    Attributes:
        terms: The query's words, each once.
        size: How many texts the sample has.
        mean_length: Different words of a text, on average.
        total: How many texts are searched, about.
    """

    terms: Sequence[Term]
    size: int
    mean_length: float
    total: int

    def estimate(self, term: Term) -> float:
        """In how many of all texts a word is, about."""
        return max(term.seen, _UNSEEN) * max(self.total, self.size) / max(self.size, 1)


@dataclass(frozen=True)
class Asked:
    """A word that texts are ranked by.

    Attributes:
        query: As a tsquery.
        estimate: In how many texts it is, about.
        brings: Whether all the texts that hold it are ranked, so that they can be counted.
    """

    query: str
    estimate: float
    brings: bool


@dataclass(frozen=True)
class Plan:
    """How texts are found by words.

    Attributes:
        bring: The tsquery that brings the texts which are ranked.
        asked: What they are ranked by, the rarest first.
    """

    bring: str
    asked: Sequence[Asked]


def plan(sample: Sample) -> Plan | None:
    """How to find the best texts for some words; None where there are no words.

    Any of the rarest words brings a text. Where even the rarest is in very many, only those texts
    are ranked that have the two rarest, or the three rarest, and so on.
    """
    terms = sorted(sample.terms, key=lambda term: (term.seen, term.lexeme))[:MOST_SCORED]
    if not terms:
        return None
    expected = [sample.estimate(term) for term in terms]
    first = expected[0]
    count = 1
    if first > MOST_RANKED:
        while first > MOST_RANKED and count < len(terms):
            first *= terms[count].seen / max(sample.size, 1)
            count += 1
        bring = " & ".join(quoted(term.lexeme) for term in terms[:count])
        return Plan(f"({bring})", _asked(sample, terms, 0))
    while count < len(terms) and first + expected[count] <= MOST_RANKED:
        first += expected[count]
        count += 1
    bring = " | ".join(quoted(term.lexeme) for term in terms[:count])
    return Plan(f"({bring})", _asked(sample, terms, count))


def widened(sample: Sample) -> Plan | None:
    """How to find texts by the beginnings of their words; None where no word is long enough."""
    terms = [term for term in sample.terms if len(term.lexeme) >= _SHORTEST_PREFIX]
    terms = sorted(terms, key=lambda term: (term.seen, -len(term.lexeme)))[:MOST_SCORED]
    if not terms:
        return None
    asked = [Asked(f"{quoted(term.lexeme)}:*", sample.estimate(term), True) for term in terms]
    return Plan(f"({' | '.join(one.query for one in asked)})", asked)


def in_scopes(bring: str, scopes: Sequence[str]) -> str:
    """The same among the texts of some archives, agents or of an organization."""
    return f"({' | '.join(map(quoted, scopes))}) & {bring}"


def scope_of(owner_id: str) -> str:
    """The word that all texts of an archive, agent or organization have: SQL's `o_scope`."""
    return "@" + owner_id[-36:]


def quoted(lexeme: str) -> str:
    """A word as it stands in a tsquery, whatever it is made of."""
    escaped = lexeme.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"


def _asked(sample: Sample, terms: Sequence[Term], bringing: int) -> list[Asked]:
    return [
        Asked(quoted(term.lexeme), sample.estimate(term), place < bringing)
        for place, term in enumerate(terms)
    ]
