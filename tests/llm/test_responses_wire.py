"""OpenAI's responses: who is asked over them, what is said, and what becomes of the events."""

import json
from typing import Any

import pytest

from o.domain.llm import ModelReply, ModelRequest, ReplyDelta
from o.errors import Failure, ModelError
from o.llm.models import wire_of
from o.llm.providers.providers import Provider
from o.llm.requests.bodies import chat_body
from o.llm.requests.fitted import fit
from o.llm.requests.lessons import with_lessons
from o.llm.requests.refusals import lessons_of
from o.llm.wires.responses import ResponsesWire
from o.llm.wires.responses_request import input_items, responses_body
from o.llm.wires.streamed import nowhere
from tests.llm.conformance.bench import PNG, TOOLS, Bench, History, models_at
from tests.llm.fakes.openai_responses import OpenAIResponses
from tests.llm.fakes.provider import Call, Say
from tests.llm.fakes.server import serving

OPENAI = Provider("openai", "openai", "openai", "https://api.openai.com/v1")
GATEWAY = Provider("openai", "openai", "openai", "https://gateway.example/v1")
AZURE = Provider("azure", "azure", "azure", "https://ada.openai.azure.com")


def request(**fields: Any) -> ModelRequest:
    prompt = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello"}]
    return ModelRequest.model_validate({"handle": "openai/x", "prompt": prompt} | fields)


@pytest.mark.parametrize(
    ("who", "model", "settings", "wire"),
    [
        (OPENAI, "gpt-4o", {}, "openai"),
        (OPENAI, "gpt-5-mini", {}, "openai"),
        (OPENAI, "o1", {}, "openai"),
        (OPENAI, "o1-pro", {}, "responses"),
        (OPENAI, "o3-pro-2025-06-10", {}, "responses"),
        (OPENAI, "gpt-5-pro", {}, "responses"),
        (OPENAI, "gpt-5.2-pro", {}, "responses"),
        (OPENAI, "gpt-5.1-codex-max", {}, "responses"),
        (OPENAI, "codex-mini-latest", {}, "responses"),
        (OPENAI, "o4-mini-deep-research", {}, "responses"),
        (GATEWAY, "gpt-5-pro", {}, "openai"),
        (GATEWAY, "gpt-4o", {"api": "responses"}, "responses"),
        (AZURE, "gpt-5-codex", {"api": "responses"}, "azure"),
    ],
)
def test_models_that_need_them_and_agents_that_ask_for_them_speak_responses(
    who: Provider, model: str, settings: dict[str, Any], wire: str
) -> None:
    assert wire_of(who, model, request(settings=settings)) == wire


def test_nothing_is_stored_and_reasoning_comes_encrypted_where_there_is_any() -> None:
    body = responses_body(OPENAI, "gpt-5-pro", request(), streams=True)
    assert (body["store"], body["include"]) == (False, ["reasoning.encrypted_content"])
    assert "include" not in responses_body(OPENAI, "gpt-4o", request(), streams=True)


def test_a_request_is_spelled_in_the_words_of_the_wire() -> None:
    schema = {"name": "form", "schema": {"type": "object"}}
    wanted = {"type": "json_schema", "json_schema": schema}
    settings = {"max_output_tokens": 99, "temperature": 0.5, "response_format": wanted}
    asked = request(
        settings=settings,
        tools=[tool.model_dump() for tool in TOOLS],
        tool_choice="required",
        parallel_calls=True,
    )
    body = responses_body(OPENAI, "gpt-4o", asked, streams=False)
    assert (body["max_output_tokens"], body["temperature"]) == (99, 0.5)
    assert body["text"] == {"format": {"type": "json_schema"} | schema}
    assert (body["tool_choice"], body["parallel_tool_calls"]) == ("required", True)
    assert [tool["name"] for tool in body["tools"]] == [tool.name for tool in TOOLS]
    assert "stream_options" not in body
    assert "messages" not in body


def call(n: int) -> dict[str, Any]:
    function = {"name": "f", "arguments": f'{{"n": {n}}}'}
    return {"id": f"c{n}", "type": "function", "function": function}


