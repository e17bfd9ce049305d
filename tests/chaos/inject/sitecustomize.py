"""Kill points, put into O's processes from outside: this folder is on their PYTHONPATH.

Python imports this file at the start of every process; it does something only in O's own, and only
where `O_TEST_POINTS` is set, which names a folder. The code that it changes may be loaded by the
process from which others are forked, so each stop first looks whose command line this is, and then
for its product's folder. A file `<point>.armed` there arms a point: the first process that comes by
renames it to `<point>.reached`, writes its pid into it, and waits for it to be removed.
`tests/chaos/points.py` says where the points are.
"""

import asyncio
import functools
import os
import sys
from collections import Counter, defaultdict
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.chaos.points import Point

_FOLDER = "O_TEST_POINTS"
_passed: Counter[str] = Counter()


async def _pass(name: str, nth: int = 1) -> None:
    """Stop here if the point is armed, without blocking the event loop."""
    folder = Path(os.environ[_FOLDER])
    armed, reached = folder / f"{name}.armed", folder / f"{name}.reached"
    if not armed.exists():
        return
    _passed[name] += 1
    if _passed[name] < nth:
        return
    _passed[name] = 0
    try:
        armed.rename(reached)
    except FileNotFoundError:
        return
    reached.write_text(str(os.getpid()))
    while reached.exists():
        await asyncio.sleep(0.005)


def _wrapped(original: Any, point: "Point") -> Any:
    """The coroutine function with a stop before or after it."""

    @functools.wraps(original)
    async def call(*args: Any, **kwargs: Any) -> Any:
        name = _name(point, [*args, *kwargs.values()]) if _is_in(point.process) else None
        if name and point.moment == "before":
            await _pass(name, point.nth)
        result = await original(*args, **kwargs)
        if name and point.moment == "after":
            await _pass(name, point.nth)
        return result

    return call


def _is_in(process: str) -> bool:
    """Whether this is such a process, started or forked by the supervisor."""
    return sys.argv[1:] == [process]


def _name(point: "Point", arguments: list[Any]) -> str | None:
    """What this call is as a point, None when it is none."""
    if point.command:
        commands = arguments[-1].successful.commands
        return point.name if any(one.HasField(point.command) for one in commands) else None
    if not point.place:
        return point.name
    places = (getattr(one, point.place, None) for one in arguments)
    return next((f"{point.name}-{one}" for one in places if isinstance(one, int)), None)


def _wrapped_app(original: Any, point: "Point") -> Any:
    """The ASGI application with a stop before it sends what the point is about."""

    async def call(self: Any, scope: Any, receive: Any, send: Any) -> None:
        is_post = scope["type"] == "http" and scope["method"] == "POST"
        if not (is_post and scope["path"].endswith("/messages") and _is_in(point.process)):
            await original(self, scope, receive, send)
            return

        async def send_later(message: Any) -> None:
            if _is_due(message, point):
                await _pass(point.name)
            await send(message)

        await original(self, scope, receive, send_later)

    return call


def _is_due(message: Any, point: "Point") -> bool:
    if point.moment == "answer-start":
        return bool(message["type"] == "http.response.start")
    return b"assistant_message" in message.get("body", b"")


class _Hook(MetaPathFinder):
    """Puts the points of a module into it when it has been imported."""

    def __init__(self, points: "list[Point]") -> None:
        self._points: defaultdict[str, list[Point]] = defaultdict(list)
        for point in points:
            self._points[point.target.partition(":")[0]].append(point)

    def find_spec(
        self, fullname: str, path: Any, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self._points:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            for point in self._points[fullname]:
                _put(module, point)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _put(module: ModuleType, point: "Point") -> None:
    *path, last = point.target.partition(":")[2].split(".")
    owner: Any = functools.reduce(getattr, path, module)
    wrap = _wrapped_app if point.moment.startswith("answer") else _wrapped
    setattr(owner, last, wrap(getattr(owner, last), point))


if _FOLDER in os.environ and "server.cli" in sys.orig_argv:
    from tests.chaos.points import POINTS

    sys.meta_path.insert(0, _Hook(list(POINTS)))
