"""Settings of models: shown whole, kept as they came, and told to the provider."""

import json
from typing import Any

import httpx
import pytest
from letta_client import Letta
from letta_client.types import AgentState

from tests.support.product import Product
from tests.support.provider import EMBEDDING_HANDLE, HANDLE, OTHER_HANDLE, FakeProvider, do, say

SCHEMA = {
    "type": "json_schema",
    "json_schema": {
        "name": "answer",
        "strict": True,
        "schema": {"type": "object", "properties": {"text": {"type": "string"}}},
    },
}
WHOLE = {
    "provider_type": "openai",
    "max_output_tokens": 4096,
    "parallel_tool_calls": False,
    "temperature": 1.0,
    "reasoning": {"reasoning_effort": "minimal"},
    "response_format": None,
    "strict": False,
}


@pytest.fixture(scope="module")
def http(server: Product) -> httpx.Client:
    return httpx.Client(base_url=server.url, timeout=60)


def made(http: httpx.Client, **body: Any) -> dict[str, Any]:
    answer = http.post("/v1/agents/", json={"model": HANDLE, **body})
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


def test_settings_that_nobody_gave_are_shown_whole(http: httpx.Client) -> None:
    assert made(http)["model_settings"] == WHOLE


def test_settings_that_were_given_are_shown_among_all_others(http: httpx.Client) -> None:
    given = {"provider_type": "openai", "temperature": 0.5, "max_output_tokens": 77}
    agent = made(http, model_settings=given)
    assert agent["model_settings"] == WHOLE | given
    whole = http.patch(f"/v1/agents/{agent['id']}", json={"model_settings": WHOLE | given})
    assert whole.json()["model_settings"] == WHOLE | given, "what is shown can be given back"


def test_what_only_llm_config_says_is_seen_in_the_settings(http: httpx.Client) -> None:
    config = {"handle": HANDLE, "reasoning_effort": "low", "strict": True, "max_tokens": 9}
    shown = made(http, llm_config=config)["model_settings"]
    assert shown["reasoning"] == {"reasoning_effort": "low"}
    assert (shown["strict"], shown["max_output_tokens"]) == (True, 9)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("anthropic", {"thinking", "verbosity", "effort", "strict", "response_format"}),
        ("google_ai", {"thinking_config", "response_schema"}),
        ("zai", {"thinking", "response_format"}),
        ("groq", {"response_format"}),
    ],
)
def test_each_type_of_provider_has_fields_of_its_own(
    http: httpx.Client, kind: str, fields: set[str]
) -> None:
    shown = made(http, model_settings={"provider_type": kind})["model_settings"]
    common = {"provider_type", "max_output_tokens", "parallel_tool_calls", "temperature"}
    assert shown.keys() == common | fields


def test_the_official_client_reads_the_settings_of_each_provider(client: Letta) -> None:
    for kind in ("openai", "anthropic", "google_ai", "groq", "zai"):
        settings: Any = {"provider_type": kind}
        agent = client.agents.create(model=HANDLE, model_settings=settings)
        assert agent.api_model_settings is not None
        assert agent.api_model_settings.provider_type == kind


def test_a_conversations_settings_are_shown_whole_too(
    client: Letta, http: httpx.Client, agent: AgentState
) -> None:
    body = {"model": OTHER_HANDLE, "model_settings": {"temperature": 0.5}}
    shown = http.post("/v1/conversations/", params={"agent_id": agent.id}, json=body).json()
    assert shown["model_settings"] == WHOLE | {"temperature": 0.5}


@pytest.mark.parametrize(
    "body",
    [
        {"model_settings": {"provider_type": "openai", "response_format": SCHEMA}},
        {"response_format": SCHEMA},
        {"llm_config": {"handle": HANDLE, "response_format": SCHEMA}},
    ],
)
def test_a_response_format_reaches_the_provider_however_it_is_said(
    http: httpx.Client, provider: FakeProvider, body: dict[str, Any]
) -> None:
    agent = made(http, **body)
    assert agent["model_settings"]["response_format"] == SCHEMA
    assert agent["llm_config"]["response_format"] == SCHEMA
    http.post(f"/v1/agents/{agent['id']}/messages", json={"input": "hello"})
    assert provider.requests[-1]["response_format"] == SCHEMA


