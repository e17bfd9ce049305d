"""A request that is refused is made again, more carefully, and what helped is remembered."""

import asyncio
import json
import re
from typing import Any

import pytest

from o.domain.lessons import ModelKey
from o.domain.llm import ReplyDelta, ToolSpec
from o.errors import ModelError
from o.llm.models import Models
from o.llm.requests.learnt import Learnt
from tests.llm.answering import Server, chunk
from tests.llm.answering import ask as answered_by
from tests.llm.requests.asking import (
    Shelf,
    ask,
    asked_for,
    models_at,
)
from tests.llm.requests.refusing import (
    Habit,
    RefusingProvider,
    calls_of,
    openai_error,
    refuses,
    refuses_field,
    refusing_provider,
)
from tests.llm.requests.test_repair import talk

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
    "xAI": (
        400,
        {
            "code": "Client specified an invalid argument",
            "error": "Argument not supported on this model: {inOneWord}",
        },
    ),
    "xAI of late": (400, {"error": "Model grok-4 does not support parameter {inOneWord}."}),
    "Moonshot": (400, openai_error("invalid {name}: only 1 is allowed for this model")),
    "DeepSeek": (400, openai_error("deepseek-reasoner does not support the parameter `{name}`")),
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


NO_ROOM = {
    "vLLM": "'max_tokens' or 'max_completion_tokens' is too large: 99. This model's maximum "
    "context length is 8192 tokens and your request has 8190 input tokens",
    "vLLM of old, OpenAI": "This model's maximum context length is 8192 tokens. However, you "
    "requested 8200 tokens (8101 in the messages, 99 in the completion). Please reduce the length "
    "of the messages or completion.",
    "Anthropic": "input length and `max_tokens` exceed context limit: 199990 + 99 > 200000, "
    "decrease input length or `max_tokens` and try again",
    "TGI": "`inputs` tokens + `max_new_tokens` must be <= 4096. Given: 4000 `inputs` tokens and 99 "
    "`max_new_tokens`",
    "OpenRouter": "This endpoint's maximum context length is 8192 tokens. However, you requested "
    "about 8200 tokens (8101 of text input, 99 in the output). Please reduce the length of either",
    "SGLang": "Requested token count exceeds the model's maximum context length of 8192 tokens. "
    "You requested a total of 8200 tokens: 8101 tokens from the input messages and 99 tokens for "
    "the completion.",
}


@pytest.mark.parametrize("said", NO_ROOM.values(), ids=NO_ROOM)
async def test_a_bound_of_the_reply_that_has_no_room_beside_the_prompt_is_left_out(
    strict: RefusingProvider, models: Models, shelf: Shelf, said: str
) -> None:
    strict.habits = [refuses_field("max_tokens", 400, openai_error(said))]
    assert (await ask(models, asked_for())).text == "hello"
    assert strict.asked[0].keys() - strict.asked[-1].keys() == {"max_tokens"}
    assert shelf.kept == {}
    strict.habits = [refuses(lambda body: True, 400, openai_error(said))]
    with pytest.raises(ModelError) as failure:
        await ask(models, asked_for())
    assert failure.value.kind == "context_window_exceeded", "so that room is made"


@pytest.mark.parametrize(
    "said",
    [
        "This model only support stream mode, please enable the stream parameter.",
        "parameter.enable_thinking must be set to false for non-streaming calls",
        "Requests with max_tokens > 4096 must have stream=true",
    ],
)
async def test_a_model_that_may_only_be_streamed_is(
    strict: RefusingProvider, models: Models, said: str
) -> None:
    strict.habits = [refuses(lambda body: not body["stream"], 400, openai_error(said))]
    for _ in range(2):
        assert (await ask(models, asked_for())).text == "hello"
    assert [body["stream"] for body in strict.asked] == [False, True, True]


async def test_thoughts_beside_a_text_are_left_out_where_a_template_takes_one_of_them(
    strict: RefusingProvider, models: Models
) -> None:
    said = (
        "Cannot pass both content and thinking in an assistant message with tool calls! at row "
        "290: {{- raise_exception("
    )

    def both(body: dict[str, Any]) -> bool:
        calling = [one for one in body["messages"] if one.get("tool_calls")]
        return any(one["content"] and one.get("reasoning_content") for one in calling)

    strict.habits = [refuses(both, 500, {"error": {"code": 500, "message": said}})]
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    turn = {"content": "hm", "reasoning_content": "so", "tool_calls": [call]}
    reply = await ask(
        models,
        asked_for(
            {"role": "user", "content": "hello"},
            {"role": "assistant", **turn},
            {"role": "tool", "tool_call_id": "a", "content": "done"},
        ),
    )
    assert reply.text == "hello"
    assert calls_of(strict.asked[-1]), "the call itself is told as it was made"


