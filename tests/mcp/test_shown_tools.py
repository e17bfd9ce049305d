"""What models are shown of an MCP server's tools, and what of its answers."""

import pytest

from o.domain.mcp import McpSecrets
from o.mcp.content import text_of
from o.mcp.names import tool_name
from o.mcp.schemas import own_arguments, parameters_of
from o.mcp.targets import headers_of

TEXT = {"type": "string"}
EMPTY = {"type": "object", "properties": {}}


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({}, EMPTY),
        ({"type": "object"}, EMPTY),
        ({"properties": None, "required": None}, EMPTY),
        ({"properties": {"a": TEXT}, "required": ["a", "b", 3]}, {"a": TEXT, "required": ["a"]}),
        ({"properties": {"a": True, "b": None}}, {"a": {}, "b": {}}),
        (
            {"properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": TEXT}},
            {"a": TEXT},
        ),
        (
            {
                "properties": {"a": {"$ref": "#/definitions/A~1B", "description": "x"}},
                "definitions": {"A/B": TEXT},
            },
            {"a": {"type": "string", "description": "x"}},
        ),
        ({"properties": {"a": {"$ref": "http://x/y"}}}, {"a": {}}),
        ({"properties": {"a": {"$ref": "#/nowhere"}}}, {"a": {}}),
        (
            {"$ref": "#/$defs/T", "$defs": {"T": {"properties": {"t": {"$ref": "#/$defs/T"}}}}},
            {"t": {"type": "object"}},
        ),
        (
            {
                "anyOf": [
                    {"properties": {"a": TEXT}, "required": ["a"]},
                    {"properties": {"b": TEXT, "a": TEXT}, "required": ["a", "b"]},
                ]
            },
            {"a": TEXT, "b": TEXT, "required": ["a"]},
        ),
        (
            {
                "allOf": [
                    {"properties": {"a": TEXT}, "required": ["a"]},
                    {"properties": {"b": TEXT}},
                ]
            },
            {"b": TEXT, "a": TEXT, "required": ["a"]},
        ),
        ({"properties": {"a": {"type": "array", "items": {"$ref": "#"}}}}, None),
        ({"properties": {"big": {"enum": ["x" * 200] * 1_000}}}, EMPTY),
    ],
)
def test_a_schema_becomes_a_plain_object(given: dict, shown: dict | None) -> None:  # type: ignore[type-arg]
    schema = parameters_of(given).schema
    if shown is None:
        assert schema["properties"].keys() == {"a"}
    elif shown is EMPTY:
        assert schema == EMPTY
    else:
        required = shown.pop("required", None)
        assert schema.get("required") == required
        assert schema["properties"] == shown


def test_a_schema_that_is_very_deep_is_read() -> None:
    schema: dict[str, object] = {"type": "string"}
    for _ in range(60):
        schema = {"type": "array", "items": schema}
    assert parameters_of({"properties": {"a": schema}}).schema["properties"]["a"]


def test_arguments_get_names_that_models_take_and_go_back_under_their_own() -> None:
    given = {"properties": {"$filter": TEXT, "_filter": TEXT, "a b": TEXT}, "required": ["$filter"]}
    shown = parameters_of(given)
    assert len(shown.schema["properties"]) == 3
    assert shown.schema["required"] == ["_filter"]
    calls = {name: number for number, name in enumerate(shown.schema["properties"])}
    assert own_arguments(calls, shown.own_names) == {"$filter": 0, "_filter": 1, "a b": 2}


@pytest.mark.parametrize(
    ("name", "taken", "shown"),
    [
        ("search", (), "search"),
        ("search", ("search",), "my_docs_search"),
        ("who.am/I", (), "who_am_I"),
        ("7zip", (), "_7zip"),
        ("x" * 64, (), "x" * 64),
    ],
)
def test_a_tool_keeps_its_name_where_it_can(name: str, taken: tuple[str, ...], shown: str) -> None:
    assert _name(name, *taken) == shown


def test_names_that_would_be_alike_are_not() -> None:
    long = ["x" * 100 + end for end in "ab"]
    odd = ["搜索", "查找", "!!!", "???"]
    names = {_name(name) for name in (*long, *odd)}
    assert len(names) == 6
    assert all(len(name) <= 64 and name.isascii() for name in names)
    third = _name("search", "search", "my_docs_search")
    assert third.startswith("search_")
    assert third == _name("search", "search", "my_docs_search")


def _name(name: str, *taken: str) -> str:
    return tool_name(name, server_id="mcp_server-1", server_name="my docs", taken=taken)


@pytest.mark.parametrize(
    ("content", "structured", "text"),
    [
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], None, "a\nb"),
        ([{"type": "text", "text": "a"}], {"x": 1}, "a"),
        ([], {"x": "é"}, '{"x": "é"}'),
        ([], None, ""),
        (
            [{"type": "image", "data": "aGVsbG8=", "mimeType": "image/png"}],
            None,
            "[image: image/png, 6 bytes, not shown]",
        ),
        (
            [{"type": "resource", "resource": {"uri": "file:///a", "text": "hello"}}],
            None,
            "[resource: file:///a]\nhello",
        ),
    ],
)
def test_content_becomes_text(
    content: list[dict[str, object]], structured: object, text: str
) -> None:
    assert text_of(content, structured) == text


@pytest.mark.parametrize(
    ("header", "token", "custom", "headers"),
    [
        (None, "abc", None, {"Authorization": "Bearer abc"}),
        ("Authorization", "Bearer abc", None, {"Authorization": "Bearer abc"}),
        ("Authorization", "Basic abc", {"X": "y"}, {"X": "y", "Authorization": "Basic abc"}),
        ("X-Api-Key", "abc", None, {"X-Api-Key": "abc"}),
        (None, "abc", {"authorization": "old"}, {"Authorization": "Bearer abc"}),
        (None, None, {"X-Key": "k"}, {"X-Key": "k"}),
    ],
)
def test_headers_carry_the_token(
    header: str | None, token: str | None, custom: dict[str, str] | None, headers: dict[str, str]
) -> None:
    assert headers_of(header, McpSecrets(auth_token=token, custom_headers=custom)) == headers
