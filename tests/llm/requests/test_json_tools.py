"""Models that call no tools: they are told of them in words, and held to JSON by a schema."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import jsonschema_rs
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import SecretStr

from o.domain.llm import ModelReply, ModelRequest, ReplyDelta
from o.errors import ModelError
from o.llm.models import Models
from o.llm.providers.providers import Providers
from o.llm.requests.json_tools import NOTE, as_json, read_json
from o.settings.providers import ProviderSettings
from o.tools.registry import BUILT_IN_TOOLS

INSERT = BUILT_IN_TOOLS["memory_insert"].spec
SEARCH = BUILT_IN_TOOLS["conversation_search"].spec
CALL = {"tool": "memory_insert", "arguments": {"label": "human", "new_string": "Ada, 100 °"}}
REFUSALS = (
    "codellama:latest does not support tools",
    "Unsupported param: tools",
    "tools param requires --jinja flag",
    '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set',
    "No endpoints found that support tool use. Try another model.",
)


def request(**more: Any) -> ModelRequest:
    prompt = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "I am Ada"}]
    fields: dict[str, Any] = {"handle": "openai/x", "prompt": prompt, "tools": [INSERT, SEARCH]}
    return ModelRequest(**fields | more)


@dataclass
class Plain:
    """A server whose models call no tools. It holds replies to the schema that it is given."""

    url: str = ""
    refusal: str = REFUSALS[0]
    says: Any = field(default_factory=lambda: {"reply": {"answer": "Hello Ada."}})
    asked: list[dict[str, Any]] = field(default_factory=list)

    async def answer(self, asked: web.Request) -> web.StreamResponse:
        body = await asked.json()
        self.asked.append(body)
        messages = body["messages"]
        if "tools" in body or any(one["role"] == "tool" for one in messages):
            error = {"message": self.refusal, "type": "api_error"}
            return web.json_response({"error": error}, status=400)
        assert not any("tool_calls" in one for one in messages)
        text = self.says
        if not isinstance(text, str):
            schema = body["response_format"]["json_schema"]["schema"]
            jsonschema_rs.validate(schema, self.says)
            text = json.dumps(self.says)
        if not body["stream"]:
            message = {"role": "assistant", "content": text}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            return web.json_response({"choices": [choice]})
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(asked)
        for at in range(0, len(text), 3):
            delta = {"index": 0, "delta": {"content": text[at : at + 3]}}
            await response.write(f"data: {json.dumps({'choices': [delta]})}\n\n".encode())
        finish = {"index": 0, "delta": {}, "finish_reason": "stop"}
        await response.write(f"data: {json.dumps({'choices': [finish]})}\n\n".encode())
        await response.write(b"data: [DONE]\n\n")
        return response


@pytest.fixture
async def plain() -> AsyncIterator[Plain]:
    plain = Plain()
    app = web.Application()
    app.router.add_post("/v1/chat/completions", plain.answer)
    async with TestServer(app) as server:
        plain.url = str(server.make_url("/v1"))
        yield plain


@pytest.fixture
async def models(plain: Plain) -> AsyncIterator[Models]:
    settings = ProviderSettings(openai_api_key=SecretStr("x"), openai_base_url=plain.url)
    models = Models(Providers(settings), timeout_s=5)
    yield models
    await models.close()


async def streamed(models: Models, asked: ModelRequest) -> tuple[ModelReply, list[ReplyDelta]]:
    deltas: list[ReplyDelta] = []

    async def keep(delta: ReplyDelta) -> None:
        deltas.append(delta)

    return await models.complete(asked, keep), deltas


@pytest.mark.parametrize("refusal", REFUSALS)
async def test_a_model_that_calls_no_tools_is_held_to_json_from_then_on(
    plain: Plain, models: Models, refusal: str
) -> None:
    plain.refusal, plain.says = refusal, {"reply": CALL}
    first = await models.complete(request())
    assert first.text == ""
    (call,) = first.tool_calls
    assert (call.name, json.loads(call.arguments)) == ("memory_insert", CALL["arguments"])
    assert first.finish_reason == "tool_calls"
    assert NOTE in first.notes
    before = len(plain.asked)
    assert before == 2, "no other care is tried"
    plain.says = {"reply": {"answer": "Hello Ada."}}
    second = await models.complete(request())
    assert (second.text, second.tool_calls) == ("Hello Ada.", [])
    assert len(plain.asked) == before + 1, "it is not tried otherwise again"
    told = plain.asked[-1]["messages"][0]["content"]
    assert told.startswith("Be kind.\n\nAnswer with one JSON object")
    assert "Tool memory_insert: " in told
    assert "Tool conversation_search: " in told


async def test_a_setting_holds_it_to_json_at_once_and_another_never(
    plain: Plain, models: Models
) -> None:
    await models.complete(request(settings={"tool_calling": "json_schema"}))
    assert len(plain.asked) == 1
    with pytest.raises(ModelError) as refused:
        await models.complete(request(settings={"tool_calling": "native"}))
    assert "does not support tools" in refused.value.detail


@pytest.mark.parametrize(
    "refusal",
    [
        "the model is on holiday",
        '{"msg": "content is too long", "input": "a hammer does not support tools"}',
    ],
)
async def test_other_refusals_stay_what_they_are(
    plain: Plain, models: Models, refusal: str
) -> None:
    plain.refusal = refusal
    with pytest.raises(ModelError, match="answered with status 400"):
        await models.complete(request())
    assert all("tools" in body for body in plain.asked)


async def test_an_answer_is_streamed_as_it_is_written_and_a_call_when_it_is_whole(
    plain: Plain, models: Models
) -> None:
    asked = request(settings={"tool_calling": "json_schema"})
    plain.says = {"reply": {"answer": "Hello \u201cAda\u201d \U0001f642, how\nare you?"}}
    reply, deltas = await streamed(models, asked)
    assert "".join(delta.text for delta in deltas) == reply.text == plain.says["reply"]["answer"]
    assert len(deltas) > 5
    plain.says = {"reply": CALL}
    reply, deltas = await streamed(models, asked)
    (delta,) = deltas
    assert (delta.kind, delta.name, delta.call) == ("tool_call", "memory_insert", 0)
    assert delta.text == reply.tool_calls[0].arguments


@pytest.mark.parametrize(
    ("said", "text", "called"),
    [
        ("Hello.", "Hello.", None),
        ('{"answer": "Hello."}', "Hello.", None),
        ('```json\n{"reply": {"answer": "Hello."}}\n```', "Hello.", None),
        ('Let me see. {"tool": "a", "arguments": {}}', "Let me see.", "a"),
        ('Let me see.\n```json\n{"tool": "a"}\n```', "Let me see.", "a"),
        ('{"reply": {"answer": "I note.", "tool": "a", "arguments": {"b": 1}}}', "I note.", "a"),
        ('{"reply": {"answer": "cut in the mid', "cut in the mid", None),
        ('{"reply": {"answer": {"a": 1}}}', '{"a": 1}', None),
        ("{hello}", "{hello}", None),
        ('{"reply": {}}', '{"reply": {}}', None),
        ('{"reply": "Hello."}', '{"reply": "Hello."}', None),
        ('{"reply": {"tool": 1}}', '{"reply": {"tool": 1}}', None),
        ("{" * 200, "{" * 200, None),
        ('{"tool": "' + "a" * 300 + '"}', '{"tool": "' + "a" * 300 + '"}', None),
        ('{"reply": {"answer": "\\ud83d"}}', "\ufffd", None),
    ],
)
async def test_whatever_a_model_writes_is_said_or_called_alike_in_streams(
    plain: Plain, models: Models, said: str, text: str, called: str | None
) -> None:
    plain.says = said
    asked = request(settings={"tool_calling": "json_schema"})
    whole = await models.complete(asked)
    reply, deltas = await streamed(models, asked)
    for one in (whole, reply):
        assert one.text == text
        assert [call.name for call in one.tool_calls] == ([called] if called else [])
    assert "".join(delta.text for delta in deltas if delta.kind == "text") == text


def test_history_is_told_as_the_model_would_have_written_it() -> None:
    calls = [
        {"id": f"c{n}", "function": {"name": name, "arguments": arguments}}
        for n, (name, arguments) in enumerate([("a", '{"x": 1}'), ("b", "{broken")])
    ]
    prompt = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "I look.", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "c0", "content": "A"},
        {"role": "tool", "tool_call_id": "c1", "content": "B"},
        {"role": "assistant", "content": "There."},
    ]
    asked = request(prompt=prompt)
    told = as_json(asked)
    assert told == as_json(asked)
    assert told.tools == []
    assert [message["role"] for message in told.prompt] == [
        *("system", "user", "assistant", "user", "assistant", "user", "assistant")
    ]
    assert [message["content"] for message in told.prompt[2:]] == [
        '{"reply": {"answer": "I look.", "tool": "a", "arguments": {"x": 1}}}',
        "[The tool a returned]\nA",
        '{"reply": {"tool": "b", "arguments": "{broken"}}',
        "[The tool b returned]\nB",
        '{"reply": {"answer": "There."}}',
    ]
    assert asked.prompt == prompt, "the request itself stays as it is"


def test_a_call_that_is_forced_leaves_no_answer_and_a_format_shapes_it() -> None:
    schema = as_json(request(tool_choice="required")).settings["response_format"]
    ways = schema["json_schema"]["schema"]["properties"]["reply"]["anyOf"]
    assert [one["properties"]["tool"]["enum"] for one in ways] == [
        ["memory_insert"],
        ["conversation_search"],
    ]
    shape = {"type": "object", "properties": {"mood": {"type": "string"}}}
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": shape}}
    schema = as_json(request(settings={"response_format": wanted})).settings["response_format"]
    ways = schema["json_schema"]["schema"]["properties"]["reply"]["anyOf"]
    assert ways[-1]["properties"]["answer"] == shape


def test_a_reply_without_text_stays_as_it_is() -> None:
    reply = ModelReply(text="")
    assert read_json(reply) == reply
