"""No source crashes the derivation of a schema, and none is run."""

import ast
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from o.errors import InvalidArgument
from o.tools.schema import derive

EXAMPLES = int(os.environ.get("O_FUZZ_EXAMPLES", "40"))
DOC = '"""Do.\n\n    Args:\n        x: An x.\n    """'


def attempt(source: str, **given_: Any) -> dict[str, Any] | None:
    """The schema, which JSON and PostgreSQL can hold, or None where it is refused."""
    try:
        schema = derive(source, **given_)
    except InvalidArgument as error:
        error.message.encode()
        return None
    text = json.dumps(schema, allow_nan=False, ensure_ascii=False)
    assert "\0" not in text
    text.encode()
    return schema


WORDS = (
    "def f ( x : int = ) @ lambda * ** / , -> ... async list[ ] Literal[ | ' f'{ } 0x 1e999 await"
)
ODDITIES = ["\n    ", "Optional[", '"""', "Args:\n x: y\n", "\\", "\0", "\ud800", "\ufeff", "\r"]
BLOCKS = ["class A(BaseModel):\n    a: 'A'\n", "type X = int\n", "if 1:\n  ", "match x:\n case "]
PIECES = st.sampled_from([*WORDS.split(), *ODDITIES, *BLOCKS, "9" * 5000, " ", "\t", "\f", "é"])


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.text(st.characters(), max_size=300) | st.lists(PIECES, max_size=40).map("".join))
def test_any_text_is_refused_or_has_a_schema(text: str) -> None:
    attempt(text)
    attempt(f"def f(x: {text}):\n    {DOC}")
    attempt(f"class A(BaseModel):\n    a: {text}\ndef f(x: A):\n    {DOC}")
    attempt(f"def f(x: int):\n    {text!r}")


TYPES = "A B f x int str list List dict Optional Union Literal Annotated BaseModel Enum tuple"
NAMES = st.sampled_from(TYPES.split())
CONSTANTS = st.sampled_from(
    [None, ..., True, 1, -1, 2**70, 1e999, "a", "A", "x: int", "\ud800\0", b"a"]
)


def larger(inner: st.SearchStrategy[ast.expr]) -> st.SearchStrategy[ast.expr]:
    calls = st.builds(
        lambda f, args, kw: ast.Call(f, args, [ast.keyword("description", kw)]),
        inner,
        st.lists(inner, max_size=2),
        inner,
    )
    return st.one_of(
        st.builds(lambda a, b: ast.Subscript(a, b, ast.Load()), inner, inner),
        st.builds(lambda a: ast.Tuple(a, ast.Load()), st.lists(inner, max_size=3)),
        st.builds(lambda a, b: ast.BinOp(a, ast.BitOr(), b), inner, inner),
        st.builds(lambda a: ast.UnaryOp(ast.USub(), a), inner),
        st.builds(lambda a, n: ast.Attribute(a, n, ast.Load()), inner, NAMES),
        calls,
    )


EXPRESSIONS = st.recursive(
    st.builds(ast.Constant, CONSTANTS) | st.builds(lambda n: ast.Name(n, ast.Load()), NAMES), larger
)


@settings(max_examples=EXAMPLES, deadline=None)
@given(EXPRESSIONS, EXPRESSIONS, EXPRESSIONS, EXPRESSIONS)
def test_any_annotation_base_and_value_is_refused_or_has_a_schema(
    annotation: ast.expr, base: ast.expr, of_field: ast.expr, value: ast.expr
) -> None:
    lines = [
        f"class A(BaseModel, {ast.unparse(base)}):",
        f"    a: ({ast.unparse(of_field)}) = {ast.unparse(value)}",
        f"    b = {ast.unparse(value)}",
        f"B = {ast.unparse(of_field)}",
        f"def f(x: ({ast.unparse(annotation)}) = {ast.unparse(value)}):",
        f"    {DOC}",
    ]
    attempt("\n".join(lines))


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(st.characters(), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["properties", "$ref", "$defs", "allOf", "items", "title", "required", "\ud800"]
            ),
            inner | st.sampled_from(["#/$defs/a", "#", "#/properties/items", "#/items"]),
            max_size=4,
        )
    ),
)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.dictionaries(st.sampled_from(["properties", "$defs", "items", "required", "$ref"]), JSON))
def test_any_schema_of_arguments_is_refused_or_resolved(schema: dict[str, Any]) -> None:
    attempt("def f(): pass", args_json_schema=schema)


