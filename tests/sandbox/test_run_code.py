"""`run_code` answers in V1's form, whatever the code does. The code here is harmless."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from activities.runners.run_code import RunCodeRunner
from o.errors import ToolFailed
from o.tools.invocation import Invocation, Returned
from sandbox.protocol import (
    Job,
    JobResult,
    Limits,
    Network,
    SandboxLost,
    SandboxState,
    SandboxUnavailable,
)
from tests.sandbox import plain


class PlainSandbox:
    """Runs jobs in a plain process, or raises what it is told to."""

    state = SandboxState("plain", "none")

    def __init__(self, failure: Exception | None = None) -> None:
        self.failure = failure

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def run(self, job: Job, *, before_sending: Callable[[], Awaitable[None]]) -> JobResult:
        if self.failure is not None:
            raise self.failure
        await before_sending()
        return await plain.run(job)


async def ran(
    code: str, language: str = "python", failure: Exception | None = None, timeout_s: float = 20
) -> Returned:
    runner = RunCodeRunner(
        PlainSandbox(failure), Limits(timeout_s=timeout_s), lambda agent: Network()
    )
    arguments = {"code": code, "language": language}
    call = Invocation("org", "run_code", arguments, idempotency_key="key")
    assert not runner.repeats_safely(call)
    return await runner.run(call, before_sending=plain.nothing)


def logs(stdout: list[str] | None = None, stderr: list[str] | None = None) -> dict[str, Any]:
    return {"stdout": stdout or [], "stderr": stderr or []}


@pytest.mark.parametrize(
    ("code", "results", "printed"),
    [
        ("1 + 1", ["2"], []),
        ("x = 20\nx * 2", ["40"], []),
        ("'text'", ["'text'"], []),
        ("None", [], []),
        ("x = 1", [], []),
        ("", [], []),
        ("# only a comment", [], []),
        ("print('hello')", [], ["hello\n"]),
        ("def f(n):\n    return n if n < 2 else f(n - 1) + f(n - 2)\nf(10)", ["55"], []),
        ("import math\n[math.floor(x) for x in (1.5, 2.5)]", ["[1, 2]"], []),
        ("if __name__ == '__main__':\n    print('main')", [], ["main\n"]),
        ("raise SystemExit(0)", [], []),
        (
            "from dataclasses import dataclass\n@dataclass\nclass A:\n    n: int\nA(1)",
            ["A(n=1)"],
            [],
        ),
    ],
)
async def test_the_last_expression_is_the_result(
    code: str, results: list[str], printed: list[str]
) -> None:
    returned = await ran(code)
    assert returned.status == "success"
    assert json.loads(returned.content) == {"results": results, "logs": logs(printed)}


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("x = (", "SyntaxError"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("import not_there_at_all", "ModuleNotFoundError"),
        (
            "class A:\n    def __repr__(self):\n        raise ValueError('no')\nA()",
            "ValueError: no",
        ),
    ],
)
async def test_what_code_raises_is_its_error(code: str, error: str) -> None:
    returned = await ran(code)
    answer = json.loads(returned.content)
    assert returned.status == "error"
    assert error in answer["error"]
    assert answer["results"] == []
    assert not any("notebook" in one or "_run(" in one for one in answer["logs"]["stderr"])


async def test_code_that_does_not_end_is_told() -> None:
    returned = await ran("print('begun', flush=True)\nwhile True: pass", timeout_s=1)
    answer = json.loads(returned.content)
    assert returned.status == "error"
    assert answer["error"]
    assert answer["logs"]["stdout"] == ["begun\n"]


async def test_long_results_leave_room_for_the_rest() -> None:
    returned = await ran("print('y' * 60_000)\n'x' * 90_000")
    assert len(returned.content) < 52_000
    answer = json.loads(returned.content)
    assert "was truncated" in answer["results"][0]


async def test_a_long_error_leaves_room_for_the_rest() -> None:
    returned = await ran("print('y' * 60_000)\nraise ValueError('x' * 90_000)")
    assert len(returned.content) < 52_000
    answer = json.loads(returned.content)
    assert "was truncated" in answer["error"]


@pytest.mark.parametrize("language", ["js", "ts", "r", "java", "perl"])
async def test_other_languages_are_refused_with_a_sentence(language: str) -> None:
    with pytest.raises(ToolFailed, match=f"runs Python, and no {language}"):
        await ran("1", language)


async def test_code_that_may_have_run_is_said_so() -> None:
    returned = await ran("1", failure=SandboxLost())
    assert (returned.status, returned.may_have_run) == ("error", True)


async def test_without_a_sandbox_nothing_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("activities.runners.sandboxed._PATIENCE_S", 0.0)
    with pytest.raises(ToolFailed, match="The code was not run: no engine"):
        await ran("1", failure=SandboxUnavailable("no engine"))
