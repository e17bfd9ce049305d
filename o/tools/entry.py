"""Which function of a source is the tool, and what it wants to be given; by syntax tree alone."""

import asyncio
from dataclasses import dataclass
from functools import lru_cache

from o.errors import InvalidArgument
from o.tools.signatures.definitions import definitions
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
        known = definitions(parse_source(source))
    except InvalidArgument:
        return Entry(name)
    function = known.functions.get(name) or known.last_function
    if function is None:
        return Entry(name)
    given = function.args
    parameters = [*given.posonlyargs, *given.args, *given.kwonlyargs]
    return Entry(function.name, any(one.arg == "agent_state" for one in parameters))
