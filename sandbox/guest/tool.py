"""In the process of the tool: define it, call it, and write what came of it as JSON."""

from __future__ import annotations

import contextlib
import os
import sys
import types
import typing
from typing import Any, Callable

from .agent import AgentState
from .arguments import bind
from .client import letta_client_for
from .values import NotJson, clean, to_json

_FILE = "<tool>"
_MESSAGE_CHARS, _TRACEBACK_CHARS = 2_000, 4_000
_RESERVE = 64 * 1024
"""Bytes for an error, which is told even when the result is over its limit."""

_TYPING = {name: vars(typing)[name] for name in typing.__all__ if name in vars(typing)}
"""Known to every tool, as in V1: clients send a function without the imports above it."""

_lines: dict[str, Any] = {}
"""The tool's source, as `linecache` has it for tracebacks."""


def get_ready() -> None:
    """Import, while nobody waits, what calls may need: it takes longer than most of them."""
    import asyncio  # noqa: F401, PLC0415
    import inspect  # noqa: F401, PLC0415
    import traceback  # noqa: F401, PLC0415


def run(job: dict[str, Any]) -> bytes:
    """Run the tool of a job.

    Returns:
        JSON: `result` and `block_edits`, or `error` with `kind`, `type`, `message`, `traceback`.
    """
    name = job["function"]
    state = AgentState(job["agent_state"]) if job.get("agent_state") else None
    try:
        function = _define(job["source"], name, job.get("agent_id"))
    except SyntaxError as error:
        return _failed("source", error)
    except BaseException as error:
        return _failed("raised", error)
    if function is None:
        lacking = NotJson(f"the source defines no function {name}")
        return _failed("source", lacking, "NameError")
    try:
        value = _call(function, job["arguments"], state)
        edits = state.edits() if state is not None else []
    except BaseException as error:
        return _failed("raised", error)
    return _returned(value, edits, job["result_limit"])


def _define(source: str, name: str, agent_id: str | None) -> Callable[..., Any] | None:
    # A module that others can import: annotations and dataclasses look theirs up by name.
    module = types.ModuleType("tool")
    module.__dict__.update(_TYPING, agent_id=agent_id or None, client=letta_client_for(source))
    sys.modules["tool"] = module
    _lines[_FILE] = (len(source), None, source.splitlines(True), _FILE)
    if "linecache" in sys.modules:
        sys.modules["linecache"].cache.update(_lines)
    exec(compile(source, _FILE, "exec", dont_inherit=True), module.__dict__)  # noqa: S102
    found = module.__dict__.get(name)
    return found if callable(found) else None


def _call(function: Callable[..., Any], arguments: dict[str, Any], state: Any) -> Any:
    positional, named = bind(function, arguments, state)
    value = function(*positional, **named)
    if hasattr(value, "__await__"):
        import asyncio  # noqa: PLC0415 - see `get_ready`

        value = asyncio.run(_awaited(value))
    return value


async def _awaited(value: Any) -> Any:
    return await value


def _returned(value: Any, edits: list[dict[str, Any]], limit: int) -> bytes:
    try:
        text = to_json(value, limit)
        changed = to_json(edits, limit)
        if not changed.startswith("["):
            raise NotJson(f"the blocks that were changed hold more than {limit} bytes")
    except NotJson as error:
        return _failed("result", error, "ValueError")
    except BaseException as error:
        return _failed("result", error)
    return ('{"result":' + text + ',"block_edits":' + changed + "}").encode()


def _failed(kind: str, error: BaseException, name: str = "") -> bytes:
    told = {
        "kind": kind,
        "type": name or type(error).__name__,
        "message": _told(error)[:_MESSAGE_CHARS],
        "traceback": "" if name else _traceback(error)[-_TRACEBACK_CHARS:],
    }
    return ('{"error":' + to_json(told, _RESERVE) + "}").encode()


def _told(error: BaseException) -> str:
    try:
        return clean(str(error))
    except BaseException:
        return "(an error that cannot say what it is)"


def _traceback(error: BaseException) -> str:
    """From the tool's first line on: what stands above it, or raised without it, is the sandbox."""
    frame = error.__traceback__
    while frame is not None and frame.tb_frame.f_code.co_filename != _FILE:
        frame = frame.tb_next
    try:
        import linecache  # noqa: PLC0415 - see `get_ready`
        import traceback  # noqa: PLC0415

        linecache.cache.update(_lines)
        lines = traceback.format_exception(type(error), error, frame)
        return clean("".join(lines))
    except BaseException:
        return ""


def flush() -> None:
    """Bring out what the tool printed, if its streams still can."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(BaseException):  # the tool may have replaced or closed it
            stream.flush()


def enter(environment: dict[str, str], packages: str | None) -> None:
    """Give this process the tool's environment, streams and packages, and nothing else."""
    os.environ.clear()
    for name, text in environment.items():
        try:
            os.environ[name] = text
        except (ValueError, UnicodeError):  # noqa: PERF203 - no name that a process can have
            continue
    # They last as long as the process.
    sys.stdin = open(0, encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="replace", buffering=1, closefd=False)  # noqa: SIM115
    sys.argv = ["tool"]
    if packages:
        # Behind the standard library, so that nothing there takes its place.
        other = [place.endswith("-packages") for place in sys.path]
        sys.path.insert(other.index(True) if any(other) else len(other), packages)
