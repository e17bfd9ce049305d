"""What a soak takes for a broken promise."""

from typing import Any, cast

import pytest

from tests.chaos.soak import audit
from tests.chaos.soak.clients import Said, Verdict
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
