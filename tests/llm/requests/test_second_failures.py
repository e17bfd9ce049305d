"""What comes of a request that is made again more carefully, and does not get through either."""

from typing import Any

import pytest

from o.domain.llm import ModelRequest, ToolSpec
from o.errors import ModelError
from o.llm.models import Models
from tests.llm.requests.asking import Shelf, ask, asked_for
from tests.llm.requests.refusing import (
    RefusingProvider,
    openai_error,
    refuses,
    refuses_field,
)

UNKNOWN = openai_error("Unknown parameter: 'parallel_tool_calls'.")
SECRET = "a word that is refused"
ANSWERED = ({"role": "user", "content": SECRET}, {"role": "assistant", "content": "I see"})
FAILED = {"role": "user", "content": "a turn that failed"}
TITLED = ToolSpec(
    name="f",
    description="",
    parameters={"type": "object", "title": "F", "properties": {"x": {"type": "string"}}},
)

BEHIND: dict[str, tuple[int, Any, str, bool]] = {
    "busy": (429, openai_error("slow down"), "llm_rate_limit", True),
    "away": (503, openai_error("come again"), "llm_error", True),
    "no room": (
        400,
        openai_error("This model's maximum context length is 8192 tokens."),
        "context_window_exceeded",
        False,
    ),
}


@pytest.mark.parametrize("behind", BEHIND.values(), ids=BEHIND)
async def test_what_passes_or_wants_room_is_told_in_place_of_the_refusal_before_it(
    strict: RefusingProvider, models: Models, behind: tuple[int, Any, str, bool]
) -> None:
    status, said, kind, retryable = behind
    strict.habits = [
        refuses_field("parallel_tool_calls", 400, UNKNOWN),
        refuses(lambda body: True, status, said),
    ]
    with pytest.raises(ModelError) as failure:
        await ask(models, asked_for())
    assert (failure.value.kind, failure.value.retryable) == (kind, retryable)
    assert any("parallel_tool_calls" in note for note in failure.value.__notes__)


@pytest.mark.parametrize("status", [401, 500])
async def test_what_comes_after_is_not_told_where_it_asks_for_nothing_else(
    strict: RefusingProvider, models: Models, status: int
) -> None:
    strict.habits = [
        refuses_field("parallel_tool_calls", 400, UNKNOWN),
        refuses(lambda body: True, status, openai_error("no such key")),
    ]
    with pytest.raises(ModelError) as failure:
        await ask(models, asked_for())
    assert failure.value.kind == "llm_bad_request"


def with_titles(*said: dict[str, Any]) -> ModelRequest:
    return asked_for(*said).model_copy(update={"tools": [TITLED]})


async def test_words_about_a_schema_keep_no_conversation_from_going_on(
    strict: RefusingProvider, models: Models, shelf: Shelf
) -> None:
    said = openai_error("The request does not match the schema.")
    strict.habits = [refuses(lambda body: SECRET in str(body["messages"]), 400, said)]
    reply = await ask(models, with_titles(FAILED, *ANSWERED))
    assert any("all that was said before" in note for note in reply.notes)
    assert shelf.kept == {}, "and plain schemas are not thought to have helped"


async def test_schemas_that_were_refused_before_roles_are_plain_from_then_on(
    strict: RefusingProvider, models: Models, shelf: Shelf
) -> None:
    strict.habits = [
        refuses(lambda body: "title" in str(body["tools"]), 400, openai_error("Invalid schema.")),
        refuses_field("top_p", 400, openai_error("Unknown parameter: 'top_p'.")),
    ]
    await ask(models, with_titles())
    assert list(shelf.kept.values()) == [{"plain schemas", "without top_p"}]


async def test_a_server_that_fails_without_a_reason_costs_no_memory_of_what_was_said(
    strict: RefusingProvider, models: Models
) -> None:
    said = {"error": {"message": "Internal server error", "type": "api_error"}}
    strict.habits = [refuses(lambda body: SECRET in str(body["messages"]), 500, said)]
    request = asked_for(*ANSWERED).model_copy(update={"is_last_try": True})
    with pytest.raises(ModelError) as failure:
        await ask(models, request)
    assert failure.value.retryable
    assert all(SECRET in str(body["messages"]) for body in strict.asked)


async def test_a_reply_that_breaks_off_is_paid_for_no_more_often_by_care(
    strict: RefusingProvider, models: Models
) -> None:
    choice = {"message": {"role": "assistant", "content": "half"}, "finish_reason": "abort"}
    strict.habits = [refuses(lambda body: True, 200, {"choices": [choice]})]
    with pytest.raises(ModelError) as failure:
        await ask(models, asked_for(FAILED).model_copy(update={"is_last_try": True}))
    assert failure.value.retryable
    assert len(strict.asked) == 1
