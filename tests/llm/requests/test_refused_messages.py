"""Messages that a provider refuses are left out, merged or told otherwise, as it says."""

from typing import Any

import pytest

from o.errors import ModelError
from o.llm.models import Models
from tests.llm.requests.asking import IMAGE, OTHER_IMAGE, Shelf, ask, asked_for, shown
from tests.llm.requests.refusing import (
    RefusingProvider,
    calls_of,
    images_of,
    openai_error,
    refuses,
    roles,
    wants_turns,
)
from tests.llm.requests.test_repair import talk

TURNS = "Conversation roles must alternate user/assistant/user/assistant/..."
JINJA = (
    f"\n------------\nWhile executing CallExpression at line 19\nError: Jinja Exception: {TURNS}"
)
TWO_USERS = [{"role": "user", "content": "a turn that failed"}]
TEMPLATES = {
    "vLLM": (400, openai_error(f"{TURNS} {TURNS}")),
    "llama.cpp": (500, {"error": {"code": 500, "message": JINJA, "type": "server_error"}}),
    "Mistral": (
        400,
        {
            "object": "error",
            "message": "Unexpected role 'user' after role 'tool'",
            "type": "invalid_request_message_order",
            "code": "3230",
        },
    ),
    "without a word": (400, "Bad Request"),
    "with 404": (404, openai_error(f"chat template: {TURNS}")),
}


@pytest.mark.parametrize("said", TEMPLATES.values(), ids=TEMPLATES)
@pytest.mark.parametrize("streams", [False, True])
async def test_roles_take_turns_where_they_have_to(
    strict: RefusingProvider,
    models: Models,
    shelf: Shelf,
    said: tuple[int, Any],
    streams: bool,
) -> None:
    strict.habits = [wants_turns(*said)]
    reply = await ask(models, asked_for(*TWO_USERS), streams=streams)
    assert any("merged" in note for note in reply.notes)
    strict.forget()
    await ask(models, asked_for(*TWO_USERS), streams=streams)
    assert len(strict.asked) == 1
    assert strict.asked[0]["temperature"] == 0.5, "that was not what helped"
    (lessons,) = shelf.kept.values()
    assert lessons == {"plain"}


async def test_a_second_system_message_is_shown_among_the_users(
    strict: RefusingProvider, models: Models
) -> None:
    strict.habits = [
        refuses(
            lambda body: "system" in roles(body)[1:],
            400,
            openai_error("System message must be at the beginning."),
        )
    ]
    request = asked_for({"role": "system", "content": "It is late."})
    await ask(models, request)
    assert "It is late." in strict.asked[-1]["messages"][-1]["content"]


async def test_a_model_without_system_messages_is_told_by_the_user(
    strict: RefusingProvider, models: Models, shelf: Shelf
) -> None:
    strict.habits = [
        refuses(
            lambda body: "system" in roles(body), 400, openai_error("System role not supported")
        )
    ]
    await ask(models, asked_for())
    assert strict.asked[-1]["messages"][0] == {"role": "user", "content": "Be kind.\n\nhello"}
    assert list(shelf.kept.values()) == [{"no system messages"}]


BLIND = {
    "OpenRouter": (404, {"error": {"message": "No endpoints found that support image input"}}),
    "DeepSeek": (
        400,
        openai_error(
            "Failed to deserialize the JSON body into the target type: messages[5]: unknown "
            "variant `image_url`, expected `text` at line 1 column 4"
        ),
    ),
    "llama.cpp": (
        500,
        openai_error("image input is not supported - hint: you may need to provide the mmproj"),
    ),
    "Groq": (400, openai_error("'messages.5' : content must be a string")),
    "Copilot": (400, openai_error('vision is not enabled for this integration (model "x")')),
    "in plain words": (400, openai_error("This model does not support image inputs.")),
}


@pytest.mark.parametrize("said", BLIND.values(), ids=BLIND)
async def test_a_model_that_sees_no_images_is_shown_none(
    strict: RefusingProvider, models: Models, shelf: Shelf, said: tuple[int, Any]
) -> None:
    strict.habits = [refuses(images_of, *said)]
    await ask(models, asked_for(*shown(IMAGE)))
    assert list(shelf.kept.values()) == [{"no images"}]
    strict.forget()
    reply = await ask(models, asked_for(*shown(OTHER_IMAGE)))
    assert len(strict.asked) == 1
    assert any("image" in note for note in reply.notes)


