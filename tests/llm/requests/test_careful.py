"""A request that is refused is made again, more carefully, and what helped is remembered."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from o.domain.lessons import ModelKey
from o.domain.llm import ModelReply, ModelRequest, ReplyDelta, ToolSpec
from o.errors import ModelError
from o.llm.models import Models
from o.llm.providers import Providers
from o.llm.requests.learnt import Learnt
from o.settings import ProviderSettings
from o.tools.registry import BUILT_IN_TOOLS
from tests.llm.answering import Server, chunk
from tests.llm.answering import ask as answered_by
from tests.llm.requests.refusing import (
    Habit,
    RefusingProvider,
    calls_of,
    images_of,
    openai_error,
    refuses,
    refuses_field,
    refusing_provider,
    roles,
    wants_turns,
)
from tests.llm.requests.test_repair import talk

ORGANIZATION = "org-1"
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
OTHER_IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,BBBB"}}
SETTINGS = {"temperature": 0.5, "max_output_tokens": 99, "top_p": 0.9}


def asked_for(*more: dict[str, Any]) -> ModelRequest:
    return ModelRequest(
        handle="openai/some-model",
        organization_id=ORGANIZATION,
        prompt=[*talk(), *more, {"role": "user", "content": "what now?"}],
        tools=[BUILT_IN_TOOLS["memory_insert"].spec],
        settings=SETTINGS,
    )


def shown(*images: dict[str, Any]) -> list[dict[str, Any]]:
    text = {"type": "text", "text": "look"}
    return [{"role": "user", "content": [text, *images]}, {"role": "assistant", "content": "nice"}]


class Shelf:
    """Lessons as the database keeps them."""

    def __init__(self) -> None:
        self.kept: dict[ModelKey, frozenset[str]] = {}

    async def all(self) -> dict[ModelKey, frozenset[str]]:
        return dict(self.kept)

    async def add(self, key: ModelKey, lessons: frozenset[str]) -> None:
        self.kept[key] = self.kept.get(key, frozenset()) | lessons


@pytest.fixture
def strict() -> Iterator[RefusingProvider]:
    with refusing_provider() as strict:
        yield strict


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def models(strict: RefusingProvider, shelf: Shelf, opened: Callable[[Models], Models]) -> Models:
    return opened(models_at(strict, shelf))


def models_at(strict: RefusingProvider, shelf: Shelf) -> Models:
    settings = ProviderSettings(openai_api_key=SecretStr("k"), openai_base_url=strict.url)
    return Models(Providers(settings), timeout_s=20, learnt=Learnt(shelf))


async def ask(models: Models, request: ModelRequest, *, streams: bool = False) -> ModelReply:
    deltas: list[ReplyDelta] = []

    async def keep(delta: ReplyDelta) -> None:
        deltas.append(delta)

    reply = await models.complete(request, keep if streams else None)
    if streams:
        assert "".join(delta.text for delta in deltas) == reply.text
    return reply


UNKNOWN_FIELD = {
    "pydantic": (
        422,
        {
            "detail": [
                {
                    "type": "extra_forbidden",
                    "loc": ["body", "{name}"],
                    "msg": "Extra inputs are not permitted",
                    "input": {"temperature": 1, "stream_options": 2, "parallel_tool_calls": 3},
                }
            ]
        },
    ),
    "Fireworks": (
        400,
        {"error": {"message": "Extra inputs are not permitted, field: '{name}', value: 'top_p'"}},
    ),
    "OpenAI": (
        400,
        openai_error("Unsupported parameter: '{name}' is not supported with this model."),
    ),
    "OpenAI of old": (400, openai_error("Unrecognized request argument supplied: {name}")),
    "Go": (400, {"error": 'json: unknown field "{name}"'}),
    "serde": (
        422,
        "Failed to deserialize the JSON body: unknown field `{name}`, expected one of `model`, "
        "`temperature`, `top_p`, `max_tokens`, `stream_options` at line 1 column 9",
    ),
    "Google": (
        400,
        [
            {
                "error": {
                    "code": 400,
                    "message": 'Invalid JSON payload received. Unknown name "{name}": '
                    "Cannot find field.",
                    "status": "INVALID_ARGUMENT",
                }
            }
        ],
    ),
    "a gateway": (
        400,
        {
            "error": {
                "message": "Provider returned error",
                "code": 400,
                "metadata": {"raw": '{"detail":"property \'{name}\' is unsupported"}'},
            }
        },
    ),
    "litellm": (
        400,
        openai_error(
            "litellm.UnsupportedParamsError: openai does not support parameters: ['{name}'], for "
            "model=x. To drop these, set `litellm.drop_params=True`"
        ),
    ),
    "an error within 200": (200, {"error": {"code": 400, "message": "Unknown parameter: {name}"}}),
}


@pytest.mark.parametrize("said", UNKNOWN_FIELD.values(), ids=UNKNOWN_FIELD)
@pytest.mark.parametrize("name", ["stream_options", "parallel_tool_calls", "temperature"])
async def test_a_field_that_is_refused_is_left_out_from_then_on(
    strict: RefusingProvider, models: Models, shelf: Shelf, name: str, said: tuple[int, Any]
) -> None:
    strict.habits = [refuses_field(name, *said)]
    reply = await ask(models, asked_for(), streams=True)
    assert reply.text == "hello"
    assert any(name in note for note in reply.notes)
    first, second = strict.asked
    assert first.keys() - second.keys() == {name}, "nothing else is left out"
    strict.forget()
    await ask(models, asked_for(), streams=True)
    assert len(strict.asked) == 1, "it was remembered"
    another = models_at(strict, shelf)
    await another._learnt.refresh()
    await ask(another, asked_for(), streams=True)
    await another.close()
    assert len(strict.asked) == 2, "and the other workers know"


async def test_two_fields_that_are_refused_one_by_one_are_both_left_out(
    strict: RefusingProvider, models: Models
) -> None:
    strict.habits = [
        refuses_field(name, *UNKNOWN_FIELD["Go"]) for name in ("top_p", "stream_options")
    ]
    assert (await ask(models, asked_for(), streams=True)).text == "hello"
    assert len(strict.asked) == 3
    assert "temperature" in strict.asked[-1]


async def test_the_bound_of_a_reply_goes_by_its_other_name_where_it_has_to(
    strict: RefusingProvider, models: Models
) -> None:
    strict.habits = [
        refuses_field(
            "max_tokens",
            400,
            openai_error(
                "Unsupported parameter: '{name}' is not supported with this model. Use "
                "'max_completion_tokens' instead.",
                param="{name}",
                code="unsupported_parameter",
            ),
        )
    ]
    await ask(models, asked_for())
    assert strict.asked[-1]["max_completion_tokens"] == 99
    strict.habits.append(refuses_field("max_completion_tokens", *UNKNOWN_FIELD["OpenAI"]))
    assert (await ask(models, asked_for())).text == "hello"


async def test_a_value_that_is_refused_teaches_nothing(
    strict: RefusingProvider, models: Models, shelf: Shelf
) -> None:
    too_large = openai_error("max_tokens is too large: 99. Use at most 50.", param="max_tokens")
    strict.habits = [refuses_field("max_tokens", 400, too_large)]
    assert (await ask(models, asked_for())).text == "hello"
    assert shelf.kept == {}


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


async def test_a_model_that_may_not_be_streamed_answers_at_once(
    strict: RefusingProvider, models: Models
) -> None:
    said = openai_error(
        "Your organization must be verified to stream this model.",
        param="stream",
        code="unsupported_value",
    )
    strict.habits = [refuses(lambda body: body["stream"], 400, said)]
    assert (await ask(models, asked_for(), streams=True)).text == "hello"
    strict.forget()
    assert (await ask(models, asked_for(), streams=True)).text == "hello"
    assert len(strict.asked) == 1


SECRET = "a word that is filtered"
FILTERED = openai_error("The response was filtered", code="content_filter", status=400)
LAST_RESORT = {
    "a filter": (400, FILTERED),
    "nobody knows why": (400, {"error": {"message": "Request contains an invalid argument."}}),
}


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


async def test_a_refusal_that_nothing_helps_is_told_as_it_first_came(
    strict: RefusingProvider, models: Models, shelf: Shelf
) -> None:
    count = 0

    def always(body: dict[str, Any]) -> tuple[int, Any]:
        nonlocal count
        count += 1
        return 400, openai_error(f"refusal {count}")

    strict.habits = [always]
    with pytest.raises(ModelError) as failure:
        await ask(models, asked_for())
    assert "refusal 1" in failure.value.detail
    assert len(strict.asked) == 3
    assert shelf.kept == {}
    assert failure.value.__notes__


OTHERS: list[tuple[int, Any]] = [
    (400, openai_error("This model's maximum context length is 8192 tokens.")),
    (401, openai_error("no such key")),
    (404, openai_error("model not found")),
    (429, openai_error("slow down")),
    (500, openai_error("oh")),
]


@pytest.mark.parametrize("said", OTHERS)
async def test_other_failures_are_not_mended(
    strict: RefusingProvider, models: Models, said: tuple[int, Any]
) -> None:
    strict.habits = [refuses(lambda body: True, *said)]
    with pytest.raises(ModelError):
        await ask(models, asked_for())
    assert len(strict.asked) == 1


def only_with_all(name: str) -> Habit:
    return refuses(lambda body: name in body, 400, "Bad Request")


async def test_what_is_refused_without_a_word_is_found_with_the_next_turn(
    strict: RefusingProvider, models: Models, shelf: Shelf
) -> None:
    strict.habits = [only_with_all("top_p")]
    for count in (2, 2, 2, 1):
        strict.forget()
        assert (await ask(models, asked_for(), streams=True)).text == "hello"
        assert len(strict.asked) == count
    assert shelf.kept == {}, "that is a guess, and not for others"


async def test_a_provider_that_is_found_elsewhere_is_a_new_one(
    strict: RefusingProvider, models: Models, shelf: Shelf
) -> None:
    strict.habits = [refuses_field("top_p", *UNKNOWN_FIELD["Go"])]
    await ask(models, asked_for())
    with refusing_provider() as moved:
        later = models_at(moved, shelf)
        await later._learnt.refresh()
        await ask(later, asked_for())
        await later.close()
        assert "top_p" in moved.asked[0]


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


async def test_a_stream_that_has_begun_is_not_asked_for_again(
    server: Server,
) -> None:
    error = {"error": {"code": 400, "message": "Unknown parameter: temperature"}}
    server.says(chunk(content="half"), f"data: {json.dumps(error)}\n\n")
    with pytest.raises(ModelError):
        await answered_by(server, [])
    assert len(server.asked) == 1


@pytest.mark.parametrize("streams", [False, True])
async def test_a_tool_of_any_name_is_offered_by_one_that_is_taken_and_called_by_its_own(
    strict: RefusingProvider, models: Models, streams: bool
) -> None:
    strict.habits = [
        refuses(
            lambda body: (
                not all(
                    re.fullmatch("[a-zA-Z0-9_-]{1,64}", one["function"]["name"])
                    for one in body["tools"]
                )
            ),
            400,
            openai_error("Invalid 'tools[0].function.name': string does not match pattern."),
        )
    ]
    strict.calls = "files_read"
    named = [
        ToolSpec(name=name, description="", parameters={"type": "object", "properties": {}})
        for name in ("files.read", "files read", "plain")
    ]
    deltas: list[ReplyDelta] = []

    async def keep(delta: ReplyDelta) -> None:
        deltas.append(delta)

    request = asked_for().model_copy(update={"tools": named, "prompt": talk(name="files.read")})
    reply = await models.complete(request, keep if streams else None)
    offered = [one["function"]["name"] for one in strict.asked[0]["tools"]]
    assert offered == ["files_read", "files_read_2", "plain"]
    assert [call.name for call in reply.tool_calls] == ["files.read"]
    assert [delta.name for delta in deltas if delta.name] == ["files.read"] * streams
    assert calls_of(strict.asked[0])[0]["function"]["name"] == "files_read"