def test_thoughts_go_back_where_they_stood() -> None:
    sealed = [{"type": "reasoning", "summary": [], "encrypted_content": name} for name in "ab"]
    kept = [sealed[0], {"type": "message"}, sealed[1], {"type": "function_call"}]
    reply = {"role": "assistant", "content": "So", "tool_calls": [call(1), call(2)]}
    items = input_items([reply | {"response_items": kept}])
    kinds = ["reasoning", "message", "reasoning", "function_call", "function_call"]
    assert [item["type"] for item in items] == kinds
    assert items[0] == sealed[0]
    assert [item["call_id"] for item in items[3:]] == ["c1", "c2"]


def test_pictures_are_shown_by_users_and_by_tools() -> None:
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
    text = {"type": "text", "text": "This?"}
    user, returned = input_items(
        [
            {"role": "user", "content": [text, image]},
            {"role": "tool", "tool_call_id": "c1", "content": [text, image]},
        ]
    )
    shown = {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}", "detail": "auto"}
    assert user["content"] == returned["output"] == [{"type": "input_text", "text": "This?"}, shown]


async def read(*events: dict[str, Any]) -> tuple[ModelReply, list[ReplyDelta]]:
    deltas: list[ReplyDelta] = []

    async def pieces() -> Any:
        for event in events:
            yield f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()

    async def keep(delta: ReplyDelta) -> None:
        deltas.append(delta)

    return await ResponsesWire().read(OPENAI, pieces(), keep), deltas


def done(status: str = "completed", **fields: Any) -> dict[str, Any]:
    response = {"status": status, "output": [], "usage": {"input_tokens": 3, "output_tokens": 2}}
    return {"type": f"response.{status}", "response": response | fields}


def said(text: str) -> dict[str, Any]:
    return {"type": "message", "content": [{"type": "output_text", "text": text}]}


FUNCTION = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"n": 1}'}


@pytest.mark.parametrize(
    "events",
    [
        [done(output=[said("hello"), FUNCTION])],
        [
            {"type": "response.output_item.done", "output_index": 0, "item": said("hello")},
            {"type": "response.output_item.done", "output_index": 1, "item": FUNCTION},
            done(),
        ],
        [
            {"type": "response.output_text.delta", "output_index": 0, "delta": "hello"},
            {"type": "response.output_item.done", "output_index": 0, "item": said("hello")},
            {
                "type": "response.output_item.added",
                "output_index": 1,
                "item": FUNCTION | {"arguments": ""},
            },
            {"type": "response.output_item.done", "output_index": 1, "item": FUNCTION},
            done(output=[said("hello"), FUNCTION]),
        ],
        # as LM Studio and some gateways tell calls
        [
            {"type": "response.output_text.delta", "output_index": 0, "delta": "hello"},
            {"type": "response.output_item.done", "output_index": 0, "item": said("hello")},
            done(output=[said("hello"), FUNCTION]),
        ],
    ],
)
async def test_what_is_said_is_told_once_however_it_comes(events: list[dict[str, Any]]) -> None:
    reply, deltas = await read(*events)
    assert reply.text == "".join(d.text for d in deltas if d.kind == "text") == "hello"
    (made,) = reply.tool_calls
    assert (made.id, made.name, made.arguments) == ("c1", "f", '{"n": 1}')
    assert reply.finish_reason == "tool_calls"
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (3, 2)


UNUSUAL = {
    "a gateway: kinds by the names of events alone": (
        'event: response.output_text.delta\ndata: {"delta": "hello", "output_index": 0}\n\n'
        'event: response.completed\ndata: {"response": {"status": "completed"}}\n\n'
    ),
    "a proxy: [DONE] in place of an end": (
        'data: {"type": "response.output_text.delta", "output_index": 0, "delta": "hello"}\n\n'
        "data: [DONE]\n\n"
    ),
    "LM Studio, vLLM: no places": (
        'data: {"type": "response.output_text.delta", "delta": "hel"}\n\n'
        'data: {"type": "response.output_text.delta", "delta": "lo"}\n\n'
        'data: {"type": "response.completed", "response": {"status": "completed"}}\n\n'
        "data: [DONE]\n\n"
    ),
    "a whole response to a request for a stream": json.dumps(
        {"status": "completed", "output": [{"type": "message", "content": [{"text": "hello"}]}]}
    ),
}


