"""Agents as models of OpenAI's, through its official client and over the bare wire."""

import json
from typing import Any

import httpx
import pytest
from letta_client import Letta
from letta_client.types import AgentState
from openai import (
    APIError,
    APIStatusError,
    NotFoundError,
    OpenAI,
)

from o.ids import new_id
from tests.support.openai_client import LOOK, history_of, joined, openai_client, says, text_of
from tests.support.product import Product
from tests.support.provider import (
    HANDLE,
    FakeProvider,
    call,
    do,
    say,
)


@pytest.fixture(scope="module")
def openai(server: Product) -> OpenAI:
    return openai_client(server)


@pytest.fixture(scope="module")
def http(server: Product) -> httpx.Client:
    return httpx.Client(base_url=f"{server.url}/v1", timeout=60)


def post(http: httpx.Client, agent_id: str, **body: Any) -> httpx.Response:
    return http.post("/chat/completions", json={"model": agent_id, **body})


def test_a_completion_is_what_the_official_client_expects(
    openai: OpenAI, agent: AgentState
) -> None:
    done = openai.chat.completions.create(model=agent.id, messages=says("hello"))
    assert (done.object, done.model) == ("chat.completion", agent.id)
    assert done.id.startswith("chatcmpl-")
    (choice,) = done.choices
    assert (choice.index, choice.finish_reason) == (0, "stop")
    assert (choice.message.role, choice.message.content) == ("assistant", "You said: hello")
    assert choice.message.tool_calls is None
    assert done.usage is not None
    assert (done.usage.prompt_tokens, done.usage.completion_tokens) == (11, 7)
    assert done.usage.total_tokens == 18


def test_a_voice_pipeline_names_the_agent_in_the_address_alone(
    server: Product, agent: AgentState
) -> None:
    options: Any = {"base_url": f"{server.url}/v1/voice-beta/{agent.id}", "max_retries": 0}
    voice = OpenAI(api_key="unused", **options)
    pieces = voice.chat.completions.create(
        model="letta-fast", messages=says("hello"), stream=True, temperature=0.5
    )
    said = "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices)
    assert said == "You said: hello"
    with pytest.raises(APIStatusError, match="not found") as refused:
        voice.with_options(
            base_url=str(voice.base_url).replace(agent.id, new_id("agent"))
        ).chat.completions.create(model=agent.id, messages=says("hello"))
    assert (refused.value.status_code, refused.value.type) == (404, "invalid_request_error")


@pytest.mark.parametrize("address", ["responses", "completions"])
def test_what_is_not_served_says_what_to_use(openai: OpenAI, address: str) -> None:
    with pytest.raises(APIStatusError, match="use /v1/chat/completions") as refused:
        openai.post(f"/{address}", body={"model": "x", "input": "hello"}, cast_to=object)
    assert (refused.value.status_code, refused.value.code) == (501, "not_implemented")


def test_its_id_is_that_of_the_run(openai: OpenAI, client: Letta, agent: AgentState) -> None:
    done = openai.chat.completions.create(model=agent.id, messages=says("hello"))
    run = client.runs.retrieve(done.id.replace("chatcmpl-", "run-"))
    assert (run.agent_id, run.status) == (agent.id, "completed")
    assert done.created == int(run.created_at.timestamp())


def test_the_agent_remembers_and_is_told_only_what_is_new(
    openai: OpenAI, client: Letta, agent: AgentState, provider: FakeProvider
) -> None:
    learn = do(call("memory_insert", label="human", new_string="Her name is Ada."), say("Hi Ada."))
    first = text_of(openai.chat.completions.create(model=agent.id, messages=says(learn)))
    told = says(learn, first, "Who am I?")
    second = openai.chat.completions.create(model=agent.id, messages=told)
    assert text_of(second) == "You are Ada."
    alone = openai.chat.completions.create(model=agent.id, messages=says("And now?"))
    assert text_of(alone) == "You are Ada."
    assert history_of(client, agent) == [learn, "Who am I?", "And now?"]
    assert provider.problems == []


