"""The OpenAI wire over real HTTP: what is asked, what comes of replies, and of broken ones."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from o.domain.llm import ModelReply, ReplyDelta
from o.errors import Failure, ModelError
from o.llm.models import Models
from o.llm.providers.providers import Provider, Providers
from o.llm.requests.bodies import chat_body
from o.llm.wires.chat import Completion, reply_of
from o.llm.wires.openai import OpenAIWire
from o.settings.providers import ProviderSettings
from tests.llm.answering import ARGUMENTS, KEY, REQUEST, Server, ask, choice, chunk

CALL = {"id": "call_1", "function": {"name": "memory_insert", "arguments": json.dumps(ARGUMENTS)}}


async def test_a_reply_comes_back_with_its_text_its_call_its_reasoning_and_its_tokens(
    server: Server,
) -> None:
    tokens = {
        "prompt_tokens": 11,
        "completion_tokens": 7,
        "total_tokens": 18,
        "prompt_tokens_details": {"cached_tokens": 3},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    said = choice(content="noting", reasoning_content="hm", tool_calls=[CALL])
    server.says(said | {"usage": tokens})
    reply = await ask(server)
    assert (reply.text, reply.reasoning) == ("noting", "hm")
    (call,) = reply.tool_calls
    assert (call.id, call.name, json.loads(call.arguments)) == (
        "call_1",
        "memory_insert",
        ARGUMENTS,
    )
    usage = reply.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (11, 7, 18)
    assert (usage.cached_input_tokens, usage.reasoning_tokens) == (3, 2)


async def test_a_request_carries_the_key_the_tools_and_the_settings_and_nothing_of_other_wires(
    server: Server,
) -> None:
    server.says(choice(content="hello"))
    before = REQUEST.model_copy(deep=True)
    await ask(server)
    headers, body = server.asked[0]
    assert headers["authorization"] == f"Bearer {KEY}"
    assert body["messages"][2] == {"role": "assistant", "content": "Hm"}
    assert body["tools"][0]["function"]["name"] == "memory_insert"
    assert (body["temperature"], body["max_tokens"], body["stream"]) == (0.5, 99, False)
    assert before == REQUEST, "the request is not changed"


def test_models_of_openai_that_think_get_no_sampling_settings() -> None:
    openai = Provider("openai", "openai", "openai", "https://api.openai.com/v1", SecretStr(KEY))
    thinks = chat_body(openai, "o3-mini", REQUEST, streams=False)
    assert "temperature" not in thinks
    assert (thinks["max_completion_tokens"], "max_tokens" in thinks) == (99, False)
    assert chat_body(openai, "gpt-4o", REQUEST, streams=False)["temperature"] == 0.5


@pytest.mark.parametrize("parallel", [True, False])
def test_a_model_is_told_whether_to_call_tools_in_parallel_unless_it_refuses_that(
    parallel: bool,
) -> None:
    openai = Provider("openai", "openai", "openai", "https://api.openai.com/v1", SecretStr(KEY))
    request = REQUEST.model_copy(update={"parallel_calls": parallel})
    for model in ("gpt-4o", "gpt-5-mini", "meta/llama-3"):
        assert chat_body(openai, model, request, streams=False)["parallel_tool_calls"] is parallel
    for model in ("o1", "o3-mini", "openai/o4-mini"):
        assert "parallel_tool_calls" not in chat_body(openai, model, request, streams=False)
    bare = request.model_copy(update={"tools": []})
    assert "parallel_tool_calls" not in chat_body(openai, "gpt-4o", bare, streams=False)


async def test_a_stream_is_put_together_wherever_it_is_cut(server: Server) -> None:
    text = json.dumps(ARGUMENTS)
    first = {"index": 0, "id": "call_1", "function": {"name": "memory_insert", "arguments": ""}}
    whole = "".join(
        [
            ": a comment\r\n\r\n",
            chunk(reasoning_content="hm"),
            chunk(content="a line\u2028break, an é").replace("\n", "\r\n"),
            chunk(tool_calls=[first]),
            chunk(tool_calls=[{"index": 0, "function": {"arguments": text[:9]}}]),
            chunk("tool_calls", tool_calls=[{"index": 0, "function": {"arguments": text[9:]}}]),
            'data: {"choices": [], "usage": {"prompt_tokens": 11, "completion_tokens": 7}}\n\n',
            "data: [DONE]\n\n",
        ]
    ).encode()
    for cut in (1, 2, 3, 5, 7, 11, 39, 10_000):
        server.says(*(whole[n : n + cut] for n in range(0, len(whole), cut)))
        deltas: list[ReplyDelta] = []
        reply = await ask(server, deltas)
        assert (reply.reasoning, reply.text) == ("hm", "a line\u2028break, an é")
        assert json.loads(reply.tool_calls[0].arguments) == ARGUMENTS
        assert (reply.finish_reason, reply.usage.total_tokens) == ("tool_calls", 18)
        assert [d.name for d in deltas if d.tool_call_id] == ["memory_insert"]
        written = "".join(d.text for d in deltas if d.kind == "tool_call")
        assert json.loads(written) == ARGUMENTS


async def test_a_stream_that_ends_in_the_middle_is_worth_another_try(server: Server) -> None:
    server.says(chunk(content="half a"))
    with pytest.raises(ModelError) as failure:
        await ask(server, [])
    assert (failure.value.kind, failure.value.retryable) == ("llm_error", True)


async def test_an_error_inside_a_stream_is_an_error(server: Server) -> None:
    server.says(chunk(content="half a"), 'data: {"error": {"message": "overloaded"}}\n\n')
    with pytest.raises(ModelError) as failure:
        await ask(server, [])
    assert "overloaded" in failure.value.detail
    assert failure.value.retryable


async def test_servers_that_are_nearly_compatible_are_understood(server: Server) -> None:
    server.says(
        choice(
            content=[{"type": "text", "text": "in "}, {"type": "text", "text": "parts"}],
            reasoning="thought",
            tool_calls=[{"function": {"name": "memory_insert", "arguments": ARGUMENTS}}],
        )
    )
    reply = await ask(server)
    assert (reply.text, reply.reasoning) == ("in parts", "thought")
    assert json.loads(reply.tool_calls[0].arguments) == ARGUMENTS
    assert reply.tool_calls[0].id == ""


@pytest.mark.parametrize(
    ("status", "body", "kind", "ours", "retryable"),
    [
        (400, "bad", "llm_bad_request", 400, False),
        (400, "maximum context length is 8192", "context_window_exceeded", 400, False),
        (401, "no", "llm_authentication", 401, False),
        (402, "pay", "llm_insufficient_credits", 402, False),
        (404, "what", "llm_error", 500, False),
        (429, "slow down", "llm_rate_limit", 429, True),
        (429, '{"code": "insufficient_quota"}', "llm_insufficient_credits", 402, False),
        (500, "oh", "llm_error", 500, True),
        (504, "late", "llm_timeout", 504, True),
    ],
)
@pytest.mark.parametrize("streams", [False, True])
async def test_a_refusal_is_told_in_v1s_words(
    server: Server, streams: bool, status: int, body: str, kind: str, ours: int, retryable: bool
) -> None:
    server.status, server.headers = status, {"retry-after": "7"}
    server.says(f"{body} {KEY}")
    with pytest.raises(ModelError) as failure:
        await ask(server, [] if streams else None)
    error = failure.value
    assert (error.kind, error.status, error.retryable) == (kind, ours, retryable)
    assert error.retry_after_s == 7
    assert error.detail == f"{body} [key]", "the provider's words without the key"


@pytest.mark.parametrize("body", ["<html>", "[]", '{"choices": [{"message": 1}]}', ""])
async def test_an_answer_that_is_no_completion_is_an_error(server: Server, body: str) -> None:
    server.says(body)
    with pytest.raises(ModelError) as failure:
        await ask(server)
    assert failure.value.kind == "llm_error"


async def test_a_provider_that_is_away_is_worth_another_try() -> None:
    provider = Provider("openai", "openai", "openai", "http://127.0.0.1:9/v1")
    wire = OpenAIWire()
    with pytest.raises(ModelError) as failure:
        await wire.complete(provider, "x", REQUEST, None)
    await wire.close()
    assert failure.value.retryable


any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
FIELDS = ("content", "reasoning", "reasoning_content", "tool_calls", "thinking_blocks")
nearly = st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, any_json))


@given(nearly, any_json)
def test_whatever_a_provider_answers_is_a_reply_or_refused(
    said: dict[str, Any], usage: object
) -> None:
    body = json.dumps({"choices": [{"message": said}], "usage": usage})
    with contextlib.suppress(ValidationError):
        assert isinstance(reply_of(Completion.model_validate_json(body)), ModelReply)


async def test_a_host_that_is_none_is_not_reached() -> None:
    provider = Provider("openai", "openai", "openai", "http://a..b/v1")
    with pytest.raises(ModelError) as failure:
        await OpenAIWire().complete(provider, "x", REQUEST, None)
    assert failure.value.failure is Failure.UNREACHABLE


async def test_an_answer_with_large_headers_is_read(server: Server) -> None:
    server.headers = {"content-security-policy": "x" * 30_000}
    server.says(choice(content="hello"))
    assert (await ask(server)).text == "hello"


async def test_cookies_of_one_call_are_not_sent_with_another(server: Server) -> None:
    settings = ProviderSettings(openai_base_url=server.url.replace("127.0.0.1", "localhost"))
    server.headers = {"set-cookie": "session=of-somebody; Path=/"}
    server.says(choice(content="hello"))
    models = Models(Providers(settings), timeout_s=5)
    for _ in range(2):
        await models.complete(REQUEST)
    await models.close()
    assert all("cookie" not in headers for headers, _ in server.asked)
