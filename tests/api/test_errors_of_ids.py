"""Every operation with an id in its path, as the API itself lists them, guards that id."""

import re
from typing import Any

import httpx
import pytest
from letta_client import Letta

from o.ids import new_id
from tests.support.document import DOCUMENT
from tests.support.product import Product
from tests.support.provider import HANDLE
from tests.support.tools import make_tool

_METHODS = ("get", "post", "put", "patch", "delete")
# What a path's first id is called after, where it is not the prefix of the id.
_PREFIXES = {
    "batch": "job",
    "conversation": "conv",
    "folder": "source",
    "sandbox_config": "sandbox",
    "env_var": "sandbox-env",
}
_NO_IDS = {"/v1/models/{model_id}"}
"""What OpenAI's clients call an id is a name, an agent's or its conversation's."""

_OPENAI = "/chat/completions"
"""The one operation whose clients are OpenAI's, and so are its errors."""

# These answer before they look for what is named: V1 keeps them only to refuse.
_ALWAYS_405 = {
    ("patch", "/v1/agents/{agent_id}/messages/{message_id}"),
    ("patch", "/v1/groups/{group_id}/messages/{message_id}"),
}

OPERATIONS = [
    (method, path)
    for path, item in DOCUMENT["paths"].items()
    for method in _METHODS
    if method in item and re.search(r"\{\w+_id\}", path) and path not in _NO_IDS
]


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema that a reference names."""
    while "$ref" in schema:
        schema = DOCUMENT["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    return schema


def example(schema: dict[str, Any]) -> Any:
    """The smallest value that a body's schema lets in."""
    schema = resolved(schema)
    for chosen in ("anyOf", "oneOf"):
        if chosen in schema:
            return example(schema[chosen][0])
    if "const" in schema or "enum" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    if schema.get("type") == "object":
        properties = schema.get("properties", {})
        return {name: example(properties[name]) for name in schema.get("required", ())}
    plain = {"array": [], "integer": 1, "number": 1.0, "boolean": True}
    return plain.get(schema.get("type", ""), "text")


