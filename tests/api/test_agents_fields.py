"""What an agent is made of: every field of V1's bodies, given and shown again."""

from typing import Any

import httpx
import pytest
from letta_client import BadRequestError, ConflictError, Letta, NotFoundError
from letta_client.types import AgentState

from o.ids import new_id
from tests.support.product import Product
from tests.support.provider import HANDLE, MODEL

EVERYTHING = ["agent.blocks", "agent.tools", "agent.tags"]
KEPT = {
    "name": "kept",
    "description": "Who it is",
    "system": "You are kept.",
    "metadata": {"team": "red", "nothing": None},
    "tags": ["a", "b"],
    "timezone": "Europe/Berlin",
    "project_id": "project-1",
    "template_id": "template-1",
    "base_template_id": "base-1",
    "message_buffer_autoclear": True,
    "enable_sleeptime": True,
    "max_files_open": 7,
    "per_file_view_window_char_limit": 9_000,
    "compaction_settings": {"model": "letta/auto", "clip_chars": 100},
    "response_format": {"type": "json_object"},
    "embedding": "openai/text-embedding-3-small",
    "embedding_config": {
        "embedding_endpoint_type": "openai",
        "embedding_model": "text-embedding-3-small",
        "embedding_dim": 99,
        "embedding_endpoint": "http://models.example",
        "embedding_chunk_size": 400,
        "handle": "openai/text-embedding-3-small",
        "batch_size": 8,
        "azure_endpoint": None,
        "azure_version": None,
        "azure_deployment": None,
    },
    "tool_rules": [
        {"type": "run_first", "tool_name": "memory_insert", "prompt_template": None, "args": None},
        {
            "type": "max_count_per_step",
            "tool_name": "memory_insert",
            "prompt_template": None,
            "max_count_limit": 2,
        },
    ],
}


@pytest.fixture
def http(server: Product) -> httpx.Client:
    return httpx.Client(base_url=server.url, timeout=30)


def shown(http: httpx.Client, agent_id: str) -> dict[str, Any]:
    """The agent as clients before release 1 see it: with everything."""
    answer = http.get(f"/v1/agents/{agent_id}", headers={"User-Agent": "letta-client/0.1.300"})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def test_what_is_given_at_creation_is_kept_and_shown(http: httpx.Client) -> None:
    created = http.post("/v1/agents/", json={"model": HANDLE, **KEPT})
    assert created.status_code == 200, created.text
    body = shown(http, created.json()["id"])
    assert {name: body[name] for name in KEPT} == KEPT
    assert created.json() == body


def test_what_is_given_in_a_change_is_kept_and_the_rest_stays(http: httpx.Client) -> None:
    made = http.post("/v1/agents/", json={"model": HANDLE, "description": "old"}).json()
    changed = http.patch(f"/v1/agents/{made['id']}", json=KEPT)
    assert changed.status_code == 200, changed.text
    assert {name: changed.json()[name] for name in KEPT} == KEPT
    assert changed.json() == shown(http, made["id"])
    again = http.patch(f"/v1/agents/{made['id']}", json={"name": "other", "system": None}).json()
    assert again["name"] == "other"
    assert {name: again[name] for name in KEPT if name != "name"} == {
        name: value for name, value in KEPT.items() if name != "name"
    }
    assert again["updated_at"] > made["updated_at"]


def test_a_client_changes_an_agent(client: Letta, agent: AgentState) -> None:
    block = client.blocks.create(label="extra", value="x")
    changed = client.agents.update(
        agent.id,
        name="grace",
        tags=["t"],
        block_ids=[block.id],
        tool_ids=[agent.tools[0].id],
        context_window_limit=9_000,
        last_stop_reason="end_turn",
    )
    assert (changed.name, changed.tags, changed.last_stop_reason) == ("grace", ["t"], "end_turn")
    assert [b.id for b in changed.blocks] == [block.id]
    assert [tool.name for tool in changed.tools] == [agent.tools[0].name]
    assert changed.llm_config.context_window == 9_000
    assert [m.message_type for m in client.agents.messages.create(agent.id, input="hi").messages]


def test_defaults_are_those_of_v1(http: httpx.Client) -> None:
    made = http.post("/v1/agents/", json={"model": HANDLE}).json()
    assert made["agent_type"] == "letta_v1_agent"
    assert made["timezone"] == "UTC"
    assert made["name"]
    assert made["llm_config"]["context_window"] == 128_000
    assert made["llm_config"]["model"] == MODEL
    assert made["embedding"] is None
    assert made["tool_rules"] == []
    assert made["message_buffer_autoclear"] is False
    assert made["enable_sleeptime"] is False
    assert (made["identities"], made["sources"], made["pending_approval"]) == ([], [], None)


