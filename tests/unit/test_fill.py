"""How full a window is: counting, set right by what was reported, each message once."""

from typing import Any

import pytest

from activities.step.context_fill import measure
from o.domain.llm import ModelRequest
from o.memory import fill
from o.memory.fill import Counts, Reported, likely_tokens
from o.memory.tokens import count_prompt

MODEL = "mine/chat"


def told(model: str = MODEL, estimated: int = 1_000, prompt_tokens: int = 600) -> Reported:
    return Reported(model, estimated, prompt_tokens)


def prompt(messages: int, words: int = 20) -> list[dict[str, Any]]:
    said = [{"role": "user", "content": f"{n} " + "harbour " * words} for n in range(messages)]
    return [{"role": "system", "content": "You are kind."}, *said]


@pytest.mark.parametrize(
    ("estimated", "reported", "expected"),
    [
        (1_000, None, 1_000),
        (1_000, told(), 600),  # the provider knows
        (1_500, told(), 1_100),  # and what has come since is estimated
        (500, told(), 300),  # as after a compaction
        (1_000, told(model="mine/other"), 1_000),  # who counts otherwise
        (1_000, told(prompt_tokens=1_600), 1_600),  # more than was thought is believed as well
        (1_000, told(prompt_tokens=0), 1_000),  # some servers report nothing,
        (1_000, told(prompt_tokens=12), 1_000),  # some what they had not read before,
        (1_000, told(prompt_tokens=90_000), 1_000),  # some all that a session has used
        (1_000, told(estimated=0), 1_000),  # an older release has stored no estimate
    ],
)
def test_what_was_reported_is_believed_as_far_as_it_can_be_true(
    estimated: int, reported: Reported | None, expected: int
) -> None:
    assert likely_tokens(estimated, MODEL, reported) == expected


def test_a_message_is_counted_once_while_a_prompt_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[Any] = []

    def count(model: str, shown: Any) -> int:
        counted.append(shown["content"])
        return 10

    monkeypatch.setattr(fill, "count_message", count)
    counts, grown = Counts(), prompt(50)
    first = counts.estimate(grown)
    head = dict(grown[0])  # each step reads the head anew
    assert counts.estimate([head, *grown[1:], {"role": "user", "content": "more"}]) == first + 10
    assert len(counted) == 52
    changed = [{"role": "system", "content": "You are stern."}, *grown[1:]]
    counts.estimate(changed)
    assert counted[52:] == ["You are stern."]
    assert counts.estimate(grown[:10]) == first - 41 * 10


def test_an_estimate_of_a_grown_prompt_is_that_of_the_whole() -> None:
    counts = Counts()
    for length in (1, 7, 3, 40):
        said = prompt(length)
        assert counts.estimate(said) == count_prompt("", said, [])
        assert counts.count("openai/gpt-5", said) == count_prompt("openai/gpt-5", said, [])


def request(model: str, said: list[dict[str, Any]], window: int) -> ModelRequest:
    return ModelRequest(handle=model, prompt=said, context_window=window)


async def test_a_prompt_is_counted_exactly_only_where_its_window_is_nearly_full(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: Any) -> int:
        raise AssertionError("counted exactly")

    said, model = prompt(100), "openai/gpt-5"
    exact = count_prompt(model, said, [])
    estimated = count_prompt("", said, [])
    assert exact < 0.9 * estimated
    nearly_full = await measure(Counts(), request(model, said, round(exact * 1.1)), None)
    assert (nearly_full.tokens, nearly_full.estimated) == (exact, estimated)
    monkeypatch.setattr(Counts, "count", refuse)
    for window in (estimated * 2, estimated // 20):  # room enough; past all help
        assert (await measure(Counts(), request(model, said, window), None)).tokens == estimated
    other = await measure(Counts(), request(MODEL, said, estimated), None)
    assert other.tokens == estimated


async def test_what_was_reported_stands_before_what_is_counted() -> None:
    said, model = prompt(100), "openai/gpt-5"
    exact, estimated = count_prompt(model, said, []), count_prompt("", said, [])
    before = Reported(model, estimated, exact + 200)  # what the provider adds is unknown here
    size = await measure(Counts(), request(model, said, exact), before)
    assert size.tokens == exact + 200
