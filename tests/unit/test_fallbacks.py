"""Which of an agent's models comes next."""

from typing import Any

import pytest

from o.domain.fallbacks import also_falls_back, models_in_turn, next_place, settings_for
from o.errors import Failure
from workflows.options import MODEL_RETRIES


@pytest.mark.parametrize(
    ("named", "models"),
    [
        (None, ["a/x"]),
        (["b/y", "c/z"], ["a/x", "b/y", "c/z"]),
        (["b/y", 7, "none", "c/z/w"], ["a/x", "b/y", "c/z/w"]),
        ("b/y", ["a/x"]),
        ([f"b/{n}" for n in range(9)], ["a/x", *(f"b/{n}" for n in range(5))]),
    ],
)
def test_what_is_stored_is_taken_as_far_as_it_makes_sense(named: Any, models: list[str]) -> None:
    assert models_in_turn("a/x", {"fallback_models": named}) == models


def test_the_next_model_is_none_that_was_asked_and_none_that_is_left_alone() -> None:
    models = ["a/x", "a/x", "b/y", "a/z", "b/y"]
    assert next_place(models, 0, []) == 2
    assert next_place(models, 2, []) == 3
    assert next_place(models, 3, []) is None
    assert next_place(models, 0, ["b"]) == 3
    assert next_place(models, 0, ["a", "b"]) is None


def test_a_model_is_called_without_what_is_os_own() -> None:
    settings = {"provider_type": "a", "temperature": 0.5, "fallback_models": [], "x": 1}
    assert settings_for(settings, 0) == {"provider_type": "a", "temperature": 0.5, "x": 1}
    assert settings_for(settings, 1) == {"temperature": 0.5, "x": 1}


def test_only_what_may_be_is_sent_to_another_model_for_being_asked() -> None:
    settings = {"fallback_also_on": ["bad_request", "unusable"]}
    assert also_falls_back(settings, Failure.BAD_REQUEST)
    assert not also_falls_back(settings, Failure.UNUSABLE)
    assert not also_falls_back({"fallback_also_on": "bad_request"}, Failure.BAD_REQUEST)


def test_every_failure_has_its_line_in_the_table() -> None:
    assert set(MODEL_RETRIES) == set(Failure)
    assert all(retry.is_retried for retry in MODEL_RETRIES.values() if retry.rests)
