"""What a tool is given, and what becomes of what it returns, prints and raises."""

import json
import os
import signal
from pathlib import PurePosixPath
from typing import Any

import pytest

from sandbox.frames import Inside
from sandbox.protocol import BlockEdit, Limits
from tests.sandbox.plain import job, returns, run

_RESULTS: dict[str, Any] = {
    "'text'": "text",
    "None": None,
    "(1, 2.5, True, None)": [1, 2.5, True, None],
    "{'a': {1: [b'raw']}, None: 2, True: 3}": {"a": {"1": ["raw"]}, "None": 2, "True": 3},
    "{3, 1, 2}": [1, 2, 3],
    "b'\\xff\\x00'": "/wA=",
    "datetime.datetime(2026, 1, 2, 3, 4)": "2026-01-02T03:04:00",
    "[datetime.date(2026, 1, 2), decimal.Decimal('1.50')]": ["2026-01-02", "1.50"],
    "Colour.RED": "red",
    "Point(1, [Point(2, [])])": {"x": 1, "more": [{"x": 2, "more": []}]},
    "Model()": {"kind": "model"},
    "collections.deque([1])": [1],
    "range(3)": [0, 1, 2],
    "ValueError('no')": "no",
    "'a\\x00b\\ud800c\\U0001F600'": "a\ufffdb\ufffdc\U0001f600",
    "10**300": 10**300,
    "[1, [2, [3]]]": [1, [2, [3]]],
}
_PRELUDE = """
import collections, dataclasses, datetime, decimal, enum, json
class Colour(enum.Enum): RED = 'red'
@dataclasses.dataclass
class Point:
    x: int
    more: list
class Model:
    def model_dump(self, mode): return {'kind': 'model'}
class Rude:
    def __str__(self): raise RuntimeError('no words')
loop = []
loop.append(loop)
deep = []
for _ in range(100_000): deep = [deep]
"""


async def test_results_of_every_kind_have_their_json() -> None:
    table = ",".join(f"lambda: {expression}" for expression in _RESULTS)
    got = await returns(f"{_PRELUDE}\ndef f(): return [one() for one in [{table}]]")
    assert dict(zip(_RESULTS, got, strict=True)) == _RESULTS


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("loop", "contains itself"),
        ("deep", "more than 100 levels"),
        ("[float('nan')]", "NaN"),
        ("{'a': float('-inf')}", "infinity"),
        ("10**20_000", "1,000 digits"),
        ("Rude()", "no words"),
    ],
)
async def test_a_result_that_json_has_not_is_said_so(expression: str, words: str) -> None:
    done = await run(job(f"{_PRELUDE}\ndef f(): return {expression}"))
    assert done.failure is not None
    assert done.failure.kind == "result"
    assert done.failure.message.startswith("Error executing function f: ")
    assert words in done.failure.message


@pytest.mark.parametrize(
    "expression", ["'x' * 5_000_000", "'\\x01' * 3_000_000", "['é' * 9] * 400_000", "'€' * 900_000"]
)
async def test_a_long_result_is_cut_and_says_so(expression: str) -> None:
    text = await returns(f"def f(): return {expression}")
    assert isinstance(text, str)
    assert len(text.encode()) < 1024 * 1024 + 200
    assert "the rest is left out" in text[-200:]


async def test_a_tool_that_puts_others_in_the_place_of_json_is_still_heard() -> None:
    source = """
import builtins, json, json.encoder, traceback, os, sys
def f():
    json.dumps = json.loads = json.JSONEncoder.encode = lambda *a, **k: 'forged'
    json.encoder.encode_basestring = lambda text: 'forged'
    traceback.format_exception = None
    sys.stdout = None
    return {'a': 'b'}
"""
    assert await returns(source) == {"a": "b"}


async def test_an_error_has_the_words_of_v1_and_the_tools_own_lines() -> None:
    source = "def g(x):\n    return 1 / x\ndef f():\n    print('before')\n    return g(0)"
    done = await run(job(source))
    assert done.failure is not None
    assert done.failure.kind == "raised"
    assert done.failure.message == (
        "Error executing function f: ZeroDivisionError: division by zero"
    )
    assert done.stdout == "before\n"
    assert done.stderr.endswith("ZeroDivisionError: division by zero\n")
    assert "return 1 / x" in done.stderr
    assert "guest" not in done.stderr


