"""What a soak takes for a broken promise."""

from typing import Any, cast

import pytest

from tests.chaos.soak import audit
from tests.chaos.soak.clients import Said, Verdict
from tests.chaos.soak.sizes import Sample, growing, table_of
from tests.support.product import Product


class Rows:
    """A database that holds these texts."""

    def __init__(self, user: list[str], assistant: list[str]) -> None:
        self._texts = {"user": user, "assistant": assistant}

    def query(self, statement: str, role: str) -> list[tuple[Any, ...]]:
        return [(text,) for text in self._texts[role]]


@pytest.mark.parametrize(
    ("outcome", "user", "assistant", "broken"),
    [
        ("answered", ["hi"], ["hello"], []),
        ("cut", ["hi"], ["hello"], []),
        ("APIError", [], [], []),
        ("answered", [], [], ["lost"]),
        ("cut", ["hi"], [], ["unanswered"]),
        ("answered", ["hi", "hi"], ["hello"], ["doubled"]),
        ("answered", ["hi"], ["hello", "hello"], ["doubled"]),
    ],
)
def test_a_message_must_be_there_once_with_one_answer(
    outcome: str, user: list[str], assistant: list[str], broken: list[str]
) -> None:
    said = Said("agent-1", "json", "hi", "hello", None, outcome)
    found = audit.of_messages(cast("Product", Rows(user, assistant)), [said])
    assert [line.partition(":")[0] for line in found] == broken


@pytest.mark.parametrize(
    ("verdict", "assistant", "broken"),
    [
        ("deny", ["hello"], []),
        ("approve", [], ["unanswered"]),
        ("cancel", [], []),
        ("cancel", ["hello"], ["unanswered"]),
    ],
)
def test_a_message_whose_request_was_cancelled_has_no_answer(
    verdict: Verdict, assistant: list[str], broken: list[str]
) -> None:
    said = Said("agent-1", "approval", "hi", "hello", "a note", "answered", verdict=verdict)
    found = audit.of_messages(cast("Product", Rows(["hi"], assistant)), [said])
    assert [line.partition(":")[0] for line in found] == broken
    assert said.is_noted == (verdict == "approve")


@pytest.mark.parametrize("roles", ["s", "sua", "suatata", "suaua", "suapta", "suaptua"])
def test_a_whole_history_is_recognised(roles: str) -> None:
    assert audit.WHOLE_TURNS.fullmatch(roles)


@pytest.mark.parametrize(
    "roles", ["su", "suat", "sauu", "suuaa", "ua", "suata" + "a", "suap", "suapa", "suaptat"]
)
def test_a_broken_history_is_recognised(roles: str) -> None:
    assert not audit.WHOLE_TURNS.fullmatch(roles)


def test_what_grows_for_ever_is_told_from_what_is_full_after_a_while() -> None:
    flat = [10.0, 30.0, 31.0, 33.0, 30.0]
    growing_mb = [10.0, 20.0, 30.0, 40.0, 50.0]
    samples = [
        Sample(float(n), n * 100, {"table runs": flat[n], "table steps": growing_mb[n]})
        for n in range(5)
    ]
    assert growing(samples) == ["table steps grew from 30.0 MB to 50.0 MB"]
    assert growing([*samples[:4], Sample(4.0, 400, {"table new": 5.0})]) == [
        "table new grew from 0.0 MB to 5.0 MB",
    ]
    lines = table_of(samples, columns=2)
    assert lines[0].split() == ["turns", "0", "300", "400"]
    assert lines[2].split() == ["table", "runs", "MB", "10.0", "33.0", "30.0"]
