"""An answer of an agent's model by itself: the agent learns nothing of it."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from letta_client import Letta
from letta_client.types import AgentState

from o.ids import new_id
from tests.support.organizations import new_organization
from tests.support.product import Product, eventually
from tests.support.provider import (
    EMBEDDING_HANDLE,
    HANDLE,
    OTHER_HANDLE,
    OTHER_MODEL,
    FakeProvider,
    call,
    costing,
    do,
    say,
)

RIVER = {
    "type": "object",
    "$defs": {"Land": {"type": "string", "description": "Where it is."}},
    "properties": {"name": {"type": "string"}, "the land": {"$ref": "#/$defs/Land"}},
    "required": ["name"],
}


@pytest.fixture(scope="module")
def http(server: Product) -> httpx.Client:
    return httpx.Client(base_url=f"{server.url}/v1", timeout=60)


def generate(http: httpx.Client, agent: AgentState, prompt: str, **more: Any) -> httpx.Response:
    return http.post(f"/agents/{agent.id}/generate", json={"prompt": prompt, **more})


def generated(http: httpx.Client, agent: AgentState, prompt: str, **more: Any) -> dict[str, Any]:
    answer = generate(http, agent, prompt, **more)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def asked(provider: FakeProvider, prompt: str) -> list[dict[str, Any]]:
    """The requests that ended with this prompt."""
    return [one for one in provider.requests if one["messages"][-1]["content"] == prompt]


def test_the_model_is_asked_and_the_agent_learns_nothing(
    http: httpx.Client, client: Letta, provider: FakeProvider, agent: AgentState
) -> None:
    before = client.agents.messages.list(agent.id, limit=50).items
    found = generated(http, agent, "Name a river.", system_prompt="You know rivers.")
    assert (found["content"], found["model"]) == ("You said: Name a river.", HANDLE)
    used = found["usage"]
    assert (used["message_type"], used["step_count"], used["run_ids"]) == (
        "usage_statistics",
        1,
        None,
    )
    assert (used["prompt_tokens"], used["completion_tokens"], used["total_tokens"]) == (11, 7, 18)
    (request,) = asked(provider, "Name a river.")
    assert request["messages"] == [
        {"role": "system", "content": "You know rivers."},
        {"role": "user", "content": "Name a river."},
    ]
    assert "tools" not in request
    assert client.agents.messages.list(agent.id, limit=50).items == before
    assert client.runs.list(agent_id=agent.id).items == []
    assert client.steps.list(agent_id=agent.id).items == []


def test_the_agents_settings_go_to_its_own_model_and_to_no_other(
    http: httpx.Client, client: Letta, provider: FakeProvider
) -> None:
    settings: Any = {"provider_type": "openai", "temperature": 0.25, "max_output_tokens": 321}
    agent = client.agents.create(model=HANDLE, model_settings=settings)
    own = generated(http, agent, "settings of its own")
    other = generated(http, agent, "settings of another", override_model=OTHER_HANDLE)
    assert (own["model"], other["model"]) == (HANDLE, OTHER_HANDLE)
    (request,) = asked(provider, "settings of its own")
    assert request["temperature"] == 0.25
    (request,) = asked(provider, "settings of another")
    assert request["model"] == OTHER_MODEL
    assert "temperature" not in request
    assert client.agents.retrieve(agent.id).model == HANDLE


def test_an_answer_by_a_schema_is_json_under_the_schemas_own_names(
    http: httpx.Client, provider: FakeProvider, agent: AgentState
) -> None:
    prompt = do(call("give_answer", name="Glåma", the_land="Norway"))
    found = generated(http, agent, prompt, response_schema=RIVER)
    assert json.loads(found["content"]) == {"name": "Glåma", "the land": "Norway"}
    (request,) = asked(provider, prompt)
    assert request["tool_choice"] == "required"
    (tool,) = request["tools"]
    shown = tool["function"]["parameters"]
    assert "$ref" not in json.dumps(shown)
    assert (list(shown["properties"]), shown["required"]) == (["name", "the_land"], ["name"])


def test_a_model_that_writes_the_answer_as_text_is_understood(
    http: httpx.Client, agent: AgentState
) -> None:
    found = generated(http, agent, do(say('{"name": "Nid"}')), response_schema=RIVER)
    assert json.loads(found["content"]) == {"name": "Nid"}


@pytest.mark.parametrize(
    "action", [say("I know none."), call("give_answer", other=1), say("[1]"), say('{"name": ')]
)
def test_what_is_no_answer_by_the_schema_is_an_error_of_the_model(
    http: httpx.Client, agent: AgentState, action: Any
) -> None:
    answer = generate(http, agent, do(action), response_schema=RIVER)
    assert answer.status_code == 500
    assert answer.json()["error"]["type"] == "llm_error"
    assert "response_schema" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("status", "said", "kind"),
    [
        (400, 400, "llm_bad_request"),
        (401, 401, "llm_authentication"),
        (402, 402, "llm_insufficient_credits"),
        (404, 500, "llm_error"),
        (429, 429, "llm_rate_limit"),
        (503, 500, "llm_error"),
    ],
)
def test_a_provider_that_fails_is_told_of_as_by_a_send(
    http: httpx.Client, agent: AgentState, status: int, said: int, kind: str
) -> None:
    answer = generate(http, agent, do({"fail": status, "say": "no"}))
    assert answer.status_code == said
    error = answer.json()["error"]
    assert (error["type"], "scripted failure" in error["detail"]) == (kind, True)
    assert answer.headers["x-should-retry"] == "false"


def test_a_provider_that_is_busy_is_asked_again(
    http: httpx.Client, provider: FakeProvider, agent: AgentState
) -> None:
    prompt = do({"fail": 503, "times": 1, "say": "now"})
    assert generated(http, agent, prompt)["content"] == "now"
    assert len(asked(provider, prompt)) == 2


def test_an_empty_answer_is_an_error(http: httpx.Client, agent: AgentState) -> None:
    answer = generate(http, agent, do(say("")))
    assert (answer.status_code, answer.json()["error"]["type"]) == (500, "llm_empty_response")


def test_what_it_cost_is_counted_for_the_agent(http: httpx.Client, agent: AgentState) -> None:
    tokens = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
    generated(http, agent, do(costing(say("hi"), **tokens, cost=0.5)))
    generate(http, agent, do(costing(say("no"), **tokens, cost=0.5)), response_schema=RIVER)
    generated(http, agent, do(costing(say("nobody knows"))))
    found = http.get("/usage", params={"agent_id": agent.id, "group_by": "model"}).json()
    assert [one["key"] for one in found["groups"]] == [HANDLE]
    assert (found["total"]["calls"], found["total"]["total_tokens"]) == (3, 240)


@pytest.mark.parametrize(
    ("more", "status", "words"),
    [
        ({"override_model": "gpt-4"}, 400, "handle"),
        ({"override_model": "nobody/gpt-4"}, 404, "no provider 'nobody'"),
        ({"override_model": "openai/nothing"}, 404, "no such model"),
        ({"override_model": EMBEDDING_HANDLE}, 400, "embeds"),
        ({"response_schema": {}}, 422, "properties"),
        ({"response_schema": {"type": "array", "items": {}}}, 422, "object"),
        ({"response_schema": {"type": ["object", "null"], "properties": {"a": {}}}}, 422, "object"),
        ({"response_schema": {"name": "x", "schema": RIVER}}, 422, "properties"),
        ({"response_schema": {"properties": {"a": {"$ref": "#"}}, "required": 7}}, 200, ""),
        ({"response_schema": "river"}, 422, "response_schema"),
        ({"response_schema": {"properties": []}}, 422, "properties"),
        ({"response_schema": {"anyOf": 7}}, 422, "properties"),
        ({"prompt": ""}, 422, "at least 1 character"),
        ({"prompt": None}, 422, "string"),
        ({"prompt": ["x"]}, 422, "string"),
        ({"prompt": "nul \0 and half \ud83d"}, 200, "nul"),
        ({"system_prompt": 7}, 422, "string"),
        ({"system_prompt": "", "override_model": ""}, 200, "You said"),
        ({"system_prompt": None, "override_model": None, "response_schema": None}, 200, "You said"),
        ({"temperature": 3, "messages": []}, 200, "You said"),
    ],
)
def test_odd_requests_are_answered_in_words(
    http: httpx.Client, agent: AgentState, more: dict[str, Any], status: int, words: str
) -> None:
    prompt = do(call("give_answer", a=1)) if "response_schema" in more else "hello"
    if more.get("response_schema", "") is None:
        prompt = "hello"
    body = json.dumps({"prompt": prompt} | more)
    headers = {"content-type": "application/json"}
    answer = http.post(f"/agents/{agent.id}/generate", content=body, headers=headers)
    assert answer.status_code == status, answer.text
    assert words in answer.text


def test_an_agent_that_is_not_there_is_not_found(http: httpx.Client) -> None:
    answer = http.post(f"/agents/{new_id('agent')}/generate", json={"prompt": "x"})
    assert answer.status_code == 404


def test_a_prompt_that_is_too_long_is_said_to_be(http: httpx.Client, agent: AgentState) -> None:
    more = {"system_prompt": "[window 100]"}
    answer = generate(http, agent, "word " * 500, **more)
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "context_window_exceeded")


def test_an_organization_asks_its_own_agents_and_providers_only(
    http: httpx.Client, server: Product, provider: FakeProvider, agent: AgentState
) -> None:
    key = new_organization(server, "generating")
    headers = {"authorization": f"Bearer {key}"}
    theirs = httpx.Client(base_url=f"{server.url}/v1", headers=headers, timeout=60)
    body = {"name": "theirs", "provider_type": "openai", "api_key": "k", "base_url": provider.url}
    theirs.post("/providers/", json=body).raise_for_status()
    made = theirs.post("/agents/", json={"model": f"theirs/{OTHER_MODEL}"}).json()
    found = theirs.post(f"/agents/{made['id']}/generate", json={"prompt": "ours"}).json()
    assert (found["content"], found["model"]) == ("You said: ours", f"theirs/{OTHER_MODEL}")
    assert theirs.post(f"/agents/{agent.id}/generate", json={"prompt": "x"}).status_code == 404
    assert http.post(f"/agents/{made['id']}/generate", json={"prompt": "x"}).status_code == 404
    refused = generate(http, agent, "x", override_model=f"theirs/{OTHER_MODEL}")
    assert refused.status_code == 404


def test_a_call_whose_client_hangs_up_is_stopped(
    server: Product, provider: FakeProvider, agent: AgentState
) -> None:
    gate = provider.hold(lambda prompt: prompt[-1]["content"] == "for nobody")
    before = provider.hung_up
    address = f"{server.url}/v1/agents/{agent.id}/generate"
    with ThreadPoolExecutor(1) as pool, httpx.Client(timeout=httpx.Timeout(60, read=3)) as leaving:
        asking = pool.submit(leaving.post, address, json={"prompt": "for nobody"})
        assert gate.reached.wait(30)
        with pytest.raises(httpx.ReadTimeout):
            asking.result()
    eventually(lambda: provider.hung_up > before, what="the end of the call")
