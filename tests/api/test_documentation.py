"""What `/docs` and `/openapi.json` say of the API, and that it is so."""

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from letta_client import Letta
from letta_client.types import AgentState
from pydantic import BaseModel, SecretStr, TypeAdapter

from api.app import create_app
from api.wire.admin import CreateOrganizationBody
from api.wire.groups import CreateGroupBody
from api.wire.identities import CreateIdentityBody
from api.wire.shown import AnswerBody, ErrorBody, FailedBody, InvalidBody, ShownMessage
from o.ids import new_id
from o.settings.all import Settings
from o.settings.providers import ProviderSettings
from tests.support.approvals import ask, guarded_agent
from tests.support.document import DOCUMENT
from tests.support.product import Product
from tests.support.provider import EMBEDDING_HANDLE, HANDLE, call, do, say
from tests.support.tools import make_tool

MESSAGES = TypeAdapter(list[ShownMessage])


_MODELS = {"/v1/chat/completions": None, "/v1/embeddings": EMBEDDING_HANDLE}
"""What a body names that is here, by address; None for the agent."""


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in DOCUMENT["paths"].items():
        for method, operation in item.items():
            yield f"{method.upper()} {path}", operation


@pytest.fixture(scope="module")
def http(server: Product) -> httpx.Client:
    return httpx.Client(base_url=server.url, timeout=60)


def test_every_operation_has_a_summary_of_its_own_that_a_person_reads() -> None:
    summaries = [operation["summary"] for _, operation in operations()]
    assert len(summaries) > 90
    assert len(set(summaries)) == len(summaries)
    for summary in summaries:
        assert len(summary.split()) >= 2, summary
        assert summary[0].isupper(), summary
        assert not summary.istitle() or len(summary.split()) == 2, summary


def test_every_operation_says_more_in_its_description_and_stands_under_a_tag() -> None:
    for name, operation in operations():
        assert operation["description"].endswith("."), name
        assert operation["tags"], name


def test_ids_of_operations_are_unique_and_words() -> None:
    ids = [operation["operationId"] for _, operation in operations()]
    assert len(set(ids)) == len(ids)
    assert all("__" not in one and "_v1_" not in one.removeprefix("mcp") for one in ids)


def test_every_answer_has_a_model_or_a_stream() -> None:
    # Nothing to say: they answer null.
    kinds = ("conversation", "block", "tool", "group", "folder")
    null = {f"DELETE /v1/{kind}s/{{{kind}_id}}" for kind in kinds}
    null |= {"DELETE /v1/sources/{folder_id}"}
    null |= {"DELETE /v1/identities/{identity_id}", "PATCH /v1/groups/{group_id}/reset-messages"}
    for whose in ("agents/{agent_id}", "blocks/{block_id}"):
        links = f"PATCH /v1/{whose}/identities"
        null |= {f"{links}/{what}/{{identity_id}}" for what in ("attach", "detach")}
    shared = "PATCH /v1/groups/{group_id}/blocks"
    null |= {f"{shared}/{what}/{{block_id}}" for what in ("attach", "detach")}
    archives = "PATCH /v1/agents/{agent_id}/archives"
    null |= {f"{archives}/{what}/{{archive_id}}" for what in ("attach", "detach")}
    for name, operation in operations():
        if "204" in operation["responses"]:  # V1 says nothing there
            continue
        answer = operation["responses"].get("200")
        if answer is None:
            assert {"204", "405", "501"} & operation["responses"].keys(), name
            continue
        for kind, content in answer["content"].items():
            assert content["schema"] or name in null, (name, kind)


def test_streams_are_documented_as_events() -> None:
    streams = [
        name
        for name, operation in operations()
        if "text/event-stream" in operation["responses"].get("200", {}).get("content", {})
    ]
    assert streams == [
        "POST /v1/agents/{agent_id}/messages",
        "POST /v1/agents/{agent_id}/messages/stream",
        "POST /v1/runs/{run_id}/stream",
        "POST /v1/conversations/{conversation_id}/stream",
        "POST /v1/conversations/{conversation_id}/messages",
        "POST /v1/chat/completions",
        "POST /v1/voice-beta/{agent_id}/chat/completions",
        "GET /v1/mcp-servers/connect/{mcp_server_id}",
    ]
    only = DOCUMENT["paths"]["/v1/runs/{run_id}/stream"]["post"]["responses"]
    assert list(only["200"]["content"]) == ["text/event-stream"]
    assert list(only["404"]["content"]) == ["application/json"]


def test_errors_are_documented_as_the_one_text_that_they_are(
    http: httpx.Client, agent: AgentState
) -> None:
    for name, operation in operations():
        assert {"400", "404", "409", "422", "503"} <= operation["responses"].keys(), name
    ErrorBody.model_validate(http.get(f"/v1/agents/{new_id('agent')}").json())
    InvalidBody.model_validate(http.get("/v1/agents/x").json())
    InvalidBody.model_validate(http.post("/v1/agents/", json=[]).json())
    ErrorBody.model_validate(http.get("/v1/runs/x").json())
    body = {"input": do({"fail": 401})}
    FailedBody.model_validate(http.post(f"/v1/agents/{agent.id}/messages", json=body).json())


def test_messages_and_answers_are_what_the_document_says(client: Letta, http: httpx.Client) -> None:
    agent = client.agents.create(model=HANDLE, memory_blocks=[{"label": "human", "value": "x"}])
    edit = call("memory_insert", label="human", new_string="y") | {"reasoning": "hm"}
    told = http.post(f"/v1/agents/{agent.id}/messages", json={"input": do(edit, say("done"))})
    assert len(AnswerBody.model_validate(told.json()).messages) == 4
    guarded = guarded_agent(client)
    ask(client, guarded)
    for one in (agent, guarded):
        shown = http.get(f"/v1/agents/{one.id}/messages").json()
        assert MESSAGES.dump_python(MESSAGES.validate_python(shown)) == shown, "no field is untold"
    pending = http.post(f"/v1/agents/{guarded.id}/messages", json={"input": "hello"})
    assert pending.status_code == 409
    ErrorBody.model_validate(pending.json())


