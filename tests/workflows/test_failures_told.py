"""What a workflow makes of an activity that failed, in the words of every release."""

import pytest
from temporalio.exceptions import ActivityError, ApplicationError

from activities.errors import as_activity_failure, model_failure
from o.errors import ModelError
from workflows.contract import Closing
from workflows.turn import _closing_of, _next_model


def told(cause: ApplicationError) -> ActivityError:
    error = ActivityError(
        "failed",
        scheduled_event_id=1,
        started_event_id=2,
        identity="w",
        activity_type="take_step",
        activity_id="1",
        retry_state=None,
    )
    error.__cause__ = cause
    return error


def test_a_failure_says_its_kind_and_the_words_are_looked_up() -> None:
    with pytest.raises(ApplicationError) as raised, as_activity_failure():
        raise ModelError("llm_rate_limit", "The provider said so.", detail="words", status=429)
    assert "words" not in str(raised.value.details) + str(raised.value)
    assert _closing_of("run-1", told(raised.value)) == Closing(
        "run-1", "llm_api_error", "llm_rate_limit", "", "", 429
    )
    assert _next_model(told(raised.value)) == (0, "")


def test_what_an_earlier_release_told_is_kept() -> None:
    old = ApplicationError("The provider said so.", "llm_error", "words", 500, type="ModelError")
    assert _closing_of("run-1", told(old)) == Closing(
        "run-1", "llm_api_error", "llm_error", "The provider said so.", "words", 500
    )
    assert _next_model(told(old)) == (0, "")


def test_the_model_to_turn_to_is_told_with_its_place() -> None:
    failure = model_failure("llm_error", 500, 2, "groq/x")
    assert failure.non_retryable
    assert _next_model(told(failure)) == (2, "groq/x")


def test_an_error_that_nobody_expected_is_told_without_its_words() -> None:
    with pytest.raises(ApplicationError) as raised, as_activity_failure():
        raise KeyError("words that somebody said")
    assert raised.value.type == "KeyError"
    assert "words" not in raised.value.message
    assert __file__ in raised.value.message
    assert raised.value.__cause__ is None
    assert not raised.value.non_retryable