def body_of(method: str, path: str) -> dict[str, Any]:
    """The smallest body that the operation takes, with something to say."""
    content = DOCUMENT["paths"][path][method].get("requestBody", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema")
    if schema is None:
        return {}
    body = example(schema)
    fields = resolved(schema).get("properties", {})
    if {"input", "messages"} <= fields.keys():  # one of the two, which the schema cannot say
        body |= {"input": "hello"}
    if path.endswith(_OPENAI):
        body |= {"messages": [{"role": "user", "content": "hello"}]}
    return {"json": body}


def problem(answer: httpx.Response) -> str:
    """What an error says."""
    body = answer.json()
    said = body["error"]["message"] if answer.url.path.endswith(_OPENAI) else body["detail"]
    assert isinstance(said, str)
    return said


def address(path: str, **first: str) -> str:
    """The path with ids that name nothing, but for those given; what is no id is a 1."""

    def fill(found: re.Match[str]) -> str:
        name = found[1]
        kind = name.removesuffix("_id")
        unknown = new_id(_PREFIXES.get(kind, kind)) if name != kind else "1"
        return first.get(name, unknown)

    return re.sub(r"\{(\w+)\}", fill, path)


def ask(server: Product, method: str, path: str, **first: str) -> httpx.Response:
    url = server.url + address(path, **first)
    needed = {
        one["name"]: example(one["schema"])
        for one in DOCUMENT["paths"][path][method].get("parameters", ())
        if one["in"] == "query" and one["required"]
    }
    return httpx.request(method, url, timeout=30, params=needed, **body_of(method, path))


@pytest.fixture(scope="module")
def of_others(server: Product, client: Letta) -> dict[str, str]:
    """Ids of things that belong to another organization, by the name of the path's parameter."""
    agent = client.agents.create(model=HANDLE, memory_blocks=[{"label": "nothing", "value": "x"}])
    client.agents.messages.create(agent.id, input="hello")
    ((run_id, conversation_id),) = server.query(
        "SELECT id, conversation_id FROM runs WHERE agent_id = %s", agent.id
    )
    ((step_id,),) = server.query("SELECT id FROM steps WHERE agent_id = %s", agent.id)
    ((block_id,),) = server.query("SELECT block_id FROM agent_blocks WHERE agent_id = %s", agent.id)
    ((message_id,), *_) = server.query("SELECT id FROM messages WHERE agent_id = %s", agent.id)
    body = {"name": "theirs", "provider_type": "vllm", "base_url": "http://127.0.0.1:9/v1"}
    made = httpx.post(f"{server.url}/v1/providers/", json=body, timeout=30)
    provider_id = str(made.json()["id"])
    other = new_id("org")
    server.query("INSERT INTO organizations (id, name) VALUES (%s, 'others')", other)
    for table in ("conversations", "runs", "steps", "messages"):
        server.query(
            f"UPDATE {table} SET organization_id = %s WHERE agent_id = %s", other, agent.id
        )
    server.query("UPDATE agents SET organization_id = %s WHERE id = %s", other, agent.id)
    batch_id = new_id("job")
    batch = "INSERT INTO batches (id, organization_id, run_ids, body_hash) VALUES (%s, %s, %s, '')"
    server.query(batch, batch_id, other, [run_id])
    moved = "UPDATE providers SET organization_id = %s WHERE id = %s"
    server.query(moved, other, provider_id)
    server.query("UPDATE blocks SET organization_id = %s WHERE id = %s", other, block_id)
    tool_id = make_tool(client).id
    server.query("UPDATE tools SET organization_id = %s WHERE id = %s", other, tool_id)
    reached: Any = {"mcp_server_type": "sse", "server_url": "http://127.0.0.1:9/sse"}
    mcp_server_id = str(client.mcp_servers.create(server_name="theirs", config=reached).id)
    theirs = "UPDATE mcp_servers SET organization_id = %s WHERE id = %s"
    server.query(theirs, other, mcp_server_id)
    config: Any = client.post("/v1/sandbox-config/local/default", cast_to=object)
    variables = f"/v1/sandbox-config/{config['id']}/environment-variable"
    variable: Any = client.post(variables, cast_to=object, body={"key": "A", "value": "b"})
    for table, id_ in (("sandbox_configs", config["id"]), ("tool_variables", variable["id"])):
        server.query(f"UPDATE {table} SET organization_id = %s WHERE id = %s", other, id_)
    archive_id = client.archives.create(name="theirs").id
    passage_id = str(client.archives.passages.create(archive_id, text="theirs").id)
    for table, id_ in (("archives", archive_id), ("passages", passage_id)):
        server.query(f"UPDATE {table} SET organization_id = %s WHERE id = %s", other, id_)
    folder_id = client.folders.create(name=new_id("theirs")).id
    notes = ("theirs.txt", b"theirs", "text/plain")
    file_id = str(client.folders.files.upload(folder_id, file=notes).id)
    for table, id_ in (("folders", folder_id), ("files", file_id)):
        server.query(f"UPDATE {table} SET organization_id = %s WHERE id = %s", other, id_)
    bodies: dict[str, Any] = {
        "identities": {"identifier_key": "theirs", "name": "theirs", "identity_type": "user"},
        "groups": {"agent_ids": [], "description": "theirs"},
    }
    put_together: list[str] = []
    for table, body in bodies.items():
        made = httpx.post(f"{server.url}/v1/{table}/", json=body, timeout=30)
        put_together.append(str(made.json()["id"]))
        query = f"UPDATE {table} SET organization_id = %s WHERE id = %s"
        server.query(query, other, put_together[-1])
    return {
        "batch_id": batch_id,
        "folder_id": folder_id,
        "file_id": file_id,
        "identity_id": put_together[0],
        "group_id": put_together[1],
        "archive_id": archive_id,
        "passage_id": passage_id,
        "memory_id": passage_id,
        "sandbox_config_id": config["id"],
        "env_var_id": variable["id"],
        "agent_id": agent.id,
        "run_id": run_id,
        "conversation_id": conversation_id,
        "step_id": step_id,
        "block_id": block_id,
        "message_id": message_id,
        "provider_id": provider_id,
        "tool_id": tool_id,
        "mcp_server_id": mcp_server_id,
    }


def test_the_walk_finds_the_operations() -> None:
    subjects = {path.split("/")[2] for _, path in OPERATIONS}
    assert {"agents", "runs", "steps"} <= subjects
    assert len(OPERATIONS) > 20


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_an_id_that_names_nothing_is_404(server: Product, method: str, path: str) -> None:
    answer = ask(server, method, path)
    assert answer.status_code == (405 if (method, path) in _ALWAYS_405 else 404), answer.text
    assert problem(answer)


# Whoever needs no key administers all organizations.
_OF_ONE = [one for one in OPERATIONS if not one[1].startswith("/v1/admin/")]


@pytest.mark.parametrize(("method", "path"), _OF_ONE)
def test_an_id_of_another_organization_is_404(
    server: Product, of_others: dict[str, str], method: str, path: str
) -> None:
    named = {name: of_others[name] for name in re.findall(r"\{(\w+_id)\}", path)}
    answer = ask(server, method, path, **named)
    assert answer.status_code == (405 if (method, path) in _ALWAYS_405 else 404), answer.text
    assert "others" not in answer.text


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
@pytest.mark.parametrize("malformed", ["x", "agent-1", "AGENT-" + "0" * 36, "'; DROP TABLE runs"])
def test_a_malformed_id_is_422_or_for_runs_400(
    server: Product, method: str, path: str, malformed: str
) -> None:
    (first, *_) = re.findall(r"\{(\w+_id)\}", path)
    answer = ask(server, method, path, **{first: malformed})
    expected = 400 if first == "run_id" else 422
    assert answer.status_code == expected
    if path.endswith(_OPENAI):
        assert "agent-" in problem(answer)
    elif expected == 422:
        assert answer.json()["examples"][0].startswith(_PREFIXES.get(first[:-3], first[:-3]) + "-")
