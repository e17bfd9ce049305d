"""Two organizations with the same names and contents: each finds nothing of the other.

Every id of the one is tried by an admin's key of the other, in every parameter of every route, with
its own ids in the others. What comes back has to be what comes back for an id that was never there.
"""

import asyncio
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
import pytest
from temporalio.client import Client, WorkflowUpdateFailedError

from o.ids import DEFAULT_USER_ID, new_id
from o.storage.organizations.purges import owned_tables
from tests.support.document import DOCUMENT
from tests.support.product import Product, eventually
from tests.support.provider import HANDLE, do, say
from tests.support.twins import Organization, asking, twin

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+(?:Z|\+00:00)?|\d{10,}")
OPEN = {"/v1/health/", "/v1/ready/"}
# What a parameter is called, where that is not the kind of its ids.
KINDS = {
    "conversation": ["conv", "agent"],
    "created_by": ["user"],
    "env_var": ["sandbox-env"],
    "manager_agent": ["agent"],
    "memory": ["passage"],
    "model": ["agent"],
    "organization": ["org"],
    "sandbox_config": ["sandbox"],
    "shared_block": ["block"],
    "source": ["folder"],
}
# What the last word of a list's address says of its cursors.
LISTS = {
    "agents": "agent",
    "archival-memory": "passage",
    "archives": "archive",
    "batches": "batch",
    "blocks": "block",
    "conversations": "conv",
    "duplicates": "passage",
    "environment-variable": "sandbox-env",
    "files": "file",
    "folders": "folder",
    "groups": "group",
    "identities": "identity",
    "keys": "key",
    "messages": "message",
    "orgs": "org",
    "passages": "passage",
    "providers": "provider",
    "runs": "run",
    "sandbox-config": "sandbox",
    "sources": "folder",
    "steps": "step",
    "tools": "tool",
    "users": "user",
}
NOWHERE = {404, 405, 501}
# Words that an operator gives to things; they are nobody's ids.
FREE = {"project", "template", "base_template", "entity", "deployment", "trace", "target"}
PREFIXES = {"batch": "job", "folder": "source", "request": "message"}
NAMES = {
    "block_label": "human",
    "folder_name": "papers",
    "tool_name": "memory_insert",
    "version": "1",
}


class Place(NamedTuple):
    """Where an id can be given: in a path, a query or a body, and of which kind it is."""

    method: str
    path: str
    where: str
    name: str
    kind: str


@pytest.fixture(scope="module")
def ours(server: Product) -> Organization:
    return twin(server)


@pytest.fixture(scope="module")
def theirs(server: Product) -> Organization:
    return twin(server)


def unknown(kind: str) -> str:
    return new_id(PREFIXES.get(kind, kind))


def kinds_of(name: str, path: str) -> list[str]:
    """The kinds of the ids that a parameter takes; none where it takes no ids."""
    if name in ("before", "after", "cursor"):
        last = path.rstrip("/").rpartition("/")[2]
        return [LISTS[last]] if last in LISTS else []
    if re.search("_ids?$", name) is None:
        return []
    kind = re.sub("_ids?$", "", name)
    return [] if kind in FREE else KINDS.get(kind, [kind])


def places() -> Iterator[Place]:
    """Every place of every operation."""
    for path, item in DOCUMENT["paths"].items():
        for method, operation in item.items():
            if path in OPEN:
                continue
            for one in operation.get("parameters", []):
                schemas = one["schema"].get("anyOf", [one["schema"]])
                for kind in kinds_of(one["name"], path):
                    if re.search(schemas[0].get("pattern", ""), unknown(kind)):
                        yield Place(method, path, one["in"], one["name"], kind)
            for name in sorted(fields_of(operation)):
                for kind in kinds_of(name.rpartition(".")[2], path)[:1]:
                    yield Place(method, path, "body", name, kind)


def fields_of(operation: dict[str, Any]) -> set[str]:
    """The fields of an operation's body, those inside of objects behind a dot."""
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    found: set[str] = set()
    _walk(content.get("schema", {}), "", found, frozenset())
    return found


def _walk(schema: dict[str, Any], at: str, found: set[str], seen: frozenset[str]) -> None:
    name = schema.get("$ref", "").rpartition("/")[2]
    if name and name not in seen:
        _walk(DOCUMENT["components"]["schemas"][name], at, found, seen | {name})
    for one in [*schema.get("anyOf", []), *schema.get("oneOf", [])]:
        _walk(one, at, found, seen)
    for field, one in schema.get("properties", {}).items():
        found.add(f"{at}{field}")
        _walk(one, f"{at}{field}.", found, seen)