UNSTREAMED = {
    "OpenAI": openai_error(
        "Your organization must be verified to stream this model.",
        param="stream",
        code="unsupported_value",
    ),
    "Bedrock": {"message": "This model doesn't support tool use in streaming mode."},
    "a gateway": openai_error("Streaming is not supported with tools for this model"),
}


@pytest.mark.parametrize("said", UNSTREAMED.values(), ids=UNSTREAMED)
async def test_a_model_that_may_not_be_streamed_answers_at_once(
    strict: RefusingProvider, models: Models, said: Any
) -> None:
    strict.habits = [refuses(lambda body: body["stream"], 400, said)]
    assert (await ask(models, asked_for(), streams=True)).text == "hello"
    strict.forget()
    assert (await ask(models, asked_for(), streams=True)).text == "hello"
    assert len(strict.asked) == 1


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


class SlowShelf(Shelf):
    """Lessons that are read slowly."""

    def __init__(self) -> None:
        super().__init__()
        self.is_read = asyncio.Event()
        self.may_be_told = asyncio.Event()

    async def all(self) -> dict[ModelKey, frozenset[str]]:
        found = await super().all()
        self.is_read.set()
        await self.may_be_told.wait()
        return found


async def test_what_is_learnt_while_lessons_are_read_is_known_on() -> None:
    shelf = SlowShelf()
    learnt = Learnt(shelf)
    key = ModelKey("org-1", "openai", "mark", "some-model")
    reading = asyncio.create_task(learnt.refresh())
    await shelf.is_read.wait()
    await learnt.learn(key, frozenset({"plain"}))
    shelf.may_be_told.set()
    await reading
    assert learnt.of(key) == {"plain"}
    await learnt.refresh()
    assert learnt.of(key) == {"plain"}
    shelf.kept.clear()
    await learnt.refresh()
    assert learnt.of(key) == frozenset(), "what is deleted is forgotten"


async def test_what_is_learnt_as_a_call_is_cancelled_lasts_no_longer_than_the_rest() -> None:
    class Hanging(Shelf):
        async def add(self, key: ModelKey, lessons: frozenset[str]) -> None:
            await asyncio.Event().wait()

    learnt = Learnt(Hanging())
    key = ModelKey("org-1", "openai", "mark", "some-model")
    learning = asyncio.create_task(learnt.learn(key, frozenset({"plain"})))
    await asyncio.sleep(0)
    learning.cancel()
    await asyncio.wait([learning])
    await learnt.refresh()
    assert learnt.of(key) == frozenset()


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


async def test_a_stream_that_has_begun_is_not_asked_for_again(
    server: Server,
) -> None:
    error = {"error": {"code": 400, "message": "Unknown parameter: temperature"}}
    server.says(chunk(content="half"), f"data: {json.dumps(error)}\n\n")
    with pytest.raises(ModelError):
        await answered_by(server, [])
    assert len(server.asked) == 1


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize(
    ("called", "meant"),
    [
        ("functions.memory_insert", "memory_insert"),
        ("functions.memory_insert<|channel|>commentary", "memory_insert"),
        ("memory_insert<|channel|>json", "memory_insert"),
        ("default_api:memory_insert", "memory_insert"),
        ("$memory insert", "memory_insert"),
        (" memory_insert\n", "memory_insert"),
        ("memory_insert", "memory_insert"),
        ("memory_insert_2", "memory_insert_2"),
        ("Memory", "Memory"),
    ],
)
async def test_a_call_under_a_name_with_markup_is_of_the_tool_that_is_meant(
    strict: RefusingProvider, models: Models, called: str, meant: str, streams: bool
) -> None:
    strict.calls = called
    deltas: list[ReplyDelta] = []

    async def keep(delta: ReplyDelta) -> None:
        deltas.append(delta)

    reply = await models.complete(asked_for(), keep if streams else None)
    assert [call.name for call in reply.tool_calls] == [meant]
    assert [delta.name for delta in deltas if delta.name] == [meant] * streams


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