UNREADABLE = {
    "Anthropic": (400, openai_error("messages.5.content.1.image.source: Could not process image")),
    "OpenAI": (
        400,
        openai_error("You uploaded an unsupported image. Please make sure your image is valid."),
    ),
    "vLLM": (400, openai_error("cannot identify image file <_io.BytesIO object>")),
    "without a word": (400, "Bad Request"),
    "a format": (400, openai_error("The image format image/bmp is not supported")),
}


@pytest.mark.parametrize("said", UNREADABLE.values(), ids=UNREADABLE)
async def test_an_image_that_cannot_be_read_is_left_out_and_others_are_not(
    strict: RefusingProvider, models: Models, shelf: Shelf, said: tuple[int, Any]
) -> None:
    url = IMAGE["image_url"]["url"]  # type: ignore[index]
    strict.habits = [refuses(lambda body: url in images_of(body), *said)]
    await ask(models, asked_for(*shown(IMAGE)))
    assert shelf.kept == {}, "nothing was learnt of the model"
    strict.forget()
    await ask(models, asked_for(*shown(IMAGE), *shown(OTHER_IMAGE)))
    assert strict.statuses == [200]
    assert images_of(strict.asked[0]) == [OTHER_IMAGE["image_url"]["url"]]  # type: ignore[index]


async def test_of_more_images_than_are_taken_the_newest_are_shown(
    strict: RefusingProvider, models: Models
) -> None:
    strict.habits = [
        refuses(
            lambda body: len(images_of(body)) > 1,
            400,
            openai_error("At most 1 image(s) may be provided in one request."),
        )
    ]
    await ask(models, asked_for(*shown(IMAGE), *shown(OTHER_IMAGE)))
    assert images_of(strict.asked[-1]) == [OTHER_IMAGE["image_url"]["url"]]  # type: ignore[index]


SECRET = "a word that is filtered"
FILTERED = openai_error("The response was filtered", code="content_filter", status=400)
LAST_RESORT = {
    "a filter": (400, FILTERED),
    "xAI's filter": (
        403,
        {"code": "permission-denied", "error": "Content violates usage guidelines. Team: …"},
    ),
    "DashScope's filter": (
        400,
        openai_error(
            "Input data may contain inappropriate content.", code="data_inspection_failed"
        ),
    ),
    "a firewall": (403, "<html><head><title>403 Forbidden</title></head></html>"),
    "another one": (
        403,
        "<!DOCTYPE html>\n<title>Attention Required! | Cloudflare</title> Sorry, you have been …",
    ),
    "one that says so with another status": (405, "<html>Your request has been blocked</html>"),
    "nobody knows why": (400, {"error": {"message": "Request contains an invalid argument."}}),
}


async def test_a_server_that_fails_each_time_is_asked_more_carefully_in_the_end(
    strict: RefusingProvider, models: Models, shelf: Shelf
) -> None:
    said = {"error": {"message": "Internal server error", "type": "api_error"}}
    strict.habits = [refuses(lambda body: SECRET in str(body["messages"]), 500, said)]
    answered = ({"role": "user", "content": SECRET}, {"role": "assistant", "content": "I see"})
    history = (*answered, {"role": "user", "content": "a turn that failed"})
    with pytest.raises(ModelError) as failure:
        await ask(models, asked_for(*history))
    assert failure.value.retryable
    assert strict.statuses == [500], "it is asked again as it was, a little later"
    request = asked_for(*history).model_copy(update={"is_last_try": True})
    reply = await ask(models, request)
    assert any("before" in note for note in reply.notes)
    assert shelf.kept == {}, "that says nothing of the model"


@pytest.mark.parametrize("status", [502, 503, 504, 529])
async def test_a_server_that_is_away_is_not_asked_more_carefully(
    strict: RefusingProvider, models: Models, status: int
) -> None:
    strict.habits = [refuses(lambda body: True, status, "<html>Bad Gateway</html>")]
    with pytest.raises(ModelError):
        await ask(models, asked_for().model_copy(update={"is_last_try": True}))
    assert len(strict.asked) == 1


@pytest.mark.parametrize("said", LAST_RESORT.values(), ids=LAST_RESORT)
async def test_a_turn_that_failed_is_left_out_where_nothing_else_helps(
    strict: RefusingProvider, models: Models, shelf: Shelf, said: tuple[int, Any]
) -> None:
    strict.habits = [refuses(lambda body: SECRET in str(body["messages"]), *said)]
    failed = {"role": "user", "content": SECRET}
    alone = asked_for().model_copy(update={"prompt": [*talk(), failed]})
    with pytest.raises(ModelError):
        await ask(models, alone)
    reply = await ask(models, asked_for(failed))
    assert any("failed" in note for note in reply.notes)
    assert "hello" in str(strict.asked[-1]["messages"])
    strict.forget()
    later = ({"role": "user", "content": "well?"}, {"role": "assistant", "content": "hello"})
    await ask(models, asked_for(failed, *later))
    assert strict.statuses == [200]
    assert shelf.kept == {}