def example(method: str, path: str) -> Any:
    """The documented body of an operation."""
    operation = DOCUMENT["paths"][path][method]
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if content is None:
        return None
    schema = content["schema"]
    named = schema.get("anyOf", [schema])[0].get("$ref", "").rpartition("/")[2]
    return DOCUMENT["components"]["schemas"].get(named, {}).get("examples", [{}])[0]


def needed(method: str, path: str) -> dict[str, str]:
    """What an operation wants in its query."""
    parameters = DOCUMENT["paths"][path][method].get("parameters", [])
    return {one["name"]: "1" for one in parameters if one["in"] == "query" and one.get("required")}


def request(asker: Organization, place: Place, given: str) -> httpx.Response:
    """Ask with `given` in one place, and with the asker's own ids in all others."""
    ids = asker.ids

    def one(found: re.Match[str]) -> str:
        name = found[1]
        if place.where == "path" and name == place.name:
            return given
        if name == "conversation_id" and place.where != "path" and place.name == "agent_id":
            return "default"
        kinds = kinds_of(name, place.path)
        return ids[kinds[0]] if kinds else NAMES.get(name, "1")

    path = re.sub(r"{(\w+)}", one, place.path).removeprefix("/v1")
    body, query = example(place.method, place.path), needed(place.method, place.path)
    if place.where == "body":
        *outer, field = place.name.split(".")
        value = [given] if field.endswith("_ids") else given
        inner: dict[str, Any] = {field: value}
        for name in reversed(outer):
            inner = {name: {"manager_type": "supervisor"} | inner}
        body = (body if isinstance(body, dict) else {}) | inner
    elif place.where == "query":
        query[place.name] = given
    if place.method == "get":
        body = None
    return asker.client.request(place.method, path, params=query, json=body)


def told(answer: httpx.Response, *given: str) -> tuple[int, str]:
    """What an answer says, whatever ids and times it names, and what was given."""
    said = answer.text
    for one in given:
        said = said.replace(one, "<given>")
    return answer.status_code, TIME.sub("<time>", UUID.sub("<uuid>", said))


def snapshot(one: Organization) -> list[tuple[int, str]]:
    """What an organization sees of what it has."""
    ids = one.ids
    everything = "include=agent.blocks&include=agent.tools&include=agent.secrets"
    paths = [
        f"/agents/{ids['agent']}?{everything}&include=agent.identities&include=agent.sources",
        f"/agents/{ids['agent']}/messages",
        f"/conversations/{ids['conv']}",
        f"/runs/{ids['run']}/messages",
        f"/messages/batches/{ids['batch']}",
        f"/steps/{ids['step']}",
        f"/archives/{ids['archive']}/agents",
        f"/agents/{ids['agent']}/archival-memory",
        f"/folders/{ids['folder']}/agents",
        f"/agents/{ids['agent']}/files",
        f"/mcp-servers/{ids['mcp_server']}",
        f"/sandbox-config/{ids['sandbox']}/environment-variable",
        *(f"/blocks/{ids['block']}{more}" for more in ("", "/versions", "/agents")),
        *(f"/identities/{ids['identity']}{more}" for more in ("", "/agents", "/blocks")),
        *(f"/{kind}s/{ids[kind]}" for kind in ("tool", "folder", "group", "archive", "provider")),
        "/agents/",
        "/runs/",
    ]
    answers = [one.client.get(path) for path in paths]
    assert [answer.status_code for answer in answers] == [200] * len(paths)
    return [
        (answer.status_code, re.sub('"last_synced":[^,}]*', "", answer.text)) for answer in answers
    ]


def test_no_id_of_another_organization_is_known_in_any_place(
    ours: Organization, theirs: Organization
) -> None:
    where = f"/folders/{theirs.ids['folder']}/files/{theirs.ids['file']}"
    eventually(
        lambda: theirs.client.get(where).json()["processing_status"] in ("completed", "error"),
        within_s=120,
    )
    before = snapshot(theirs)
    foreign = set(theirs.ids.values())
    wrong, tried = [], 0
    for place in places():
        given = theirs.ids[place.kind]
        nobody = unknown(place.kind)
        expected = told(request(ours, place, nobody), nobody)
        answer = request(ours, place, given)
        tried += 1
        shown = answer.text.replace(given, "")
        leaks = [id_ for id_ in foreign if id_ in shown]
        missing = place.where != "path" or answer.status_code in NOWHERE
        if told(answer, given) != expected or leaks or not missing:
            wrong.append((place, expected, answer.status_code, answer.text[:400], leaks))
    assert wrong == []
    assert tried > 300
    assert snapshot(theirs) == before