def test_settings_of_the_model_are_shown_in_both_spellings(http: httpx.Client) -> None:
    older = {"max_tokens": 100, "parallel_tool_calls": True, "enable_reasoner": False}
    made = http.post("/v1/agents/", json={"model": HANDLE, "max_reasoning_tokens": 5, **older})
    body = made.json()
    given = {"provider_type": "openai", "parallel_tool_calls": True, "max_output_tokens": 100}
    assert given.items() <= body["model_settings"].items()
    assert {name: body["llm_config"][name] for name in older} == older
    assert body["llm_config"]["max_reasoning_tokens"] == 5
    newer = {"provider_type": "openai", "temperature": 0.5, "parallel_tool_calls": False}
    changed = http.patch(f"/v1/agents/{body['id']}", json={"model_settings": newer}).json()
    assert newer.items() <= changed["model_settings"].items()
    assert changed["model_settings"]["max_output_tokens"] == 4_096
    assert changed["llm_config"]["temperature"] == 0.5
    assert changed["llm_config"]["max_tokens"] is None
    assert changed["llm_config"]["enable_reasoner"] is False


@pytest.mark.parametrize(
    "config",
    [{"handle": HANDLE}, {"model_endpoint_type": "openai"}, {"provider_name": "openai"}],
)
def test_an_older_clients_llm_config_names_the_model(
    http: httpx.Client, config: dict[str, Any]
) -> None:
    config = {"model": MODEL, "context_window": 7_000, "temperature": 0.25} | config
    made = http.post("/v1/agents/", json={"llm_config": config})
    assert made.status_code == 200, made.text
    assert made.json()["model"] == HANDLE
    assert made.json()["llm_config"]["context_window"] == 7_000
    assert made.json()["model_settings"]["temperature"] == 0.25


@pytest.mark.parametrize("handle", ["letta/auto", "letta/letta-free"])
def test_handles_of_v1s_hosted_models_mean_the_first_model_there_is(
    client: Letta, handle: str
) -> None:
    agent = client.agents.create(model=handle)
    assert agent.model == HANDLE
    assert client.agents.update(agent.id, model=handle).model == HANDLE


def test_another_model_brings_its_own_context_window(client: Letta) -> None:
    agent = client.agents.create(model=HANDLE, context_window_limit=5_000)
    assert agent.llm_config.context_window == 5_000
    assert client.agents.update(agent.id, name="x").llm_config.context_window == 5_000
    assert client.agents.update(agent.id, model=HANDLE).llm_config.context_window == 128_000
    with pytest.raises(NotFoundError):
        client.agents.update(agent.id, model="openai/unheard-of")


@pytest.mark.parametrize(
    ("agent_type", "with_memory_insert", "rules"),
    [
        ("letta_v1_agent", True, False),
        ("memgpt_v2_agent", True, True),
        ("sleeptime_agent", True, True),
        ("memgpt_agent", False, True),
        ("react_agent", False, False),
        ("workflow_agent", False, False),
    ],
)
def test_each_type_has_its_base_tools_and_rules(
    http: httpx.Client, agent_type: str, with_memory_insert: bool, rules: bool
) -> None:
    made = http.post("/v1/agents/", json={"model": HANDLE, "agent_type": agent_type}).json()
    assert made["agent_type"] == agent_type
    assert ("memory_insert" in {tool["name"] for tool in made["tools"]}) is with_memory_insert
    kinds = {rule["tool_name"]: rule["type"] for rule in made["tool_rules"]}
    assert bool(kinds) is rules
    assert kinds.get("send_message", "exit_loop") == "exit_loop"
    assert kinds.get("memory_insert", "continue_loop") == "continue_loop"
    assert made["message_buffer_autoclear"] is (agent_type == "workflow_agent")


def test_base_tools_and_their_rules_can_be_declined_and_asked_for(http: httpx.Client) -> None:
    body = {"model": HANDLE, "agent_type": "memgpt_v2_agent", "include_base_tool_rules": False}
    assert http.post("/v1/agents/", json=body).json()["tool_rules"] == []
    body = {"model": HANDLE, "include_base_tools": False, "tools": ["memory_insert"]}
    made = http.post("/v1/agents/", json=body | {"include_base_tool_rules": True}).json()
    assert [tool["name"] for tool in made["tools"]] == ["memory_insert"]
    assert [rule["type"] for rule in made["tool_rules"]] == ["continue_loop"]