N = 260_000
BOMBS = {
    "statements": "x\n" * (N // 2),
    "elements": "x=(" + "a," * (N // 2) + ")",
    "attributes": "a" + ".b" * (N // 2),
    "sums": "1" + "+1" * (N // 2),
    "signs": "-" * N + "1",
    "negations": "not " * (N // 4) + "1",
    "powers": "1" + "**1" * (N // 3),
    "lambdas": "lambda:" * (N // 7) + "1",
    "brackets": "(" * N,
    "closed brackets": "x=" + "(" * 150 + "1" + ")" * 150,
    "wrong brackets": "x=" + "[" * 150 + "1" + "]" * 149 + ")",
    "indented": "".join(" " * n + "if 1:\n" for n in range(700)),
    "fields": "x=f'" + "{1}" * (N // 3) + "'",
    "a megabyte of fields": "x=f'" + "{1}" * 20_000 + "'" + "a" * 980_000,
    "nested fields": "x=f'" + '{f"' * 50 + "'",
    "digits": "x=" + "9" * N,
    "hexadecimal": "x=0x" + "f" * N,
    "a megabyte of text": "x='" + "a" * 1_000_000 + "'",
    "a megabyte of lines": "\n" * 1_000_000,
    "a megabyte of code": "x = f(1)\n" * 110_000,
    "more": " " * 2_000_000,
    "branches": "if 1: pass\n" + "elif 1: pass\n" * (N // 13),
    "comparisons": "1" + "<1" * (N // 2),
    "targets": "x=" * (N // 2) + "1",
    "escapes": "'" + "\\d" * (N // 2) + "'",
    "decorators": "@a\n" * (N // 3) + "def f(): pass",
    "unions": f"def f(x: {'|'.join(['int'] * 2000)}):\n    {DOC}",
    "lists": f"def f(x: {'list[' * 90}int{']' * 90}):\n    {DOC}",
    "quoted": f"def f(x: {repr(repr(repr('int')))!r}):\n    {DOC}",
    "twice": "".join(f"class A{n}(BaseModel):\n  a: A{n + 1}\n  b: A{n + 1}\n" for n in range(99))
    + f"def f(x: A0):\n    {DOC}",
    "aliases": "".join(f"A{n} = A{n + 1}\n" for n in range(5000)) + f"def f(x: A0):\n    {DOC}",
    "ancestors": "class A0: pass\n"
    + "".join(f"class A{n + 1}(A{n}): pass\n" for n in range(3000))
    + f"def f(x: A3000):\n    {DOC}",
    "ancestors in a ring": f"class A(B): pass\nclass B(A): pass\ndef f(x: A):\n    {DOC}",
    "parameters": "def f(" + ",".join(f"a{n}: int" for n in range(9000)) + f"):\n    {DOC}",
    "docstring": 'def f(x: int):\n    """Do.\n\n    Args:\n'
    + "        x: y\n" * 20_000
    + '    """',
    "colons": 'def f(x: int):\n    """' + ": " * 100_000 + '"""',
    "models with long docstrings": "".join(
        f'class A{n}(BaseModel):\n  """{"x: y " * 2000}"""\n  a: A{n + 1}\n' for n in range(20)
    )
    + f"def f(x: A0):\n    {DOC}",
}

ALONE = """
import pathlib, resource, sys, time, threading
from o.tools.schema import derive
from o.errors import InvalidArgument
def told():
    before, begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    try: derive(pathlib.Path(sys.argv[1]).read_text())
    except InvalidArgument: pass
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(time.process_time() - begun, after - before)
thread = threading.Thread(target=told); thread.start(); thread.join()
"""
# The largest that are taken; each in a process of its own, since memory is counted by its peak.
HEAVY = {
    "statements": "x\n" * 49_900,
    "calls": "f()\n" * 16_000,
    "fields": "x=f'" + "{1}" * 12_800 + "'",
    "sums": "1" + "+1" * 24_000,
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_refused_within_bounds(bomb: str) -> None:
    begun = time.process_time()
    attempt(BOMBS[bomb])
    assert time.process_time() - begun < 4  # a second on an idle machine


@pytest.mark.parametrize("heavy", HEAVY)
def test_the_largest_source_takes_little_time_and_memory(heavy: str, tmp_path: Path) -> None:
    (tmp_path / "tool.py").write_text(HEAVY[heavy])
    command = [sys.executable, "-c", ALONE, str(tmp_path / "tool.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    seconds, kilobytes = (float(word) for word in done.stdout.split())
    assert seconds < 4
    assert kilobytes < 120 * 1024
    assert done.stderr == ""


CANARIES = [
    "open({path!r}, 'w')\ndef f():\n    'Do.'",
    "def f(x: open({path!r}, 'w') = open({path!r}, 'w')):\n    {doc}",
    "@open({path!r}, 'w')\ndef f(x: int):\n    {doc}",
    "def f(x: \"open({path!r}, 'w')\"):\n    {doc}",
    "def f(x: Literal[open({path!r}, 'w')]):\n    {doc}",
    "class A(BaseModel):\n    open({path!r}, 'w')\n    a: int = Field(open({path!r}, 'w'))\n"
    "def f(x: A):\n    {doc}",
    "class M(type):\n    def __new__(*a): open({path!r}, 'w')\n"
    "class A(BaseModel, metaclass=M): pass\n"
    "def f(x: A):\n    {doc}",
    "A = open({path!r}, 'w')\ndef f(x: A):\n    {doc}",
    "import antigravity, this\n__import__('os').system('touch ' + {path!r})\ndef f():\n    'Do.'",
    "def f(x: f'{{open({path!r}, \"w\")}}'):\n    {doc}",
    "def f():\n    f'{{open({path!r}, \"w\")}}'",
]


@pytest.mark.parametrize("canary", CANARIES)
def test_nothing_of_a_source_is_run(canary: str, tmp_path: Path) -> None:
    path = tmp_path / "ran"
    loaded = set(sys.modules)
    attempt(canary.format(path=str(path), doc=DOC))
    assert not path.exists()
    assert not {"antigravity", "this"} & (set(sys.modules) - loaded)