_DONE = (
    "there is nothing to compact|No active runs|[Cc]onnection (was )?refused|from the environment|"
    "(MCP server|Tool) with (id|name) .* not found|by the identifier_key .* already|"
    "choose another name"
)


def _bodies() -> Iterator[tuple[str, dict[str, Any]]]:
    """The example of every body, by operation, as `/docs` puts it into its form."""
    schemas = DOCUMENT["components"]["schemas"]
    for name, operation in operations():
        if "requestBody" not in operation or "501" in operation["responses"]:
            continue
        if "multipart/form-data" in operation["requestBody"]["content"]:  # a file has no example
            continue
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        kinds = schema.get("anyOf") or schema.get("oneOf") or [schema]
        named = kinds[0]["$ref"].rpartition("/")[2]
        yield name, schemas[named]["examples"][0]


def _variable(http: httpx.Client) -> dict[str, str]:
    """A variable of a sandbox configuration, by what paths call its id and that of the other."""
    config_id = http.post("/v1/sandbox-config/local/default").json()["id"]
    path = f"/v1/sandbox-config/{config_id}/environment-variable"
    made = http.post(path, json={"key": new_id("call"), "value": "x"}).json()
    return {"sandbox_config_id": config_id, "env_var_id": made["id"]}


def _made(http: httpx.Client, kind: str, body: type[BaseModel], **fields: str) -> str:
    """The id of one of a kind, made by the example of its body."""
    example = body.model_json_schema()["examples"][0] | fields
    return str(http.post(f"/v1/{kind}/", json=example).json()["id"])


@pytest.mark.parametrize(("operation", "example"), list(_bodies()))
def test_the_example_of_an_operation_works_as_it_stands(
    client: Letta, http: httpx.Client, agent: AgentState, operation: str, example: dict[str, Any]
) -> None:
    conversation = client.conversations.create(agent_id=agent.id)
    with http.stream(
        "POST",
        f"/v1/conversations/{conversation.id}/messages",
        json={"input": "hello", "background": True},
    ) as told:
        told.read()
    (run,) = client.runs.list(agent_id=agent.id).items
    (step,) = client.runs.steps.list(run.id).items
    method, _, path = operation.partition(" ")
    path = path.format(
        **(_variable(http) if "sandbox-config" in path else {}),
        agent_id=agent.id,
        conversation_id=conversation.id,
        run_id=run.id,
        step_id=step.id,
        block_id=agent.blocks[0].id,
        block_label="human",
        tool_name="memory_insert",
        tool_id=make_tool(client).id,
        provider_id=client.get("/v1/providers/", cast_to=httpx.Response).json()[-1]["id"],
        mcp_server_id=new_id("mcp_server"),
        mcp_server_name="nobody",
        mcp_tool_name="add",
        archive_id=client.archives.create(name="here").id,
        folder_id=client.folders.create(name=new_id("here")).id,
        identity_id=_made(http, "identities", CreateIdentityBody, identifier_key=new_id("key")),
        group_id=_made(http, "groups", CreateGroupBody),
    )
    query = {"agent_id": agent.id} if operation == "POST /v1/conversations/" else {}
    if operation == "PATCH /v1/admin/orgs/":
        query = {"org_id": _made(http, "admin/orgs", CreateOrganizationBody)}
    if path in _MODELS:
        example = example | {"model": _MODELS[path] or agent.id}
    if path == "/v1/messages/batches":
        example = {"requests": [one | {"agent_id": agent.id} for one in example["requests"]]}
    answer = http.request(method, path, json=example, params=query)
    if answer.status_code != 200:  # all is said and done here
        assert re.search(_DONE, answer.text), answer.text


async def test_a_server_with_a_token_tells_the_docs_to_ask_for_it_and_answers_meanwhile() -> None:
    app = create_app(Settings(api_token=SecretStr("x")), ProviderSettings())
    answered = 0
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url="http://o"
    ) as http:
        asked = [asyncio.create_task(http.get("/openapi.json")) for _ in range(2)]
        while (await asyncio.wait(asked, timeout=0.02))[1]:
            assert (await http.get("/v1/health")).status_code == 200
            answered += 1
    assert answered > 5, "making the document takes long, and keeps nobody waiting"
    locked, again = (one.result().json() for one in asked)
    assert locked == again
    assert locked["components"]["securitySchemes"] == {
        "token": {"type": "http", "scheme": "bearer"}
    }
    assert locked["security"] == [{"token": []}]
    assert "security" not in DOCUMENT


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/agents/", "GET, HEAD, POST"),
        ("/v1/agents", "GET, HEAD, POST"),
        ("/latest/agents/agent-1", "DELETE, GET, HEAD, PATCH"),
        ("/v1/agents/count", "GET, HEAD"),
        ("/v1/tools/count/", "GET, HEAD"),
        ("/v1/health", "GET, HEAD"),
    ],
)
def test_a_method_that_an_address_does_not_take_is_told_all_that_it_takes(
    http: httpx.Client, path: str, allowed: str
) -> None:
    answer = http.request("TRACE", path)
    assert (answer.status_code, answer.json()) == (405, {"detail": "Method Not Allowed"})
    assert sorted(answer.headers["allow"].split(", ")) == sorted(allowed.split(", "))