@pytest.mark.parametrize("usage", [True, False])
def test_a_stream_says_the_same_in_pieces(openai: OpenAI, agent: AgentState, usage: bool) -> None:
    text = do(
        say("First I look.") | call("memory_insert", label="human", new_string="x"),
        say("Then I answer.") | {"reasoning": "hm"},
    )
    whole = openai.chat.completions.create(model=agent.id, messages=says(text))
    options: Any = {"stream_options": {"include_usage": True}} if usage else {}
    chunks = list(
        openai.chat.completions.create(model=agent.id, messages=says(text), stream=True, **options)
    )
    assert joined(chunks) == text_of(whole) == "First I look.\n\nThen I answer."
    assert len({chunk.id for chunk in chunks}) == 1
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    first = chunks[0].choices[0].delta
    assert (first.role, first.content) == ("assistant", "")
    assert all(one.choices[0].delta.role is None for one in chunks[1:] if one.choices)
    thoughts = [
        choice.delta.model_extra["reasoning_content"]
        for chunk in chunks
        for choice in chunk.choices
        if "reasoning_content" in (choice.delta.model_extra or {})
    ]
    assert thoughts == ["hm"] == [whole.choices[0].message.model_extra["reasoning_content"]]  # type: ignore[index]
    closing = [chunk for chunk in chunks if chunk.choices and chunk.choices[0].finish_reason]
    assert [chunk.choices[0].finish_reason for chunk in closing] == ["stop"]
    if usage:
        assert chunks[-1].choices == []
        assert chunks[-1].usage == whole.usage
        assert whole.usage is not None
        assert whole.usage.total_tokens == 36, "both model calls"
    else:
        assert all(chunk.choices for chunk in chunks)
        assert all(chunk.usage is None for chunk in chunks)


def test_what_agents_do_inside_is_not_shown_as_calls(openai: OpenAI, agent: AgentState) -> None:
    text = do(call("memory_insert", label="human", new_string="x"), say("done"))
    (choice,) = openai.chat.completions.create(model=agent.id, messages=says(text)).choices
    assert (choice.message.tool_calls, choice.message.content) == (None, "done")


def test_an_agent_of_the_legacy_loop_speaks_too(openai: OpenAI, client: Letta) -> None:
    agent = client.agents.create(
        model=HANDLE, agent_type="memgpt_agent", memory_blocks=[{"label": "human", "value": "x"}]
    )
    whole = openai.chat.completions.create(model=agent.id, messages=says(do(say("Hello you."))))
    chunks = openai.chat.completions.create(
        model=agent.id, messages=says(do(say("Hello you."))), stream=True
    )
    assert joined(chunks) == text_of(whole) == "Hello you."


def test_a_conversation_of_an_agent_is_a_model_too(
    openai: OpenAI, client: Letta, agent: AgentState
) -> None:
    conversation = client.conversations.create(agent_id=agent.id)
    done = openai.chat.completions.create(model=conversation.id, messages=says("hello"))
    assert text_of(done) == "You said: hello"
    own = client.conversations.messages.list("default", agent_id=agent.id).items
    assert [one.message_type for one in own] == ["system_message"]


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hello"}],
        [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "hello"}],
        [{"role": "user", "content": [{"type": "text", "text": "hello"}]}],
        [
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": None, "tool_calls": [], "refusal": None},
            {"role": "user", "content": "hello"},
        ],
        [
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": [{"type": "text", "text": "b"}]},
            {"role": "user", "content": "hello", "name": "ada"},
            {"role": "system", "content": "Remember the format."},
        ],
        [
            {"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]},
            {"role": "function", "name": "x", "content": "y"},
            {"role": "assistant", "audio": {"id": "x"}, "reasoning_content": "hm"},
            {"role": "user", "content": "hello"},
        ],
    ],
)
def test_only_what_is_new_is_said_whatever_clients_keep_of_the_rest(
    http: httpx.Client, client: Letta, agent: AgentState, messages: Any
) -> None:
    answer = post(http, agent.id, messages=messages)
    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["message"]["content"] == "You said: hello"
    assert len(history_of(client, agent)) == 1