def test_a_response_format_of_a_conversation_or_of_a_later_change_reaches_the_provider(
    http: httpx.Client, provider: FakeProvider, agent: AgentState
) -> None:
    settings = {"provider_type": "openai", "response_format": {"type": "json_object"}}
    thread = http.post(
        "/v1/conversations/", params={"agent_id": agent.id}, json={"model_settings": settings}
    ).json()
    path = f"/v1/conversations/{thread['id']}/messages"
    http.post(path, json={"input": "hello", "streaming": False})
    assert provider.requests[-1]["response_format"] == {"type": "json_object"}
    http.post(f"/v1/agents/{agent.id}/messages", json={"input": "hello"})
    assert "response_format" not in provider.requests[-1]
    http.patch(f"/v1/agents/{agent.id}", json={"response_format": SCHEMA})
    http.post(f"/v1/agents/{agent.id}/messages", json={"input": "hello"})
    assert provider.requests[-1]["response_format"] == SCHEMA
    http.patch(f"/v1/agents/{agent.id}", json={"response_format": {"type": "text"}})
    http.post(f"/v1/agents/{agent.id}/messages", json={"input": "hello"})
    assert "response_format" not in provider.requests[-1]


@pytest.mark.parametrize(
    "asked",
    [
        {"type": "yaml"},
        {"json_schema": {}},
        {"type": "json_schema"},
        {"type": "json_schema", "json_schema": {"name": "x"}},
        {"type": "json_schema", "json_schema": {"schema": "x"}},
    ],
)
def test_a_response_format_that_no_provider_reads_is_422_wherever_it_stands(
    http: httpx.Client, agent: AgentState, asked: dict[str, Any]
) -> None:
    bodies: list[dict[str, Any]] = [
        {"response_format": asked},
        {"model_settings": {"response_format": asked}},
        {"llm_config": {"handle": HANDLE, "response_format": asked}},
    ]
    for body in bodies:
        answer = http.post("/v1/agents/", json={"model": HANDLE, **body})
        assert answer.status_code == 422, body
        assert http.patch(f"/v1/agents/{agent.id}", json=body).status_code == 422
    conversation = {"model_settings": {"response_format": asked}}
    of = {"agent_id": agent.id}
    assert http.post("/v1/conversations/", params=of, json=conversation).status_code == 422


def test_an_embedding_given_by_its_handle_is_shown_in_the_older_form_too(
    client: Letta, http: httpx.Client
) -> None:
    handle = "openai/text-embedding-3-small"
    agent = made(http, embedding=handle)
    assert agent["embedding"] == handle
    config = agent["embedding_config"]
    assert (config["embedding_endpoint_type"], config["handle"]) == ("openai", handle)
    assert (config["embedding_model"], config["embedding_dim"]) == (handle[7:], 1536)
    assert (config["embedding_chunk_size"], config["embedding_endpoint"]) == (300, None)
    larger = "openai/text-embedding-3-large"
    changed = http.patch(f"/v1/agents/{agent['id']}", json={"embedding": larger}).json()
    assert (changed["embedding"], changed["embedding_config"]["embedding_dim"]) == (larger, 3072)
    read = client.agents.retrieve(agent["id"])
    assert read.embedding_config is not None
    assert read.embedding_config.handle == larger


def test_an_embedding_config_of_an_older_client_keeps_what_it_says(http: httpx.Client) -> None:
    config = {
        "embedding_endpoint_type": "ollama",
        "embedding_endpoint": "http://models.example",
        "embedding_model": "nomic",
        "embedding_dim": 768,
    }
    agent = made(http, embedding_config=config)
    assert agent["embedding"] == "ollama/nomic"
    assert config.items() <= agent["embedding_config"].items()
    assert agent["embedding_config"]["handle"] == "ollama/nomic"


