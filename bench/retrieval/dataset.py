"""A data set with known answers, made from a seed: passages, and questions of several kinds.

It was made before the search was tuned. `tuning` and `measured` are two sets of different seeds:
people, values and wordings are dealt anew, and each has every other one of the passages that
stand alone, beside all of them as passages.
"""

import random
from dataclasses import dataclass, field

from bench.retrieval.facts import ATTRIBUTES, DAYS, FILLERS, FLOORS, PEOPLE
from bench.retrieval.singles import SINGLES

_SEEDS = {"tuning": 11, "measured": 47}
_DISTRACTORS = 300


@dataclass(frozen=True)
class Question:
    """A question and the one passage that answers it.

    Attributes:
        kind: `words`, `paraphrase`, a language, `name`, `number` or `code`.
        answer: Index of the passage.
    """

    kind: str
    text: str
    answer: int


@dataclass
class DataSet:
    """Passages, and what is asked of them."""

    passages: list[str] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)


def make(name: str) -> DataSet:
    """The data set `tuning` or `measured`, always the same one."""
    chance = random.Random(_SEEDS[name])
    found: list[tuple[str, list[tuple[str, str]]]] = []
    for person in PEOPLE:
        for values, passages, plain, paraphrase in ATTRIBUTES.values():
            text = chance.choice(passages).format(name=person, value=chance.choice(values))
            asked = []
            if chance.random() < 0.4:
                asked = [("words", plain), ("paraphrase", paraphrase)]
            found.append((text, [(kind, one.format(name=person)) for kind, one in asked]))
    parity = sorted(_SEEDS).index(name)
    for place, (kind, text, question) in enumerate(SINGLES):
        found.append((text, [(kind, question)] if place % 2 == parity else []))
    for _ in range(_DISTRACTORS):
        filler = chance.choice(FILLERS).format(
            day=chance.choice(DAYS), hour=chance.randint(1, 24), floor=chance.choice(FLOORS)
        )
        found.append((filler, []))
    chance.shuffle(found)
    made = DataSet()
    for place, (text, asked) in enumerate(found):
        made.passages.append(text)
        made.questions += [Question(kind, question, place) for kind, question in asked]
    return made
