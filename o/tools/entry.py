"""Which function of a source is the tool, and what it wants to be given; by syntax tree alone."""

import ast
import asyncio
from dataclasses import dataclass
from functools import lru_cache

from o.errors import InvalidArgument
from o.tools.signatures.source import parse_source

_QUICK_CHARS = 20_000


@dataclass(frozen=True)
class Entry:
    """Where a tool begins.

    Attributes:
        takes_state: Whether it has an `agent_state` parameter.
    """

    function: str
    takes_state: bool = False


async def entry_of(source: str, name: str) -> Entry:
    """The function of that name, else the last public one: a tool may have been given a new name.

    A source that cannot be read has one of that name as far as we know: running it will tell.
    """
    if len(source) <= _QUICK_CHARS:
        return _entry(source, name)
    return await asyncio.to_thread(_entry, source, name)


@lru_cache(maxsize=500)
def _entry(source: str, name: str) -> Entry:
    try:
        tree = parse_source(source)
    except InvalidArgument:
        return Entry(name)
    found = {
        node.name: node
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    if not found:
        return Entry(name)
    public = [one for one in found if not one.startswith("_")]
    function = found.get(name) or found[(public or list(found))[-1]]
    given = function.args
    parameters = [*given.posonlyargs, *given.args, *given.kwonlyargs]
    return Entry(function.name, any(one.arg == "agent_state" for one in parameters))
