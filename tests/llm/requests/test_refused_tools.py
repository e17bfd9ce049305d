"""Tools that a provider refuses are shown plainly, or the first of them, as it says."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from o.domain.llm import ToolSpec
from o.llm.models import Models
from o.llm.requests.capabilities import Capabilities
from o.llm.requests.lessons import with_lessons
from o.llm.requests.schemas import plain, without_words, words_of
from tests.llm.requests.asking import ask, asked_for
from tests.llm.requests.refusing import RefusingProvider, openai_error, refuses


@pytest.mark.parametrize(
    "said",
    [
        "Unknown name 'default' at 'tools[0].function_declarations[0]': Cannot find field.",
        "tools.0.function.parameters: 'default' is not supported",
        "Invalid schema for function 'memory_insert': In context=(), 'default' is not permitted",
    ],
)
async def test_a_word_that_is_refused_in_schemas_is_left_out_from_then_on(
    strict: RefusingProvider, models: Models, said: str
) -> None:
    def has_default(body: dict[str, Any]) -> bool:
        return '"default"' in json.dumps(body.get("tools", []))

    strict.habits = [refuses(has_default, 400, openai_error(said))]
    for _ in range(2):
        assert (await ask(models, asked_for())).text == "hello"
    assert [has_default(body) for body in strict.asked] == [True, False, False]
    assert all(body["tools"] for body in strict.asked)


def any_part(schema: Any, is_odd: Callable[[dict[str, Any]], Any]) -> bool:
    """Whether any part of a schema is odd."""
    if isinstance(schema, list):
        return any(any_part(one, is_odd) for one in schema)
    if not isinstance(schema, dict):
        return False
    return bool(is_odd(schema)) or any(any_part(one, is_odd) for one in schema.values())


TREE = {"type": "object", "properties": {"kids": {"type": "array", "items": {"$ref": "#/$defs/t"}}}}
SCHEMAS: dict[str, tuple[dict[str, Any], Callable[[dict[str, Any]], Any], int, Any]] = {
    "OpenAI: lists without items": (
        {"type": "object", "properties": {"x": {"type": "array"}}},
        lambda part: part.get("type") == "array" and "items" not in part,
        400,
        openai_error(
            "Invalid schema for function 'f': In context=('properties', 'x'), array schema missing "
            "items.",
            code="invalid_function_parameters",
            param="tools[0].function.parameters",
        ),
    ),
    "OpenAI: no properties": (
        {"type": "object"},
        lambda part: part.get("type") == "object" and "properties" not in part,
        400,
        openai_error("Invalid schema for function 'f': In context=(), object schema missing …"),
    ),
    "OpenAI: no type at the top": (
        {"properties": {"x": {"type": "string"}}},
        lambda part: "properties" in part and "type" not in part,
        400,
        openai_error("Invalid schema for function 'f': schema must be a JSON Schema of 'object'"),
    ),
    "Anthropic: a choice at the top": (
        {"type": "object", "anyOf": [{"properties": {"x": {"type": "string"}}}]},
        lambda part: "anyOf" in part,
        400,
        openai_error(
            "tools.0.custom.input_schema: input_schema does not support oneOf, allOf, or anyOf at "
            "the top level"
        ),
    ),
    "Anthropic: references": (
        {"type": "object", "properties": {"tree": {"$ref": "#/$defs/t"}}, "$defs": {"t": TREE}},
        lambda part: "$ref" in part,
        400,
        openai_error("tools.0.custom.input_schema: $ref is not allowed"),
    ),
    "Anthropic: names of arguments": (
        {"type": "object", "properties": {"a b": {"type": "string"}}, "required": ["a b"]},
        lambda part: any(" " in name for name in part),
        400,
        openai_error(
            "tools.0.custom.input_schema.properties: Property keys should match pattern "
            "'^[a-zA-Z0-9_.-]{1,64}$'"
        ),
    ),
    "Gemini: numbers to choose from": (
        {"type": "object", "properties": {"x": {"type": "integer", "enum": [1, 2]}}},
        lambda part: part.get("type") == "integer" and "enum" in part,
        400,
        [
            {
                "error": {
                    "code": 400,
                    "message": "GenerateContentRequest.tools[0].function_declarations[0].parameters"
                    ".properties[x].enum: only allowed for STRING type",
                    "status": "INVALID_ARGUMENT",
                }
            }
        ],
    ),
    "Gemini: what is required and not there": (
        {"type": "object", "properties": {}, "required": ["x"]},
        lambda part: "x" in part.get("required", []),
        400,
        openai_error("GenerateContentRequest.tools[0].function_declarations[0].parameters …"),
    ),
    "Gemini, Ollama of old: several types": (
        {"type": "object", "properties": {"x": {"type": ["integer", "null"]}}},
        lambda part: isinstance(part.get("type"), list),
        400,
        {"error": "json: cannot unmarshal array into Go struct field .type of type string"},
    ),
    "Moonshot: a type beside a choice": (
        {
            "type": "object",
            "properties": {"x": {"type": "string", "anyOf": [{"maxLength": 1}, {"pattern": "a"}]}},
        },
        lambda part: "type" in part and "anyOf" in part,
        400,
        openai_error(
            "tools.function.parameters is not a valid moonshot flavored json schema, details: <At "
            "path 'properties.x': type should be defined in the items instead of the parent schema>"
        ),
    ),
    "Moonshot: no type": (
        {"type": "object", "properties": {"x": {"description": "Anything."}}},
        lambda part: "description" in part and "type" not in part and "name" not in part,
        400,
        openai_error(
            "tools.function.parameters is not a valid moonshot flavored json schema, details: <At "
            "path 'properties.x': type is not defined>"
        ),
    ),
    "llama.cpp: a grammar that is too large": (
        {"type": "object", "properties": {"x": {"type": "string", "maxLength": 65536}}},
        lambda part: part.get("maxLength", 0) > 2_000,
        400,
        openai_error("Failed to initialize samplers: failed to parse grammar"),
    ),
    "llama.cpp: what it does not know": (
        {"type": "object", "properties": {"x": {"type": "any"}}},
        lambda part: part.get("type") == "any",
        500,
        {"error": {"code": 500, "message": 'JSON schema conversion failed: Unrecognized: {"x"}'}},
    ),
    "OpenAI of old: long descriptions": (
        {"type": "object", "properties": {"x": {"description": "word " * 999}}},
        lambda part: len(str(part.get("description", ""))) > 1_024,
        400,
        openai_error(
            "Invalid 'tools[0].function.description': string too long. Expected a string with "
            "maximum length 1024, but got a string with length 2000 instead."
        ),
    ),
    "nobody knows why": (
        {"type": "object", "properties": {"x": {"not": {"type": "string"}}}},
        lambda part: "not" in part,
        400,
        "Bad Request",
    ),
}


@pytest.mark.parametrize("row", SCHEMAS.values(), ids=SCHEMAS)
async def test_schemas_that_are_refused_are_made_plain_from_then_on(
    strict: RefusingProvider, models: Models, row: tuple[Any, Any, int, Any]
) -> None:
    schema, is_odd, status, said = row
    strict.habits = [
        refuses(lambda body: any_part(body.get("tools"), is_odd), status, said),
        refuses(lambda body: not body.get("tools"), 400, "There are no tools"),
    ]
    tool = ToolSpec(name="f", description="Do it.", parameters=schema)
    request = asked_for().model_copy(update={"tools": [tool], "settings": {}})
    for _ in range(3):
        assert (await ask(models, request)).text == "hello"
    assert strict.statuses[-1] == 200
    if isinstance(said, str):
        return
    assert strict.statuses[1:] == [200] * 3, "it is done at once, and remembered"
    parameters = strict.asked[-1]["tools"][0]["function"]["parameters"]
    assert parameters["type"] == "object"
    assert isinstance(parameters["properties"], dict)


MANY = {
    "OpenAI": "Invalid 'tools': array too long. Expected an array with maximum length 12, but got "
    "an array with length 13 instead.",
    "Azure of old": "[] is too long - 'tools': at most 12 are allowed",
    "xAI": "A maximum of 12 tools are supported, got 13",
    "Gemini": "At most 12 functions may be declared",
    "Groq": "'tools' : maximum number of items is 12",
}


@pytest.mark.parametrize("said", MANY.values(), ids=MANY)
async def test_of_more_tools_than_are_taken_the_first_are_offered(
    strict: RefusingProvider, models: Models, said: str
) -> None:
    strict.habits = [refuses(lambda body: len(body["tools"]) > 12, 400, openai_error(said))]
    schema: dict[str, Any] = {"type": "object", "properties": {}}
    tools = [ToolSpec(name=f"f{n}", description="", parameters=schema) for n in range(13)]
    for _ in range(2):
        reply = await ask(models, asked_for().model_copy(update={"tools": tools}))
        assert any("not offered" in note for note in reply.notes)
    assert strict.statuses == [400, 200, 200]
    assert [one["function"]["name"] for one in strict.asked[-1]["tools"]] == [
        f"f{n}" for n in range(12)
    ]


OF_ONE = [
    "tools[0].function.parameters: nesting depth exceeds the limit of 5",
    "tools.0.custom.name: String should have at most 8 characters",
    "Invalid schema for tools: nesting is limited to 5 levels",
    "Descriptions of tools may have at most 10 characters",
    "tools: each may have up to 3 parameters",
    "tools: at most " + "9" * 6_000,
]


@pytest.mark.parametrize("said", OF_ONE, ids=lambda said: said[:40])
async def test_a_bound_of_one_tool_is_none_of_how_many_there_are(
    strict: RefusingProvider, models: Models, said: str
) -> None:
    strict.habits = [refuses(lambda body: "title" in str(body["tools"]), 400, openai_error(said))]
    schema: dict[str, Any] = {"type": "object", "title": "T", "properties": {}}
    tools = [ToolSpec(name=f"f{n}", description="", parameters=schema) for n in range(13)]
    await ask(models, asked_for().model_copy(update={"tools": tools}))
    assert [len(body["tools"]) for body in strict.asked] == [13] * len(strict.asked)


def test_of_two_bounds_the_smaller_one_counts() -> None:
    for most in ("images", "tools"):
        lessons = frozenset({f"at most {most}: 10", f"at most {most}: 200"})
        assert getattr(with_lessons(Capabilities(), lessons), f"most_{most}") == 10


def test_a_plain_schema_says_what_can_be_said_and_stays_as_it_is() -> None:
    schema = {
        "type": "object",
        "description": "All.",
        "$defs": {"t": TREE, "c/d": {"enum": ["a", "b"], "description": "One."}},
        "allOf": [{"properties": {"tree": {"$ref": "#/$defs/t"}}, "required": ["tree"]}],
        "properties": {
            "choice": {"$ref": "#/$defs/c~1d"},
            "maybe": {"anyOf": [{"type": "null"}, {"type": "integer", "minimum": 1}]},
            "elsewhere": {"$ref": "https://schemas.example/x"},
            "yes": True,
        },
        "required": ["choice", "gone", {"odd": []}],
        "additionalProperties": False,
    }
    (once,) = plain([ToolSpec(name="f", description="", parameters=schema)])
    shown = once.parameters
    assert shown["properties"]["choice"] == {
        "type": "string",
        "enum": ["a", "b"],
        "description": "One.",
    }
    assert shown["properties"]["maybe"] == {"type": "integer"}
    assert shown["properties"]["elsewhere"] == shown["properties"]["yes"] == {"type": "string"}
    assert (shown["required"], shown["description"]) == (["choice"], "All.")
    assert json.dumps(shown).count('"kids"') > 2, "a tree is shown some levels deep"
    assert plain([once]) == [once]


def test_references_that_multiply_are_shown_within_bounds() -> None:
    each = {"$ref": "#/$defs/t"}
    tree = {"type": "object", "properties": {str(n): each for n in range(9)}, "allOf": [each] * 3}
    tool = ToolSpec(name="f", description="", parameters={"$defs": {"t": tree}, "allOf": [each]})
    assert len(json.dumps(plain([tool])[0].parameters)) < 200_000


def test_properties_keep_their_names_whatever_these_are() -> None:
    choice = {"anyOf": [{"type": "null"}, {"type": "string", "format": "uri"}], "title": "T"}
    schema = {"type": "object", "properties": {"default": choice, "title": {"default": 1}}}
    tool = ToolSpec(name="f", description="", parameters=schema)
    assert words_of([tool]) == {"anyOf", "format", "title", "default"}
    (fit,) = without_words([tool], words_of([tool]))
    assert fit.parameters == {
        "type": "object",
        "properties": {"default": {"type": "string"}, "title": {}},
    }