def test_an_agent_is_made_with_new_blocks_and_with_old_ones(client: Letta) -> None:
    block = client.blocks.create(label="shared", value="old")
    agent = client.agents.create(
        model=HANDLE, memory_blocks=[{"label": "own", "value": "new"}], block_ids=[block.id]
    )
    assert [(b.label, b.value) for b in agent.blocks] == [("own", "new"), ("shared", "old")]
    system = client.agents.messages.list(agent.id, limit=1, order="asc").items[0]
    assert "<shared>" in system.content
    with pytest.raises(ConflictError):
        client.agents.create(
            model=HANDLE, memory_blocks=[{"label": "shared", "value": "x"}], block_ids=[block.id]
        )
    with pytest.raises(NotFoundError):
        client.agents.create(model=HANDLE, block_ids=[new_id("block")])


def test_an_agent_begins_with_the_messages_it_is_given(client: Letta) -> None:
    given: list[Any] = [
        {"role": "user", "content": "I am Ada"},
        {"role": "assistant", "content": "Hello Ada"},
    ]
    agent = client.agents.create(model=HANDLE, initial_message_sequence=given)
    client.agents.messages.create(agent.id, input="hi")
    said = client.agents.messages.list(agent.id, order="asc").items
    assert [m.content for m in said[1:]] == ["I am Ada", "Hello Ada", "hi", "You said: hi"]
    assert len(agent.message_ids or []) == 3
    none = client.agents.create(model=HANDLE, initial_message_sequence=[])
    assert len(none.message_ids or []) == 1


@pytest.mark.parametrize(
    ("field", "status"),
    [
        ({"timezone": "Mars/Olympus"}, 422),
        ({"timezone": "../etc/passwd"}, 422),
        ({"tool_rules": [{"type": "unheard_of", "tool_name": "x"}]}, 422),
        ({"tool_rules": [{"type": "conditional", "tool_name": "x"}]}, 422),
        ({"agent_type": "unheard_of"}, 422),
        ({"agent_type": "split_thread_agent"}, 400),
        ({"tools": ["unheard_of"]}, 400),
        ({"tool_ids": [new_id("tool")]}, 404),
        ({"name": ""}, 422),
        ({"context_window_limit": 0}, 422),
        (
            {"llm_config": {"model": "unheard-of", "handle": "openai/unheard-of"}, "model": None},
            404,
        ),
        ({"model": "letta"}, 400),
    ],
)
def test_what_cannot_be_is_refused_and_makes_no_agent(
    http: httpx.Client, server: Product, field: dict[str, Any], status: int
) -> None:
    tag = new_id("agent")
    answer = http.post("/v1/agents/", json={"model": HANDLE, "tags": [tag], **field})
    assert answer.status_code == status, answer.text
    assert isinstance(answer.json()["detail"], str)
    assert http.get("/v1/agents/count", params={"tags": tag}).json() == 0


def test_a_change_that_cannot_be_changes_nothing(client: Letta, agent: AgentState) -> None:
    with pytest.raises(NotFoundError):
        client.agents.update(agent.id, name="no", tool_ids=[new_id("tool")])
    with pytest.raises(NotFoundError):
        client.agents.update(agent.id, name="no", block_ids=[new_id("block")])
    with pytest.raises(BadRequestError):
        client.agents.update(agent.id, name="no", model="letta")
    with pytest.raises(NotFoundError):
        client.agents.update(new_id("agent"), name="no")
    assert client.agents.retrieve(agent.id).name == "ada"


def test_a_project_of_the_header_is_kept(http: httpx.Client) -> None:
    made = http.post("/v1/agents/", json={"model": HANDLE}, headers={"X-Project-Id": "p-1"})
    assert made.json()["project_id"] == "p-1"


def test_the_openapi_document_says_what_is_asked_and_answered(http: httpx.Client) -> None:
    document = http.get("/openapi.json").json()
    retrieve = document["paths"]["/v1/agents/{agent_id}"]["get"]
    assert {"include", "include_relationships"} <= {p["name"] for p in retrieve["parameters"]}
    schema = retrieve["responses"]["200"]["content"]["application/json"]["schema"]
    assert schema["$ref"].endswith("/AgentBody")
    body = document["components"]["schemas"]["AgentBody"]["properties"]
    assert {"id", "memory", "tool_rules", "compaction_settings"} <= body.keys()
    blocks = document["paths"]["/v1/blocks/{block_id}"]["patch"]
    assert "if-match" in {p["name"] for p in blocks["parameters"]}