@pytest.mark.parametrize(
    ("source", "kind", "words"),
    [
        ("def f(:", "source", "SyntaxError: "),
        ("def g(): pass", "source", "NameError: the source defines no function f"),
        ("f = 3", "source", "NameError: "),
        ("import nothing_like_it", "raised", "pip_requirements"),
        ("def f(): raise SystemExit(3)", "raised", "SystemExit: 3"),
        ("def f(x): pass", "raised", "TypeError: f() missing 1 required positional"),
        ("class E(Exception):\n  __str__ = None\ndef f(): raise E", "raised", "E: (an error that"),
        ("def f(): raise ValueError('x' * 9999)", "raised", "ValueError: xxx"),
        ("import os\ndef f(): os._exit(7)", "died", "exit code 7"),
        ("import os\ndef f(): os.kill(os.getpid(), 9)", "died", "signal 9"),
        ("import os\ndef f(): os.write(3, b'\\0\\0\\0\\5hello')", "frame", "cannot be read"),
        ("import os\ndef f(): os.write(3, b'\\xff' * 4)", "frame", "cannot be read"),
        ("import os\ndef f(): os.write(3, b'\\0\\1\\0\\0' + b'[' * 65536)", "frame", "cannot be"),
    ],
)
async def test_what_goes_wrong_is_told_apart(source: str, kind: str, words: str) -> None:
    done = await run(job(source))
    assert done.failure is not None
    assert (done.failure.kind, words in done.failure.message) == (kind, True), done.failure
    assert len(done.failure.message) < 2_200
    assert "guest" not in done.failure.traceback


async def test_an_endless_tool_is_stopped_and_what_it_printed_is_there() -> None:
    source = """
import signal, time
def f():
    for one in range(1, 32):
        try: signal.signal(one, signal.SIG_IGN)
        except OSError: pass
    print('begun', flush=True)
    while True: time.sleep(1)
"""
    done = await run(job(source, limits=Limits(timeout_s=3)))
    assert done.failure is not None
    assert done.failure.kind == "timeout"
    assert "more than 3 seconds" in done.failure.message
    assert done.stdout == "begun\n"


async def test_a_grandchild_that_holds_the_streams_open_holds_nothing_up() -> None:
    source = """
import os, time
def f():
    grandchild = os.fork()
    if grandchild == 0:
        os.setsid()
        time.sleep(600)
        os._exit(0)
    print('said')
    return grandchild
"""
    done = await run(job(source))
    assert done.stdout == "said\n"
    os.kill(done.result, signal.SIGKILL)  # it was there, and nobody has waited for it


async def test_what_is_printed_is_kept_up_to_its_limit_and_counted() -> None:
    source = """
import os, sys
def f():
    os.write(1, b'raw \\xff\\n')
    for _ in range(300): print('x' * 9999)
    sys.stderr.write('warned')
    return 'ok'
"""
    done = await run(job(source))
    assert done.result == "ok"
    assert done.truncated
    assert done.stdout.startswith("raw \ufffd\nxxx")
    assert done.stdout.endswith("[NOTE: 3,000,006 bytes were printed; the rest is left out]")
    assert len(done.stdout) < 70_000
    assert done.stderr == "warned"


async def test_a_tool_has_its_own_environment_and_nothing_else() -> None:
    source = (
        "import os, sys\ndef f(): return [dict(os.environ), sys.stdin.read(), agent_id, client]"
    )
    environment = {"KEY": "secret", "LETTA_AGENT_ID": "forged", "bad=name": "x", "NUL": "\0"}
    called = job(source, environment=environment, agent_id="agent-1", idempotency_key="once")
    done = await run(called)
    found, stdin, agent_id, client = done.result
    assert found == {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": "/tmp",
        "LANG": "C.UTF-8",
        "KEY": "secret",
        "LETTA_AGENT_ID": "agent-1",
        "O_IDEMPOTENCY_KEY": "once",
    }
    assert (stdin, agent_id, client) == ("", "agent-1", None)


async def test_arguments_become_the_models_that_they_are_annotated_with() -> None:
    source = """
from __future__ import annotations
import enum
from typing import Dict, List, Optional, Union
class Colour(enum.Enum): RED = 'red'
class Item:
    def __init__(self, n): self.n = n
    @classmethod
    def model_validate(cls, data): return cls(data['n'])
def f(one: Item, many: List[Item], named: Dict[str, Item], maybe: Optional[Item] = None,
      either: Union[int, Item] = 0, plain: dict = {}, /, *, self=1,
      colours: List[Colour] = (), **more):
    found = [one.n, many[0].n, named['a'].n, maybe.n, either.n, plain, self, more]
    return found + [colours[0] is Colour.RED, colours[1]]
"""
    arguments = {
        "one": {"n": 1},
        "many": [{"n": 2}],
        "named": {"a": {"n": 3}},
        "maybe": {"n": 4},
        "either": {"n": 5},
        "plain": {"n": 6},
        "self": "given by the model",
        "extra": 7,
        "colours": ["red", "mauve"],
    }
    found = await returns(source, arguments=arguments)
    assert found == [1, 2, 3, 4, 5, {"n": 6}, None, {"extra": 7}, True, "mauve"]