@pytest.mark.parametrize("sent", UNUSUAL.values(), ids=UNUSUAL)
async def test_events_that_are_not_by_the_book_are_understood(sent: str) -> None:
    async def pieces() -> Any:
        yield sent.encode()

    assert (await ResponsesWire().read(OPENAI, pieces(), nowhere)).text == "hello"


async def test_a_call_with_one_id_for_all_is_known_by_that() -> None:
    item = {"type": "function_call", "id": "fc_1", "name": "f", "arguments": {"n": 1}}
    for events in (
        [done(output=[item])],
        [{"type": "response.output_item.done", "output_index": 0, "item": item}, done()],
    ):
        (made,) = (await read(*events))[0].tool_calls
        assert (made.id, made.arguments) == ("fc_1", '{"n": 1}')


@pytest.mark.parametrize(
    "said",
    [
        "Encrypted content is not supported with this model.",
        "Unknown parameter: 'include'.",
        "Unsupported parameter: 'include' is not supported with this model.",
    ],
)
def test_reasoning_is_not_asked_for_where_there_is_none(said: str) -> None:
    fitted = fit(OPENAI, "some-model", request())
    error = ModelError("llm_bad_request", "", detail=said, failure=Failure.BAD_REQUEST)
    now, lasting = lessons_of(error, fitted, set(), frozenset())
    takes = with_lessons(fitted.takes, lasting)
    assert now == lasting
    assert "include" in responses_body(OPENAI, "some-model", fitted, streams=False)
    asked = fitted.model_copy(update={"takes": takes})
    assert "include" not in responses_body(OPENAI, "some-model", asked, streams=False)


async def test_a_reply_that_was_cut_says_why() -> None:
    cut = done("incomplete", incomplete_details={"reason": "max_output_tokens"})
    begun = {"type": "response.output_text.delta", "output_index": 0, "delta": "hel"}
    reply, _ = await read(begun, cut)
    assert (reply.text, reply.finish_reason) == ("hel", "length")


async def test_a_refusal_is_what_was_said() -> None:
    refusal = {"type": "response.refusal.delta", "output_index": 0, "delta": "I won't."}
    assert (await read(refusal, done()))[0].text == "I won't."


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (
            done("failed", error={"code": "rate_limit_exceeded", "message": "slow"}),
            "llm_rate_limit",
        ),
        (done("failed", error={"code": "server_error", "message": "oh"}), "llm_error"),
        ({"type": "error", "code": "rate_limit_exceeded", "message": "slow"}, "llm_rate_limit"),
        ({"type": "error", "error": {"type": "invalid_request_error"}}, "llm_bad_request"),
    ],
)
async def test_a_failure_amid_the_events_is_of_its_kind(event: dict[str, Any], kind: str) -> None:
    with pytest.raises(ModelError) as failure:
        await read({"type": "response.created", "response": {}}, event)
    assert failure.value.kind == kind


async def test_events_that_end_before_the_reply_are_no_reply() -> None:
    with pytest.raises(ModelError) as failure:
        await read({"type": "response.output_text.delta", "output_index": 0, "delta": "hel"})
    assert failure.value.retryable


SEALED = {"type": "reasoning", "summary": [], "encrypted_content": "of another model"}
REPLY = {"role": "assistant", "content": "So", "response_items": [SEALED, {"type": "message"}]}


def test_what_was_sealed_goes_to_no_other_wire() -> None:
    prompt = [*request().prompt, REPLY, {"role": "user", "content": "And?"}]
    body = chat_body(OPENAI, "gpt-4o", request(prompt=prompt), streams=False)
    assert body["messages"][2] == {"role": "assistant", "content": "So"}


async def test_what_cannot_be_unsealed_any_more_is_left_out() -> None:
    fake = OpenAIResponses(says=[Say(reasoning="Hm", calls=(Call("memory_insert", {}),)), Say()])
    with serving(fake) as url:
        bench = Bench("responses", fake, url, models_at(url))
        history = History().user("I am Ada")
        first = await bench.ask(history)
        assert [item["type"] for item in first.extras["response_items"]] == [
            "reasoning",
            "function_call",
        ]
        assert first.thought_in == ""
        fake.seal = b"another"
        history.returned("noted")
        assert (await bench.ask(history)).finish_reason == "stop"
        await bench.models.close()
    assert "encrypted_content" not in json.dumps(fake.asked[-1].body["input"])
