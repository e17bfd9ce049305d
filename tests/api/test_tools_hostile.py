"""What the world sends to be stored as a tool: taken as it is meant, or refused in words."""

import json
from typing import Any

import httpx
import pytest
from letta_client import Letta

from tests.support.product import Product
from tests.support.tools import fresh_name, schema_of, source_of

_BOM = "\ufeff"
_DOC = '"""Do it."""'


def deep(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "array", "items": schema}
    return schema


@pytest.fixture(scope="module")
def http(server: Product) -> httpx.Client:
    return httpx.Client(base_url=f"{server.url}/v1/tools", timeout=60)


def content(body: dict[str, Any]) -> dict[str, Any]:
    """The body as escaped JSON: the client itself cannot send half a surrogate pair."""
    return {"content": json.dumps(body), "headers": {"content-type": "application/json"}}


TAKEN = {
    "CRLF": lambda name: source_of(name).replace("\n", "\r\n"),
    "a byte order mark": lambda name: _BOM + source_of(name),
    "tabs": lambda name: source_of(name).replace("    ", "\t"),
    "a decorator": lambda name: "@cached(ttl=3)\n" + source_of(name),
    "async": lambda name: "async " + source_of(name),
    "several functions, the last one counts": lambda name: (
        f"import os\n\ndef helper(x):\n    return x\n\n{source_of(name)}"
    ),
    "a helper behind it": lambda name: f"{source_of(name)}\n\ndef _helper(x):\n    return x\n",
    "a class beside it": lambda name: f"class Die:\n    sides = 6\n\n\n{source_of(name)}",
    "comments and a coding line": lambda name: f"# -*- coding: utf-8 -*-\n# ü\n{source_of(name)}",
    "what would run on import": lambda name: (
        f"raise SystemExit(1)\n__import__('os').abort()\n{source_of(name)}"
    ),
    "almost too large": lambda name: source_of(name) + "#" + "x" * 1_000_000,
    "emoji": lambda name: source_of(name, says="Roll 🎲 – würfeln."),
}


@pytest.mark.parametrize("kind", TAKEN)
def test_sources_that_are_meant_well_become_tools(http: httpx.Client, kind: str) -> None:
    name = fresh_name()
    answer = http.post("/", json={"source_code": TAKEN[kind](name)})
    assert answer.status_code == 200, answer.text[:500]
    assert answer.json()["name"] == name
    assert list(answer.json()["json_schema"]["parameters"]["properties"]) == ["sides"]


