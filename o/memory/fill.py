"""How full a context window is: what is counted, set right by what a provider has reported."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from o.memory.tokens import PROMPT_TOKENS, count_message

WARNING_SHARE: Final = 0.8
"""From here on a run says that its window is nearly full."""

# Some servers report a part of the prompt only, or the sum over a session: an estimate is not so
# far from the truth.
_LEAST, _MOST = 0.2, 4


@dataclass(frozen=True)
class Reported:
    """What a provider said of a prompt.

    Attributes:
        model: The handle of the model that has read it.
        estimated: What the prompt was estimated at here.
        prompt_tokens: What it was, as the provider counts.
    """

    model: str
    estimated: int
    prompt_tokens: int


def likely_tokens(
    estimated: int, model: str, reported: Reported | None, *, share: float = 1.0
) -> int:
    """What a prompt takes, as far as can be told without reading it.

    What was reported is the truth as far as the prompt is still the same: what has come since is
    added as it is estimated. A prompt that has become shorter has shrunk in proportion.

    Args:
        estimated: The prompt, as it is estimated.
        model: The handle of the model that is to read it.
        reported: Of the newest prompt of the same conversation; None where nothing is known.
        share: How much of an estimate a text of this prompt takes, where that is known.
    """
    if reported is None or reported.model != model or not _is_credible(reported):
        return round(estimated * share)
    if estimated < reported.estimated:
        return round(estimated * reported.prompt_tokens / reported.estimated)
    return reported.prompt_tokens + round((estimated - reported.estimated) * share)


def _is_credible(reported: Reported) -> bool:
    known = reported.estimated
    return known > 0 and _LEAST * known <= reported.prompt_tokens <= _MOST * known


class Counts:
    """Of the messages of one prompt, so that each is counted once while the prompt grows."""

    def __init__(self) -> None:
        self._estimates = _Tally("")
        self._exact = _Tally("")

    def estimate(self, prompt: Sequence[Mapping[str, Any]]) -> int:
        """The messages as they are estimated, whatever the model."""
        return PROMPT_TOKENS + self._estimates.total(prompt)

    def count(self, model: str, prompt: Sequence[Mapping[str, Any]]) -> int:
        """The messages as the model's own tokenizer has them. The first time takes long."""
        if self._exact.model != model:
            self._exact = _Tally(model)
        return PROMPT_TOKENS + self._exact.total(prompt)


class _Tally:
    """Messages and what each of them counts, by one model. Threads may share it."""

    def __init__(self, model: str) -> None:
        self.model = model
        self._known: list[tuple[Mapping[str, Any], int]] = []

    def total(self, prompt: Sequence[Mapping[str, Any]]) -> int:
        """The sum; what is where it was, and as it was, is not counted again."""
        known = self._known
        counted = [
            known[place]
            if place < len(known) and _is_same(known[place][0], shown)
            else (shown, count_message(self.model, shown))
            for place, shown in enumerate(prompt)
        ]
        self._known = counted
        return sum(count for _, count in counted)


def _is_same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return one is other or one == other
