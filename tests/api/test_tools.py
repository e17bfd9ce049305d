"""Tools of one's own as resources, through the official client."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from letta_client import APIStatusError, Letta, NotFoundError

from o.ids import new_id
from tests.support.product import Product
from tests.support.tools import fresh_name, make_tool, schema_of, source_of


@pytest.fixture(scope="module")
def http(server: Product) -> httpx.Client:
    return httpx.Client(base_url=f"{server.url}/v1/tools", timeout=30)


def test_a_tool_is_made_of_its_source_alone(client: Letta) -> None:
    name = fresh_name()
    tool = client.tools.create(source_code=source_of(name))
    assert (tool.name, tool.description, tool.tool_type) == (name, "Roll a die.", "custom")
    assert (tool.source_type, tool.source_code) == ("python", source_of(name))
    assert tool.json_schema == {
        "name": name,
        "description": "Roll a die.",
        "parameters": {
            "type": "object",
            "properties": {"sides": {"type": "integer", "description": "How many sides it has."}},
            "required": [],
        },
    }
    assert (tool.return_char_limit, tool.tags, tool.enable_parallel_execution) == (
        50_000,
        [],
        False,
    )
    assert client.tools.retrieve(tool.id) == tool
    assert list(client.tools.list(name=name)) == [tool]


def test_everything_that_is_said_of_a_tool_is_kept(client: Letta) -> None:
    given: dict[str, Any] = {
        "description": "Rolls.",
        "tags": ["games", "dice"],
        "return_char_limit": 1,
        "pip_requirements": [{"name": "six", "version": "1.16.0"}, {"name": "attrs"}],
        "npm_requirements": [{"name": "left-pad"}],
        "default_requires_approval": True,
        "enable_parallel_execution": True,
    }
    own = {"is_idempotent": True, "allowed_hosts": ["API.example.com", "*.example.org:443"]}
    tool = make_tool(client, **given, extra_body=own | {"metadata": {"team": "a"}})
    shown: dict[str, Any] = client.tools.retrieve(tool.id).to_dict()
    assert shown["pip_requirements"] == [
        {"name": "six", "version": "1.16.0"},
        {"name": "attrs", "version": None},
    ]
    plain = given.keys() - {"pip_requirements", "npm_requirements"}
    assert {name: shown[name] for name in plain} == {name: given[name] for name in plain}
    assert shown["allowed_hosts"] == ["api.example.com", "*.example.org:443"]
    assert (shown["is_idempotent"], shown["metadata_"]) == (True, {"team": "a"})
    assert shown["json_schema"]["description"] == "Rolls.", "what the model reads"


@pytest.mark.parametrize("way", ["create", "upsert"])
def test_a_name_that_is_there_is_changed_and_keeps_its_id(client: Letta, way: str) -> None:
    first = make_tool(client, tags=["kept"], return_char_limit=7)
    assert first.name is not None
    store = getattr(client.tools, way)
    again = store(source_code=source_of(first.name, says="Roll anew."))
    assert (again.id, again.description) == (first.id, "Roll anew.")
    assert (again.tags, again.return_char_limit) == (["kept"], 7), "what is not named stays"
    assert client.tools.retrieve(first.id) == again


def test_the_order_of_parameters_is_that_of_the_source(client: Letta) -> None:
    name = fresh_name()
    arguments = ["zebra", "a", "mean", "bb", "y"]
    tool = client.tools.create(
        source_code=f"def {name}(): ...",
        json_schema=schema_of(name, **{a: {"type": "string"} for a in arguments}),
    )
    stored: Any = client.tools.retrieve(tool.id).json_schema
    assert list(stored["parameters"]["properties"]) == arguments
    assert list(stored) == ["name", "description", "parameters"]


def test_a_change_says_what_it_changes(client: Letta) -> None:
    tool = make_tool(client, tags=["a"])
    changed = client.tools.update(tool.id, description="Throw.", metadata={"x": 1})
    assert (changed.description, changed.tags, changed.metadata) == ("Throw.", ["a"], {"x": 1})
    assert (changed.json_schema or {})["description"] == "Throw."
    assert client.tools.update(tool.id).to_dict() == changed.to_dict()
    limited = client.tools.update(tool.id, extra_body={"allowed_hosts": ["a.example"]}).to_dict()
    assert limited["allowed_hosts"] == ["a.example"]
    assert client.tools.update(tool.id, tags=[]).to_dict()["allowed_hosts"] == ["a.example"]
    needing = client.tools.update(tool.id, pip_requirements=[{"name": "six"}])
    assert needing.pip_requirements is not None
    assert client.tools.update(tool.id, pip_requirements=[]).pip_requirements is None
    freed = client.tools.update(tool.id, extra_body={"allowed_hosts": None}).to_dict()
    assert freed["allowed_hosts"] is None


def test_a_new_source_brings_its_schema_and_its_name(client: Letta) -> None:
    tool, name = make_tool(client), fresh_name()
    renamed = client.tools.update(tool.id, source_code=source_of(name, says="Throw."))
    assert (renamed.id, renamed.name, renamed.description) == (tool.id, name, "Throw.")
    assert list(client.tools.list(name=str(tool.name))) == []
    given = client.tools.update(tool.id, source_code="def x(): ...", json_schema=schema_of("x_y"))
    assert (given.name, given.description) == ("x_y", "Do it.")
    client.tools.delete(tool.id)


def test_a_name_that_is_taken_is_refused(client: Letta) -> None:
    tool, other = make_tool(client), make_tool(client)
    for name in (str(other.name), "memory_insert", "archival_memory_search"):
        with pytest.raises(APIStatusError) as refusal:
            client.tools.update(tool.id, source_code=source_of(name))
        assert refusal.value.status_code == 409
    for name in ("memory_insert", "run_code"):
        with pytest.raises(APIStatusError) as refusal:
            client.tools.create(source_code=source_of(name))
        assert refusal.value.status_code == 409
        assert "comes with the server" in str(refusal.value)
    assert client.tools.retrieve(tool.id) == tool


def test_a_tool_that_is_deleted_is_gone_and_its_name_is_free(client: Letta) -> None:
    tool = make_tool(client)
    client.tools.delete(tool.id)
    for act in (client.tools.retrieve, client.tools.delete, client.tools.update):
        with pytest.raises(NotFoundError):
            act(tool.id)
    assert make_tool(client, tool.name).id != tool.id


def test_tools_that_come_with_the_server_stay_as_they_are(
    client: Letta, http: httpx.Client
) -> None:
    (tool,) = client.tools.list(name="memory_insert")
    for method in ("PATCH", "DELETE"):
        answer = http.request(method, f"/{tool.id}", json={})
        assert answer.status_code == 400
        assert "comes with the server" in answer.json()["detail"]
    listed = http.post("/add-base-tools").json()
    assert {one["name"] for one in listed} == {
        one.name for one in client.tools.list(extra_query={"return_only_letta_tools": True})
    }


def test_tools_are_listed_with_those_of_the_server_and_paged_in_both_orders(
    client: Letta, http: httpx.Client
) -> None:
    made = [make_tool(client).id for _ in range(3)]
    whole = [t["id"] for t in http.get("/", params={"order": "asc", "limit": 1_000}).json()]
    assert whole[-3:] == made
    assert whole[0] == next(iter(client.tools.list(name="send_message"))).id
    for order, expected in (("asc", whole), ("desc", whole[::-1])):
        assert [t.id for t in client.tools.list(order=order, limit=4)] == expected  # type: ignore[arg-type]
        size = len(whole)
        for start, end in ((0, size - 1), (2, 5), (size - 5, size - 2), (1, size - 2)):
            page = http.get(
                "/",
                params={"order": order, "after": expected[start], "before": expected[end]}
                | {"limit": 1_000},
            )
            assert [t["id"] for t in page.json()] == expected[start + 1 : end], (order, start, end)
    assert http.get("/", params={"after": new_id("tool")}).status_code == 404
    only_letta: Any = {"after": new_id("tool"), "return_only_letta_tools": True}
    assert http.get("/", params=only_letta).status_code == 404


def test_a_list_goes_on_behind_a_tool_that_was_deleted(client: Letta) -> None:
    first, second, third = (make_tool(client).id for _ in range(3))
    client.tools.delete(second)
    assert next(iter(client.tools.list(after=first, order="asc"))).id == third
    assert next(iter(client.tools.list(after=second, order="asc"))).id == third


def test_filters_hold_for_both_kinds(client: Letta, http: httpx.Client) -> None:
    tool = make_tool(client, fresh_name("Spin"))
    built_in = next(iter(client.tools.list(name="memory_insert"))).id
    joined = f"{tool.id},{built_in}"
    for given, expected in (
        ({"tool_ids": joined}, {tool.id, built_in}),
        ({"tool_ids": [tool.id, built_in]}, {tool.id, built_in}),
        ({"names": [tool.name, "memory_insert"]}, {tool.id, built_in}),
        ({"tool_ids": joined, "tool_types": "custom,letta_builtin"}, {tool.id}),
        ({"tool_ids": joined, "exclude_tool_types": "custom"}, {built_in}),
        ({"tool_ids": joined, "return_only_letta_tools": True}, {built_in}),
        ({"tool_ids": joined, "search": "sPIN"}, {tool.id}),
        ({"tool_ids": joined, "name": "memory_insert"}, {built_in}),
        ({"name": tool.name, "names": ["memory_insert"]}, set()),
        ({"search": "100%"}, set()),
    ):
        params: Any = given
        assert {t["id"] for t in http.get("/", params=params).json()} == expected, given
        assert http.get("/count", params=params).json() == len(expected), given
    left = http.get("/count", params={"tool_ids": joined, "exclude_letta_tools": True})
    assert left.json() == 1


def test_tools_are_found_by_words(client: Letta) -> None:
    word = fresh_name("quux")
    by_name = make_tool(client, f"{word}_roll")
    by_tag = make_tool(client, tags=[word.upper(), "other"])
    by_text = make_tool(client, description=f"It is about {word}.")
    found = client.tools.search(query=f" {word}  {word}")
    assert [one.tool.id for one in found] == [by_name.id, by_tag.id, by_text.id]
    scores = [one.combined_score for one in found]
    assert scores == sorted(scores, reverse=True)
    assert 0 < scores[-1] < scores[0] <= 1
    tagged = client.tools.search(query=word, tags=["other", "none"], search_mode="vector")
    assert [one.tool.id for one in tagged] == [by_tag.id]
    assert client.tools.search(query=word, tool_types=["letta_core"]) == []
    assert len(client.tools.search(query=word, limit=2)) == 2
    named = client.tools.search(query="memory_insert", limit=1)
    assert [one.tool.name for one in named] == ["memory_insert"]
    assert len(client.tools.search(limit=100)) > 10


def test_a_schema_is_derived_without_a_tool(client: Letta, http: httpx.Client) -> None:
    before = http.get("/count").json()
    schema = http.post("/generate-schema", json={"code": source_of("loose")}).json()
    assert (schema["name"], list(schema["parameters"]["properties"])) == ("loose", ["sides"])
    for body in ({"code": "def"}, {"code": "function f() {}", "source_type": "typescript"}):
        refused = http.post("/generate-schema", json=body)
        assert refused.status_code == 400
        assert refused.json()["detail"].startswith("Failed to derive json schema: ")
    assert http.get("/count").json() == before


def test_a_typescript_tool_is_stored_with_its_schema_only(client: Letta) -> None:
    name = fresh_name()
    source = f"export function {name}(x: number): number {{ return x }}"
    with pytest.raises(APIStatusError) as refusal:
        client.tools.create(source_code=source, source_type="typescript")
    assert refusal.value.status_code == 400
    assert "json_schema" in str(refusal.value)
    tool = client.tools.create(
        source_code=source, source_type="typescript", json_schema=schema_of(name)
    )
    assert (tool.name, tool.source_type) == (name, "typescript")
    changed = client.tools.update(tool.id, source_code=source + "\n")
    assert changed.json_schema == tool.json_schema


def test_equal_names_at_once_make_one_tool(client: Letta) -> None:
    name = fresh_name()
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: make_tool(client, name).id, range(16)))
    assert len(set(made)) == 1
    assert [tool.id for tool in client.tools.list(name=name)] == made[:1]


def test_another_organization_sees_nothing_of_a_tool_and_may_have_its_name(
    client: Letta, server: Product
) -> None:
    tool = make_tool(client)
    other = new_id("org")
    server.query("INSERT INTO organizations (id, name) VALUES (%s, 'o')", other)
    server.query("UPDATE tools SET organization_id = %s WHERE id = %s", other, tool.id)
    for act in (client.tools.retrieve, client.tools.delete, client.tools.update):
        with pytest.raises(NotFoundError):
            act(tool.id)
    assert list(client.tools.list(name=str(tool.name))) == []
    assert client.tools.search(query=str(tool.name)) == []
    with pytest.raises(NotFoundError):
        client.tools.list(after=tool.id)
    assert make_tool(client, tool.name).id != tool.id