async def test_text_becomes_what_a_plain_annotation_asks_for_where_it_spells_that() -> None:
    source = """
from typing import Dict, List, Optional, Union
def f(n: int, x: float, ok: bool, some: List[int], plain: dict, maybe: Optional[int],
      text: str, either: Union[int, str], wrong: int, truth: int, big: "Dict[str, float]"):
    return [n, x, ok, some, plain, maybe, text, either, wrong, truth, big]
"""
    arguments = {
        "n": "3",
        "x": "3.5",
        "ok": "True",
        "some": '["1", 2]',
        "plain": '{"a": "1"}',
        "maybe": "4",
        "text": "5",
        "either": "6",
        "wrong": "many",
        "truth": "true",
        "big": '{"a": "7.5"}',
    }
    found = await returns(source, arguments=arguments)
    told = ["5", "6", "many", "true"]
    assert found == [3, 3.5, True, [1, 2], {"a": "1"}, 4, *told, {"a": 7.5}]


async def test_a_function_that_came_without_its_imports_knows_the_names_of_typing() -> None:
    source = (
        "def f(x: List[int], y: Optional[str] = None) -> Dict[str, Any]: return {'x': x, 'y': y}"
    )
    assert await returns(source, arguments={"x": [1]}) == {"x": [1], "y": None}


async def test_a_coroutine_is_awaited() -> None:
    source = "import asyncio\nasync def f(x):\n    await asyncio.sleep(0)\n    return x + 1"
    assert await returns(source, arguments={"x": 1}) == 2


async def test_a_main_block_of_the_source_does_not_run() -> None:
    source = "def f(): return __name__\nif __name__ == '__main__': raise SystemExit"
    assert await returns(source) == "tool"


_STATE = {
    "id": "agent-1",
    "blocks": [
        {"label": "human", "value": "Ada", "limit": 10, "read_only": False, "version": 3},
        {"label": "persona", "value": "kind", "limit": 10, "read_only": True, "version": 1},
        {"label": "notes", "value": "", "limit": 10, "read_only": False, "version": 0},
    ],
}


async def test_changed_blocks_come_back_with_the_version_that_was_read() -> None:
    source = """
def f(agent_state: 'AgentState'):
    memory = agent_state.memory
    memory.update_block_value(label='human', value=memory.get_block('human').value + '!')
    memory.get_block('notes').value = 'new'
    return [agent_state.id, memory.list_block_labels()]
"""
    done = await run(job(source, agent_state=_STATE))
    assert done.result == ["agent-1", ["human", "persona", "notes"]]
    assert done.block_edits == (BlockEdit("human", "Ada!", 3), BlockEdit("notes", "new", 0))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("agent_state.memory.update_block_value('persona', 'evil')", "read-only"),
        ("agent_state.memory.get_block('human').value = 'x' * 11", "10 characters"),
        ("agent_state.memory.update_block_value('human', 3)", "is text, not int"),
        ("agent_state.memory.get_block('nothing')", "has no block nothing"),
    ],
)
async def test_a_block_that_does_not_take_its_value_fails_the_call(change: str, words: str) -> None:
    done = await run(job(f"def f(agent_state): {change}", agent_state=_STATE))
    assert done.failure is not None
    assert words in done.failure.message
    assert not done.block_edits


async def test_without_an_agent_the_state_is_none() -> None:
    called = {"arguments": {"agent_state": "forged"}}
    assert await returns("def f(agent_state): return agent_state", **called) is None


async def test_limits_of_the_process_and_packages_are_set(tmp_path: PurePosixPath) -> None:
    source = "import resource, sys\ndef f(): return [resource.getrlimit(7), sys.path]"
    inside = Inside(packages=PurePosixPath(tmp_path), rlimits={"NOFILE": 99, "NOTHING": 1})
    done = await run(job(source), inside)
    limit, path = done.result
    assert limit == [99, 99]
    assert str(tmp_path) in path[1:]
    assert path.index(str(tmp_path)) < [one.endswith("-packages") for one in path].index(True)


async def test_a_job_that_is_too_long_is_not_sent() -> None:
    done = await run(job("def f(x): pass", arguments={"x": "x" * 17_000_000}))
    assert done.failure is not None
    assert "it was not run" in done.failure.message
    assert len(json.dumps(done.failure.message)) < 300