def test_lists_and_searches_show_nothing_of_another_organization(
    ours: Organization, theirs: Organization
) -> None:
    foreign = set(theirs.ids.values())
    for path, item in DOCUMENT["paths"].items():
        for method in item:
            is_search = method == "post" and path.endswith("/search")
            if "{" in path or not (method == "get" or is_search):
                continue
            for body in ({"query": "tea"}, {}) if is_search else (None,):
                answer = ours.client.request(method, path.removeprefix("/v1"), json=body)
                assert answer.status_code in (200, 400, 404, 422, 501), (path, answer.text)
                assert not [one for one in foreign if one in answer.text], path


def test_what_another_organization_deleted_is_no_place_in_a_list(
    ours: Organization, theirs: Organization
) -> None:
    made = {"/agents/": {"model": HANDLE}, "/blocks/": {"label": "gone", "value": ""}}
    for path, body in made.items():
        deleted = [one.client.post(path, json=body).json()["id"] for one in (ours, theirs)]
        for one, id_ in zip((ours, theirs), deleted, strict=True):
            assert one.client.delete(path + id_).status_code == 200
        nobody = unknown(deleted[0].split("-")[0])
        for cursor in ("before", "after"):
            own, foreign, none = (
                told(ours.client.get(path, params={cursor: id_}), id_) for id_ in (*deleted, nobody)
            )
            assert own[0] == 200
            assert foreign == none
            assert foreign[0] == 404


def test_names_that_only_another_organization_has_are_names_of_nothing(
    ours: Organization, theirs: Organization
) -> None:
    name = new_id("theirs")
    source = f'def {name.replace("-", "_")}() -> str:\n    """Say."""\n    return "x"\n'
    made = {
        "/tools/": {"source_code": source, "source_type": "python"},
        "/folders/": {"name": name},
        "/archives/": {"name": name},
        "/blocks/": {"label": name, "value": "x", "name": name},
        "/identities/": {"identifier_key": name, "name": name, "identity_type": "user"},
        "/providers/": {"name": name, "provider_type": "vllm", "api_key": "x"}
        | {"base_url": "http://127.0.0.1:9/v1"},
        "/agents/": {"model": HANDLE, "name": name, "tags": [name]},
    }
    for path, body in made.items():
        assert theirs.client.post(path, json=body).status_code == 200, path
    agent = ours.ids["agent"]

    def asked(name: str) -> list[tuple[int, str]]:
        tool = name.replace("-", "_")
        answers = [
            *(
                ours.client.get(path)
                for path in (
                    f"/folders/name/{name}",
                    f"/sources/?name={name}",
                    f"/tools/?name={tool}",
                    f"/archives/?name={name}",
                    f"/blocks/?label={name}",
                    f"/blocks/?name={name}",
                    f"/blocks/?identifier_keys={name}",
                    f"/identities/?identifier_key={name}",
                    f"/agents/?identifier_keys={name}",
                    f"/agents/?tags={name}",
                    f"/agents/?name={name}",
                    f"/tags/?name={name}",
                    f"/providers/?name={name}",
                    f"/models/?provider_name={name}",
                    f"/agents/{agent}/core-memory/blocks/{name}",
                )
            ),
            ours.client.post("/agents/", json={"model": HANDLE, "tools": [tool]}),
            ours.client.post("/agents/", json={"model": f"{name}/any"}),
            ours.client.patch(f"/agents/{agent}/tools/approval/{tool}?requires_approval=true"),
            ours.client.post(f"/agents/{agent}/tools/{tool}/run", json={"args": {}}),
        ]
        return [told(one, name, tool) for one in answers]

    # Twins have the tool's name by itself, as every organization may.
    assert asked(name) == asked(new_id("theirs"))


def test_an_agent_of_another_organization_is_no_model(
    ours: Organization, theirs: Organization
) -> None:
    def asked(agent_id: str) -> tuple[int, str]:
        body = {"model": agent_id, "messages": [{"role": "user", "content": "hello"}]}
        return told(ours.client.post("/chat/completions", json=body), agent_id)

    assert asked(theirs.ids["agent"]) == asked(unknown("agent"))
    assert asked(theirs.ids["agent"])[0] == 404


def test_an_agent_file_of_another_organization_takes_nothing_of_it_along(
    ours: Organization, theirs: Organization
) -> None:
    before = snapshot(theirs)
    exported = theirs.client.get(f"/agents/{theirs.ids['agent']}/export").content
    files = {"file": ("ada.af", exported, "application/json")}
    imported = ours.client.post("/agents/import", files=files)
    assert imported.status_code == 200
    (agent_id,) = imported.json()["agent_ids"]
    agent = ours.client.get(f"/agents/{agent_id}")
    found = [agent, *(ours.client.get(f"/agents/{agent_id}/{of}") for of in ("tools", "folders"))]
    # The ids of calls are what models read: they are part of what was said.
    foreign = set(theirs.ids.values()) - {theirs.ids["call"]}
    assert not [one for one in foreign if any(one in answer.text for answer in found)]
    assert snapshot(theirs) == before