def test_instructions_of_the_client_do_not_reach_the_model(
    openai: OpenAI, agent: AgentState, provider: FakeProvider
) -> None:
    told: Any = [{"role": "system", "content": "You are a pirate."}, *says("ahoy")]
    openai.chat.completions.create(model=agent.id, messages=told)
    assert "pirate" not in json.dumps(provider.prompts[-1])


@pytest.mark.parametrize(
    "more",
    [
        {"max_tokens": 5, "temperature": 0, "top_p": 1, "stop": ["x"], "seed": 1},
        {"max_completion_tokens": 5, "reasoning_effort": "low", "verbosity": "low"},
        {"n": 1, "user": "ada", "metadata": {"chat": "1"}, "store": True, "service_tier": "auto"},
        {"stream": None, "stream_options": None, "tools": None, "n": None},
        {"stream": False, "tools": [], "parallel_tool_calls": True, "tool_choice": "auto"},
        {"response_format": {"type": "text"}, "logit_bias": {}, "logprobs": False},
        {"chat_id": "x", "session_id": "y", "features": {}, "prompt": None},
    ],
)
def test_settings_of_clients_are_taken_and_the_agents_own_hold(
    http: httpx.Client, agent: AgentState, provider: FakeProvider, more: dict[str, Any]
) -> None:
    answer = post(http, agent.id, messages=says("hello"), **more)
    assert answer.status_code == 200, answer.text
    assert {"stop", "seed", "user", "metadata"} & provider.requests[-1].keys() == set()


def test_several_messages_behind_the_last_answer_are_all_said(
    http: httpx.Client, client: Letta, agent: AgentState
) -> None:
    told = [*says("a", "b"), {"role": "user", "content": "c"}, {"role": "user", "content": "d"}]
    assert post(http, agent.id, messages=told).status_code == 200
    assert history_of(client, agent) == ["c", "d"]


def test_a_long_history_costs_nothing(openai: OpenAI, client: Letta, agent: AgentState) -> None:
    told = says(*[f"message {n}" for n in range(1_001)])
    done = openai.chat.completions.create(model=agent.id, messages=told)
    assert text_of(done) == "You said: message 1000"
    assert history_of(client, agent) == ["message 1000"]


PIXEL = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@pytest.mark.parametrize("image", [{"url": PIXEL, "detail": "low"}, {"url": PIXEL}, PIXEL])
def test_images_are_shown_to_the_model(
    http: httpx.Client, agent: AgentState, provider: FakeProvider, image: Any
) -> None:
    content = [{"type": "text", "text": "what is it?"}, {"type": "image_url", "image_url": image}]
    answer = post(http, agent.id, messages=[{"role": "user", "content": content}])
    assert answer.json()["choices"][0]["message"]["content"] == "You said: what is it?"
    shown = provider.prompts[-1][-1]["content"]
    assert [part["type"] for part in shown] == ["text", "image_url"]
    assert shown[1]["image_url"]["url"] == PIXEL


