"""The JSON schema of a tool, by a table of signatures; V1's documentation says the rules."""

from typing import Any

import pytest

from o.errors import InvalidArgument
from o.tools.schema import derive

STRING, INTEGER, NUMBER = {"type": "string"}, {"type": "integer"}, {"type": "number"}
OBJECT, ANY_ARRAY = {"type": "object"}, {"type": "array", "items": {}}


def array(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


DEFINED = '''
from __future__ import annotations
from enum import Enum, IntEnum
from pydantic import BaseModel, Field
from typing import *
import typing as t
Numbers = List[int]
Endless = list["Endless"]
class Color(Enum):
    RED = "red"
    BLUE = "blue"
class Level(IntEnum):
    LOW = 1
class Item(BaseModel):
    """An item in stock."""
    sku: str = Field(description="Its number.")
    price: float = Field(..., gt=0)
    tags: list[str] = Field(default_factory=list, max_length=3)
    model_config = {}
    kind: ClassVar[str] = "x"
    _hidden: int = 0
class Order(Item):
    """An order.

    Attributes:
        count: How many.
    """
    count: int = 1
    inner: Item
    more: Optional[List[Item]] = None
class Loop(BaseModel):
    next: Optional["Loop"] = None
class Aliased(BaseModel):
    from_: str = Field(alias="from")
class Typed(TypedDict):
    a: int
class Plain:
    a: int
'''
ITEM: dict[str, Any] = {
    "type": "object",
    "properties": {
        "sku": STRING | {"description": "Its number."},
        "price": NUMBER | {"exclusiveMinimum": 0},
        "tags": array(STRING) | {"maxItems": 3},
    },
    "description": "An item in stock.",
    "required": ["sku", "price"],
}
ORDER: dict[str, Any] = {
    "type": "object",
    "properties": ITEM["properties"]
    | {
        "count": INTEGER | {"description": "How many.", "default": 1},
        "inner": ITEM,
        "more": array(ITEM),
    },
    "description": "An order.",
    "required": ["sku", "price", "inner"],
}

ANNOTATIONS: dict[str, dict[str, Any] | str] = {
    "str": STRING,
    "int": INTEGER,
    "float": NUMBER,
    "bool": {"type": "boolean"},
    "'str'": STRING,
    "'Optional[int]'": INTEGER,
    "None": {"type": "null"},
    "Any": {},
    "object": {},
    "list": ANY_ARRAY,
    "List": ANY_ARRAY,
    "list[str]": array(STRING),
    "List[int]": array(INTEGER),
    "typing.List[float]": array(NUMBER),
    "t.List[t.Any]": ANY_ARRAY,
    "list[list[int]]": array(array(INTEGER)),
    "List[Dict[str, Any]]": array(OBJECT),
    "list[dict]": array(OBJECT),
    "Sequence[str]": array(STRING),
    "set[str]": array(STRING),
    "dict": OBJECT,
    "Dict": OBJECT,
    "dict[str, Any]": OBJECT,
    "dict[str, int]": OBJECT | {"additionalProperties": INTEGER},
    "Dict[str, List[str]]": OBJECT | {"additionalProperties": array(STRING)},
    "Mapping[str, bool]": OBJECT | {"additionalProperties": {"type": "boolean"}},
    "tuple": ANY_ARRAY,
    "tuple[int, ...]": array(INTEGER),
    "Tuple[int, int]": array(INTEGER) | {"minItems": 2, "maxItems": 2},
    "tuple[int, str]": array({"anyOf": [INTEGER, STRING]}) | {"minItems": 2, "maxItems": 2},
    "Optional[str]": STRING,
    "typing.Optional[list[str]]": array(STRING),
    "str | None": STRING,
    "None | int": INTEGER,
    "Union[str, None]": STRING,
    "Optional[List[Optional[int]]]": array(INTEGER),
    'Literal["a", "b"]': STRING | {"enum": ["a", "b"]},
    "Literal[1, -2]": INTEGER | {"enum": [1, -2]},
    'Literal["a", 1, True]': {"enum": ["a", 1, True]},
    'Optional[Literal["a", None]]': STRING | {"enum": ["a"]},
    "Annotated[str, 'noted']": STRING,
    "Numbers": array(INTEGER),
    "Color": STRING | {"enum": ["red", "blue"]},
    "list[Level]": array(INTEGER | {"enum": [1]}),
    "Item": ITEM,
    "'Item'": ITEM,
    "Optional[Item]": ITEM,
    "List[Item]": array(ITEM),
    "Dict[str, Item]": OBJECT | {"additionalProperties": ITEM},
    "Order": ORDER,
    "Aliased": {"type": "object", "properties": {"from": STRING}, "required": ["from"]},
    "Union[str, int]": "Union is not supported",
    "str | int": "Union is not supported",
    "Optional[Union[str, int]]": "Union is not supported",
    "list[str | int | None]": "Union is not supported",
    "Typed": "TypedDict is not supported",
    "Plain": "the class Plain is not supported",
    "Loop": "refers to itself",
    "Endless": "refers to itself",
    "datetime": "the type datetime has no JSON schema",
    "Event": "args_json_schema",
    "bytes": "the type bytes has no JSON schema",
    "Callable[[int], str]": "the type Callable is not supported",
    "Literal[f()]": "Literal takes",
    "Literal[None]": "no values",
    "1": "not supported",
    "f()": "not supported",
    "print('x')": "not supported",
    "'a b'": "not valid Python",
    "list[int, str]": "the type list is not supported",
    "Optional": "has no JSON schema",
}


@pytest.mark.parametrize("annotation", ANNOTATIONS)
def test_an_annotation_has_its_schema(annotation: str) -> None:
    source = (
        f'{DEFINED}\ndef f(x: {annotation}):\n    """Do.\n\n    Args:\n        x: An x.\n    """'
    )
    expected = ANNOTATIONS[annotation]
    if isinstance(expected, str):
        with pytest.raises(InvalidArgument, match=expected) as refused:
            derive(source)
        assert refused.value.status == 400
        assert refused.value.message.startswith("Failed to derive json schema: ")
        return
    assert derive(source) == {
        "name": "f",
        "description": "Do.",
        "parameters": {
            "type": "object",
            "properties": {"x": expected | {"description": "An x."}},
            "required": ["x"],
        },
    }


X = '"""Do.\n\n    Args:\n        x: An x.\n        y: A y.\n    """'
SIGNATURES: dict[str, tuple[str, list[str], list[str]] | str] = {
    f"def f(x: int, y: int = 1):\n    {X}": ("f", ["x", "y"], ["x"]),
    f"def f(x: Optional[int], y: int | None = None):\n    {X}": ("f", ["x", "y"], ["x"]),
    f"def f(self, x: int, y: int):\n    {X}": ("f", ["x", "y"], ["x", "y"]),
    f'def f(agent_state: "AgentState", x: int, y: int):\n    {X}': ("f", ["x", "y"], ["x", "y"]),
    f"def f(self, agent_state, x: int, *, y: int):\n    {X}": ("f", ["x", "y"], ["x", "y"]),
    f"def f(*, x: int = 1, y: int):\n    {X}": ("f", ["x", "y"], ["y"]),
    f"async def f(x: int, y: int) -> str:\n    {X}": ("f", ["x", "y"], ["x", "y"]),
    f"@tool\n@other(1)\ndef f(x: int, y: int):\n    {X}": ("f", ["x", "y"], ["x", "y"]),
    f"def a(q): pass\ndef f(x: int, y: int):\n    {X}": ("f", ["x", "y"], ["x", "y"]),
    f"def f(x: int, y: int):\n    {X}\ndef _help(q): pass": ("f", ["x", "y"], ["x", "y"]),
    f"def f(q): pass\ndef g(): pass\ndef f(x: int, y: int):\n    {X}": (
        "f",
        ["x", "y"],
        ["x", "y"],
    ),
    f"def _f(x: int, y: int):\n    {X}": ("_f", ["x", "y"], ["x", "y"]),
    f"def f(x: int, y: int):\n    {X}\n    def g(): pass": ("f", ["x", "y"], ["x", "y"]),
    f"def f(x: int, y: int):\n    {X}\nclass G: pass": ("f", ["x", "y"], ["x", "y"]),
    f"import os\nos.abort()\ndef f(x: int, y: int):\n    {X}": ("f", ["x", "y"], ["x", "y"]),
    f"# -*- coding: latin-1 -*-\ndef f(x: int, y: int):\n    {X}": ("f", ["x", "y"], ["x", "y"]),
    f"def f(x: int, y: int):\n    {X}".replace("\n", "\r\n"): ("f", ["x", "y"], ["x", "y"]),
    'def f():\n    """Do."""': ("f", [], []),
    "def f(x: int): pass": "f has no docstring",
    'def f():\n    " "': "f has no docstring",
    'def f():\n    f"""Do {1}."""': "f has no docstring",
    f"def f(x, y: int):\n    {X}": "'x' of f has no type annotation",
    f"def f(x: int, z: int):\n    {X}": "'z' of f has no description",
    'def f(x: int):\n    """Do.\n\n    Args:\n        x:\n    """': "'x' of f has no description",
    f"def f(x: int, *args: int):\n    {X}": "arguments that have no name",
    f"def f(x: int, **more: int):\n    {X}": "arguments that have no name",
    f"def f(x: int, /, y: int):\n    {X}": "arguments that have no name",
    "": "no function",
    "x = 1": "no function",
    "class F:\n    def f(self): pass": "no function",
    "def f(:": "not valid Python: .*line 1",
    "function f() {}": "not valid Python",
    "def f():\n\tif 1:\n        pass": "not valid Python",
    f"def {'f' * 49}(x: int, y: int):\n    {X}": "more than 48 characters",
    f"def größe(x: int, y: int):\n    {X}": "letters that models cannot call",
    "\ufeffdef f(): pass": "not valid Python",
}


@pytest.mark.parametrize("source", SIGNATURES)
def test_a_signature_has_its_schema(source: str) -> None:
    expected = SIGNATURES[source]
    if isinstance(expected, str):
        with pytest.raises(InvalidArgument, match=expected):
            derive(source)
        return
    schema = derive(source)
    parameters = schema["parameters"]
    assert (schema["name"], list(parameters["properties"]), parameters["required"]) == expected


DOCSTRINGS = {
    "Google": "Args:\n    x (int): An x.\n\nReturns:\n    str: text",
    "Google, with tabs and lower lines": "Args:\n\tx (int, optional):\n\t\tAn x.\n",
    "Google, as a list": "Args:\n    - x (int): An x.",
    "Google, in code quotes": "Args:\n    `x`: An x.",
    "Google, other words": "Parameters:\n    x: An x.",
    "NumPy": "Parameters\n----------\nx : int\n    An x.\n",
    "reST": ":param x: An x.\n:type x: int\n:returns: text",
    "Epytext": "@param x: An x.\n@return: text",
}


@pytest.mark.parametrize("style", DOCSTRINGS)
def test_docstrings_are_read_in_the_styles_that_people_write(style: str) -> None:
    told = ("Do.\n\nAt length.\n\n" + DOCSTRINGS[style]).replace("\n", "\n    ")
    schema = derive(f'def f(x: int):\n    """{told}\n    """')
    assert schema["description"].split() == ["Do.", "At", "length."]
    assert schema["parameters"]["properties"]["x"]["description"] == "An x."


def test_the_tool_is_the_function_that_is_asked_for() -> None:
    source = 'def a():\n    """A."""\ndef b():\n    """B."""'
    assert derive(source)["name"] == "b"
    assert derive(source, "a")["description"] == "A."
    with pytest.raises(InvalidArgument, match="no function 'c'"):
        derive(source, "c")


def test_a_note_stands_in_for_the_docstring() -> None:
    source = 'def f(x: Annotated[int, Field(description="An x.")]):\n    """Do."""'
    assert derive(source)["parameters"]["properties"]["x"] == INTEGER | {"description": "An x."}


GIVEN = {
    "title": "EventData",
    "description": "What happened.",
    "type": "object",
    "$defs": {
        "Kind": {"title": "Kind", "enum": ["a", "b"], "type": "string"},
        "Event": {
            "type": "object",
            "title": "Event",
            "properties": {
                "title": {"title": "Title", "type": "string"},
                "kind": {"$ref": "#/$defs/Kind", "description": "Which."},
                "old": {"allOf": [{"$ref": "#/$defs/Kind"}], "default": "a"},
            },
            "required": ["title"],
        },
    },
    "properties": {
        "event": {"$ref": "#/$defs/Event"},
        "more": {
            "anyOf": [{"items": {"$ref": "#/$defs/Event"}, "type": "array"}, {"type": "null"}]
        },
    },
    "required": ["event"],
}
KIND = {"enum": ["a", "b"], "type": "string"}
EVENT = {
    "type": "object",
    "properties": {
        "title": STRING,
        "kind": KIND | {"description": "Which."},
        "old": KIND | {"default": "a"},
    },
    "required": ["title"],
}


@pytest.mark.parametrize(
    ("docstring", "description"), [('"""Do."""', "Do."), ("pass", "What happened.")]
)
def test_a_given_schema_of_the_arguments_is_resolved(docstring: str, description: str) -> None:
    assert derive(f"def f(event, more): {docstring}", args_json_schema=GIVEN) == {
        "name": "f",
        "description": description,
        "parameters": {
            "type": "object",
            "properties": {
                "event": EVENT,
                "more": {"anyOf": [array(EVENT), {"type": "null"}]},
            },
            "required": ["event"],
        },
    }


DEEP: dict[str, Any] = {}
for _ in range(5000):
    DEEP = {"default": DEEP}


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"properties": {"a": {"$ref": "#/$defs/A"}}}, "not in it"),
        ({"properties": {"a": {"$ref": "https://example.com/a"}}}, "not in it"),
        ({"properties": {"a": {"$ref": "#"}}}, "not in it"),
        ({"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}}, "refers to itself"),
        (
            {
                "properties": {"a": {"$ref": "#/$defs/A0"}},
                "$defs": {
                    f"A{n}": {"anyOf": [{"$ref": f"#/$defs/A{n + 1}"}] * 2} for n in range(40)
                },
            },
            "too large or too deep",
        ),
        ({"properties": []}, "not the schema of an object"),
        ({"required": "a"}, "not the schema of an object"),
        ({"properties": {"a": DEEP}}, "too deep"),
    ],
)
def test_a_given_schema_that_cannot_be_is_refused(given: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidArgument, match=reason):
        derive("def f(): pass", args_json_schema=given)


def test_a_given_schema_may_say_odd_things() -> None:
    given = {"properties": {"a": True, "b": {"title": {}}}, "required": [[], {}, "b", "c"]}
    parameters = derive("def f(): pass", args_json_schema=given)["parameters"]
    assert parameters["properties"] == {"a": True, "b": {"title": {}}}
    assert parameters["required"] == ["b"]