def test_nobody_becomes_a_user_of_another_organization(
    ours: Organization, theirs: Organization
) -> None:
    path = f"/agents/{theirs.ids['agent']}"
    assert ours.client.get(path, headers={"user_id": theirs.user_id}).status_code == 404
    assert ours.client.get(path, headers={"user_id": DEFAULT_USER_ID}).status_code == 404


def test_an_approval_request_of_another_organization_cannot_be_answered(
    server: Product, ours: Organization, theirs: Organization
) -> None:
    path = f"/agents/{ours.ids['agent']}/messages"

    def answers(request_id: str, call_id: str) -> list[tuple[int, str]]:
        one = {"type": "approval", "approve": True}
        bodies = [
            {"type": "approval", "approvals": [one | {"tool_call_id": call_id}]},
            {"type": "approval", "approvals": [one | {"tool_call_id": request_id}]},
            one | {"approval_request_id": request_id},
        ]
        said = [ours.client.post(path, json={"messages": [body]}) for body in bodies]
        shown = [one.text.replace(request_id, "<id>").replace(call_id, "<id>") for one in said]
        return [(one.status_code, text) for one, text in zip(said, shown, strict=True)]

    foreign = answers(theirs.ids["request"], theirs.ids["call"])
    assert foreign == answers(unknown("request"), "call_0123456789abcdef")
    assert all(status >= 400 for status, _ in foreign)
    decided = [
        asyncio.run(decide(server, ours, call))
        for call in (theirs.ids["call"], theirs.ids["request"], unknown("request"))
    ]
    assert decided[0] == decided[1] == decided[2]
    for one in (ours, theirs):
        agent = one.client.get(f"/agents/{one.ids['agent']}").json()
        assert agent["pending_approval"]["id"] == one.ids["request"]


async def decide(server: Product, one: Organization, call_id: str) -> str:
    """What Temporal answers to a decision about a call, in an organization's own conversation."""
    client = await Client.connect(server.state["temporal_address"])
    statement = "SELECT id FROM conversations WHERE agent_id = %s AND is_default"
    ((conversation_id,),) = server.query(statement, one.ids["agent"])
    verdict = {"tool_call_id": call_id, "approve": True}
    handle = client.get_workflow_handle(str(conversation_id))
    with pytest.raises(WorkflowUpdateFailedError) as failed:
        await handle.execute_update("decide", verdict)
    return str(failed.value.cause).replace(call_id, "<id>")


def test_an_agent_reaches_no_agent_of_another_organization(
    ours: Organization, theirs: Organization
) -> None:
    # It waits for an approval in its own thread, and so speaks in another one.
    def returned(other: str) -> str:
        body = {"input": do(asking(other), say("done")), "streaming": False}
        answer = ours.client.post(f"/conversations/{ours.ids['conv']}/messages", json=body)
        (said,) = [
            one["tool_return"]
            for one in answer.json()["messages"]
            if one["message_type"] == "tool_return_message"
        ]
        return str(said).replace(other, "<id>")

    assert returned(theirs.ids["agent"]) == returned(unknown("agent"))


def test_an_organization_that_is_deleted_leaves_nothing_but_its_record(
    server: Product, ours: Organization, theirs: Organization
) -> None:
    admin = httpx.Client(base_url=f"{server.url}/v1", timeout=60)
    before = snapshot(ours)
    gone = admin.delete("/admin/orgs/", params={"org_id": theirs.id})
    assert (gone.status_code, gone.json()["id"]) == (200, theirs.id)
    assert admin.get(f"/agents/{theirs.ids['agent']}", headers={"user_id": theirs.user_id}).is_error
    eventually(lambda: theirs.client.get("/agents/").status_code == 401)

    def left() -> list[str]:
        found = [
            server.query(f"SELECT '{table}' FROM {table} WHERE organization_id = %s", theirs.id)
            for table in owned_tables()
        ]
        return [table for ((table,), *_) in filter(None, found)]

    eventually(lambda: not left(), within_s=120, what="the end of what it had")
    # Nor does a client that goes on naming its user become the default one.
    assert admin.get("/agents/", headers={"user_id": theirs.user_id}).status_code == 404
    records = admin.get("/admin/audit", params={"organization_id": theirs.id}).json()
    assert "create_provider" in {one["what"] for one in records}
    assert admin.delete("/admin/orgs/", params={"org_id": theirs.id}).status_code == 404
    assert theirs.id not in admin.get("/admin/orgs/", params={"limit": 1000}).text
    assert snapshot(ours) == before