def test_an_embedding_model_that_nobody_has_is_refused_as_a_model_is(http: httpx.Client) -> None:
    agent = made(http)
    for handle, status in (("openai/none", 404), ("nobody/embed", 404), ("none", 400)):
        body = {"model": HANDLE, "embedding": handle}
        for answer in (
            http.post("/v1/agents/", json=body),
            http.patch(f"/v1/agents/{agent['id']}", json={"embedding": handle}),
        ):
            assert answer.status_code == status, answer.text
            assert "embedding must be a handle" in answer.text or handle in answer.text
    assert http.get(f"/v1/agents/{agent['id']}").json()["embedding"] is None
    for handle in (EMBEDDING_HANDLE, "letta/letta-free"):
        assert made(http, embedding=handle)["embedding"] == handle


def test_an_embedding_model_that_an_agent_has_may_be_said_again(http: httpx.Client) -> None:
    config = {"embedding_endpoint_type": "nobody", "embedding_model": "m", "embedding_dim": 3}
    agent = made(http, embedding_config=config)
    same = http.patch(f"/v1/agents/{agent['id']}", json={"embedding": "nobody/m", "name": "same"})
    assert (same.status_code, same.json()["name"]) == (200, "same")


def test_no_embedding_is_no_config(http: httpx.Client) -> None:
    agent = made(http)
    assert (agent["embedding"], agent["embedding_config"]) == (None, None)


def test_tool_rules_that_are_equal_are_one(http: httpx.Client) -> None:
    rule = {"type": "continue_loop", "tool_name": "memory_insert"}
    first = {"type": "run_first", "tool_name": "memory_insert", "args": {"label": "human"}}
    spelled_out = rule | {"prompt_template": None}
    agent = made(http, tool_rules=[rule, first, spelled_out, rule, dict(first)])
    assert [one["type"] for one in agent["tool_rules"]] == ["continue_loop", "run_first"]
    other = first | {"args": {"label": "persona"}}
    changed = http.patch(f"/v1/agents/{agent['id']}", json={"tool_rules": [first, other, first]})
    assert [one["args"]["label"] for one in changed.json()["tool_rules"]] == ["human", "persona"]


def test_a_rule_that_the_agents_type_brings_is_not_doubled(http: httpx.Client) -> None:
    agent = made(http, agent_type="memgpt_agent")
    rules = agent["tool_rules"]
    again = made(http, agent_type="memgpt_agent", tool_rules=rules)
    assert again["tool_rules"] == rules


def test_an_agent_whose_model_calls_no_tools_has_them_all_the_same(
    http: httpx.Client, client: Letta, provider: FakeProvider
) -> None:
    given = {"provider_type": "openai", "tool_calling": "json_schema"}
    blocks = [{"label": "human", "value": "nothing"}]
    agent = made(http, model_settings=given, memory_blocks=blocks)
    assert agent["model_settings"]["tool_calling"] == "json_schema"
    edit = {"tool": "memory_insert", "arguments": {"label": "human", "new_string": "tea"}}
    said = do(say(json.dumps({"reply": edit})), say(json.dumps({"reply": {"answer": "noted"}})))
    for streams in (False, True):
        events: Any = client.agents.messages.create(agent["id"], input=said, streaming=streams)
        shown = events if streams else events.messages
        kinds = [one.message_type for one in shown if one.message_type.endswith("_message")]
        assert kinds == ["tool_call_message", "tool_return_message", "assistant_message"]
    asked = provider.requests[-1]
    assert "tools" not in asked
    assert asked["response_format"]["type"] == "json_schema"
    assert "[The tool memory_insert returned]" in json.dumps(provider.prompts[-1])
    assert "tea" in client.agents.blocks.retrieve("human", agent_id=agent["id"]).value


def test_no_other_way_to_call_tools_is_known(http: httpx.Client) -> None:
    body = {"model": HANDLE, "model_settings": {"tool_calling": "xml"}}
    answer = http.post("/v1/agents/", json=body)
    assert answer.status_code == 422
    assert "tool_calling" in answer.json()["detail"]