def test_an_unknown_agent_is_404_as_a_model_of_openais(openai: OpenAI) -> None:
    for model in (new_id("agent"), new_id("conv"), "gpt-4o", "", HANDLE):
        with pytest.raises(NotFoundError) as refused:
            openai.chat.completions.create(model=model, messages=says("hello"))
        error = refused.value
        assert (error.code, error.type) == ("model_not_found", "invalid_request_error")
        assert isinstance(error.body, dict)
        assert error.body["message"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"messages": []}, "Nothing is said"),
        ({"messages": [{"role": "system", "content": "x"}]}, "Nothing is said"),
        ({"messages": says("a", "b")}, "Nothing is said"),
        ({"messages": says("")}, "is empty"),
        ({"messages": [{"role": "user", "content": []}]}, "is empty"),
        ({"messages": [{"role": "user", "content": None}]}, "content"),
        ({"messages": [{"role": "function", "name": "x", "content": "y"}]}, "messages"),
        ({"messages": ["hello"]}, "messages"),
        ({"messages": "hello"}, "messages"),
        ({}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "file", "file": {}}]}]}, "content"),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "image_url", "image_url": {"url": "file:///x"}}],
                    }
                ]
            },
            "image_url",
        ),
        ({"messages": says("hi"), "n": 2}, "answers once"),
        ({"messages": says("hi"), "n": 0}, "'n'"),
        ({"messages": says("hi"), "tools": [LOOK], "tool_choice": "required"}, "tool_choice"),
        ({"messages": says("hi"), "functions": [{"name": "x"}]}, "functions"),
        ({"messages": says("hi"), "response_format": {"type": "json_object"}}, "response_format"),
        ({"messages": says("hi"), "tools": [{"type": "custom", "custom": {}}]}, "tools"),
        ({"messages": says("hi"), "stream": "maybe"}, "stream"),
    ],
)
def test_what_cannot_be_done_is_refused_in_openais_shape(
    http: httpx.Client, client: Letta, agent: AgentState, body: dict[str, Any], said: str
) -> None:
    for stream in ({}, {"stream": True}):
        answer = post(http, agent.id, **(stream | body))
        assert answer.status_code == 422, answer.text
        error = answer.json()["error"]
        assert said in error["message"]
        assert (error["type"], error["param"], error["code"]) == (
            "invalid_request_error",
            None,
            None,
        )
    assert history_of(client, agent) == []


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "application/json"),
        (b"{", "application/json"),
        (b"[]", "application/json"),
        (b"null", "application/json"),
        (b'{"model": NaN, "messages": 1}', "application/json"),
        (b"\xff\xfe", "application/json"),
        (b"model=x", "application/x-www-form-urlencoded"),
        (b'{"model": "x"}', "text/plain"),
        (b"[" * 5_000, "application/json"),
    ],
)
@pytest.mark.parametrize("path", ["/chat/completions", "/chat/completions/"])
def test_a_body_that_is_none_is_refused_in_openais_shape(
    http: httpx.Client, content: bytes, kind: str, path: str
) -> None:
    answer = http.post(path, content=content, headers={"content-type": kind})
    assert answer.status_code in (400, 422), answer.text
    assert answer.json().keys() == {"error"}


def test_other_methods_and_bodies_too_large_are_refused_in_openais_shape(
    http: httpx.Client,
) -> None:
    refused = http.get("/chat/completions")
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
    assert refused.json()["error"]["message"] == "Method Not Allowed"
    large = http.post("/chat/completions", content=b" " * (20 * 1024 * 1024 + 1))
    assert (large.status_code, large.json()["error"]["code"]) == (413, "request_too_large")


def test_v1s_addresses_keep_v1s_errors(http: httpx.Client) -> None:
    assert http.post("/models/").json() == {"detail": "Method Not Allowed"}
    assert http.get("/models/", params={"provider_category": "x"}).json().keys() >= {"detail"}


def test_a_failed_model_call_is_an_error_of_its_kind(openai: OpenAI, agent: AgentState) -> None:
    with pytest.raises(APIStatusError) as failed:
        openai.chat.completions.create(model=agent.id, messages=says(do({"fail": 401})))
    assert failed.value.status_code == 401
    assert failed.value.code == "llm_authentication"
    assert failed.value.response.headers["x-should-retry"] == "false"
    stream = openai.chat.completions.create(
        model=agent.id, messages=says(do({"fail": 401})), stream=True
    )
    with pytest.raises(APIError) as broken:
        list(stream)
    assert broken.value.code == "llm_authentication"