REFUSED: dict[str, tuple[int, dict[str, Any]]] = {
    "nothing": (422, {}),
    "null": (422, {"source_code": None}),
    "no text": (422, {"source_code": 7}),
    "empty": (400, {"source_code": ""}),
    "a syntax error": (400, {"source_code": "def f(:"}),
    "no docstring": (400, {"source_code": "def f(x: int): ..."}),
    "no annotation": (400, {"source_code": f"def f(x):\n    {_DOC}"}),
    "no function": (400, {"source_code": "x = 1"}),
    "only a class": (400, {"source_code": f"class F:\n    {_DOC}\n    def f(self): ..."}),
    "a name of 49": (400, {"source_code": f"def {'f' * 49}():\n    {_DOC}"}),
    "a name with umlauts": (400, {"source_code": f"def grüße():\n    {_DOC}"}),
    "NUL": (422, {"source_code": f"def f():\n    {_DOC}\n    return '\0'"}),
    "half a surrogate pair": (422, {"source_code": f"def f():\n    {_DOC}\n    return '\ud800'"}),
    "too large": (422, {"source_code": "#" * (1024 * 1024 + 1)}),
    "too large in bytes": (422, {"source_code": "ü" * (1024 * 512 + 1)}),
    "deep code": (400, {"source_code": f"def f():\n    {_DOC}\n    return {'(' * 9_000}"}),
    "an unknown kind of source": (422, {"source_code": "x", "source_type": "cobol"}),
    "a schema that is a list": (422, {"source_code": "x", "json_schema": []}),
    "a schema without a name": (400, {"source_code": "x", "json_schema": {"description": "x"}}),
    "a name with spaces": (400, {"source_code": "x", "json_schema": schema_of("roll a die")}),
    "an empty name": (400, {"source_code": "x", "json_schema": schema_of("")}),
    "a name with a line break": (400, {"source_code": "x", "json_schema": schema_of("f\n")}),
    "a path as a name": (400, {"source_code": "x", "json_schema": schema_of("../etc/passwd")}),
    "a name that is no text": (400, {"source_code": "x", "json_schema": {"name": ["f"]}}),
    "parameters of no object": (
        400,
        {"source_code": "x", "json_schema": {"name": "f", "parameters": {"type": "string"}}},
    ),
    "properties in a list": (
        400,
        {"source_code": "x", "json_schema": {"name": "f", "parameters": {"properties": ["x"]}}},
    ),
    "a schema that is too deep": (
        422,
        {"source_code": "x", "json_schema": schema_of("f", x=deep(100))},
    ),
    "a schema that is too large": (
        422,
        {"source_code": "x", "json_schema": schema_of("f", x={"description": "x" * 1_100_000})},
    ),
    "a limit of 0": (422, {"source_code": source_of("f"), "return_char_limit": 0}),
    "a limit that is too high": (
        422,
        {"source_code": source_of("f"), "return_char_limit": 10**6 + 1},
    ),
    "a tag that is no text": (422, {"source_code": source_of("f"), "tags": [1]}),
    "too many tags": (422, {"source_code": source_of("f"), "tags": ["t"] * 1_001}),
    "a requirement that is a number": (
        422,
        {"source_code": source_of("f"), "pip_requirements": [6]},
    ),
    "a requirement without a name": (
        422,
        {"source_code": source_of("f"), "pip_requirements": [{"name": ""}]},
    ),
    **{
        f"the requirement {name}": (
            400,
            {"source_code": source_of("f"), "pip_requirements": [{"name": name}]},
        )
        for name in ("git+https://a.example/x", "--index-url=http://a.example", "../x", "a b")
    },
    "a path of npm": (
        422,
        {"source_code": source_of("f"), "npm_requirements": [{"name": "file:../x"}]},
    ),
    "too many requirements": (
        422,
        {"source_code": source_of("f"), "pip_requirements": [{"name": "six"}] * 101},
    ),
    "a host with a path": (
        422,
        {"source_code": source_of("f"), "allowed_hosts": ["https://a.example/x"]},
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_sources_and_schemas_that_cannot_be_tools_are_refused_in_words(
    http: httpx.Client, kind: str
) -> None:
    status, body = REFUSED[kind]
    for method in ("POST", "PUT"):
        answer = http.request(method, "/", **content(body))
        assert answer.status_code == status, answer.text[:500]
        assert answer.json()["detail"]
    derives = status == 400 and not {"json_schema", "pip_requirements"} & body.keys()
    assert answer.json()["detail"].startswith("Failed to derive json schema: ") == derives


def test_a_refused_change_changes_nothing(client: Letta, http: httpx.Client) -> None:
    name = fresh_name()
    tool = client.tools.create(source_code=source_of(name))
    for status, body in REFUSED.values():
        if body.get("source_code") is not None and body["source_code"] != "x":
            answer = http.patch(f"/{tool.id}", **content(body))
            assert answer.status_code == status, answer.text[:500]
    assert client.tools.retrieve(tool.id) == tool


def test_what_a_schema_holds_beside_its_parts_is_kept(http: httpx.Client) -> None:
    name = fresh_name()
    given = {"type": "function", "function": schema_of(name, n={"type": "integer", "x-y": [None]})}
    made = http.post("/", json={"source_code": f"def {name}(n): ...", "json_schema": given}).json()
    assert made["json_schema"] == given["function"], "OpenAI's form is taken too"
    bare = http.post("/", json={"source_code": "", "json_schema": {"name": name}}).json()
    assert bare["id"] == made["id"]
    assert bare["json_schema"] == {
        "name": name,
        "parameters": {"type": "object", "properties": {}},
    }


def test_arguments_of_a_pydantic_model_take_the_place_of_the_signature(http: httpx.Client) -> None:
    name = fresh_name()
    arguments = {
        "title": "Move",
        "type": "object",
        "properties": {"x": {"type": "integer", "title": "X", "description": "Where to."}},
        "required": ["x"],
    }
    body = {"source_code": f"def {name}(x):\n    {_DOC}", "args_json_schema": arguments}
    made = http.post("/", json=body).json()
    assert made["args_json_schema"] == arguments
    assert made["json_schema"]["parameters"]["properties"]["x"]["description"] == "Where to."
    assert made["json_schema"]["parameters"]["required"] == ["x"]
    changed = http.patch(f"/{made['id']}", json={"args_json_schema": {**arguments, "required": []}})
    assert changed.json()["json_schema"]["parameters"]["required"] == []