async def test_what_was_said_before_is_left_out_where_nothing_else_helps(
    strict: RefusingProvider, models: Models, shelf: Shelf
) -> None:
    strict.habits = [refuses(lambda body: SECRET in str(body["messages"]), 400, "Bad Request")]
    answered = ({"role": "user", "content": SECRET}, {"role": "assistant", "content": "I see"})
    reply = await ask(models, asked_for(*answered))
    assert any("before" in note for note in reply.notes)
    system, said = strict.asked[-1]["messages"]
    assert system["content"] == "Be kind."
    assert said["content"].endswith("what now?")
    assert shelf.kept == {}


async def test_in_a_turn_that_calls_tools_a_call_that_is_refused_is_told_in_words(
    strict: RefusingProvider, models: Models
) -> None:
    strict.habits = [
        refuses(lambda body: "tool" in roles(body)[-2:], 400, openai_error("invalid argument"))
    ]
    request = asked_for().model_copy(update={"prompt": talk(arguments='{"label": "x"}')[:-1]})
    await ask(models, request)
    *_, called, returned = strict.asked[-1]["messages"]
    assert "memory_insert" in called["content"]
    assert "returned" in returned["content"]


def reply_with(**additions: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": "I see"} | additions


async def test_what_a_provider_does_not_want_back_is_left_out(
    strict: RefusingProvider, models: Models, shelf: Shelf
) -> None:
    said = openai_error("messages.1.content.0: Invalid `signature` in `thinking` block")
    strict.habits = [refuses(lambda body: "stale" in str(body["messages"]), 400, said)]
    stale = reply_with(reasoning_details=[{"type": "thinking", "signature": "stale"}])
    fresh = reply_with(reasoning_details=[{"type": "thinking", "signature": "fresh"}])
    await ask(models, asked_for({"role": "user", "content": "one"}, stale))
    strict.forget()
    two = {"role": "user", "content": "two"}
    await ask(models, asked_for({"role": "user", "content": "one"}, stale, two, fresh))
    assert strict.statuses == [200]
    assert "fresh" in str(strict.asked[0]["messages"]), "others go back"
    assert shelf.kept == {}


async def test_calls_of_other_models_are_signed_by_nobody_where_they_have_to_be(
    strict: RefusingProvider, models: Models
) -> None:
    said = "Function call is missing a thought_signature in functionCall parts."
    strict.habits = [
        refuses(
            lambda body: any("extra_content" not in call for call in calls_of(body)),
            400,
            [{"error": {"code": 400, "message": said, "status": "INVALID_ARGUMENT"}}],
        )
    ]
    await ask(models, asked_for())
    assert len(strict.asked) == 2
    strict.forget()
    await ask(models, asked_for())
    assert len(strict.asked) == 1


async def test_calls_without_the_reasoning_that_is_wanted_back_are_told_in_words(
    strict: RefusingProvider, models: Models
) -> None:
    said = openai_error("Missing `reasoning_content` field in the assistant message at index 2.")
    strict.habits = [refuses(calls_of, 400, said)]
    await ask(models, asked_for())
    assert len(strict.asked) == 3, "an empty thought is tried first"
    assert "memory_insert" in strict.asked[-1]["messages"][2]["content"]


async def test_images_that_make_a_request_too_large_are_left_out(
    strict: RefusingProvider, models: Models
) -> None:
    strict.habits = [refuses(images_of, 413, "<html>413 Request Entity Too Large</html>")]
    await ask(models, asked_for(*shown(IMAGE)))
    strict.forget()
    await ask(models, asked_for(*shown(IMAGE)))
    assert strict.statuses == [200]


async def test_the_assistant_does_not_speak_last_where_that_is_refused(
    strict: RefusingProvider, models: Models
) -> None:
    said = {"object": "error", "message": "Expected last role User or Tool but got assistant"}
    strict.habits = [refuses(lambda body: roles(body)[-1] == "assistant", 400, said)]
    await ask(models, asked_for().model_copy(update={"prompt": talk()}))
    assert roles(strict.asked[-1])[-1] == "user"
