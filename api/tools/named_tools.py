"""Tools as clients name them, for an agent that is to have them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncConnection

from api.wire.tools import tool_names_by_id
from o.domain.actors import Actor
from o.domain.llm import ToolSpec
from o.domain.tools import StoredTool
from o.errors import InvalidArgument
from o.storage.tools.tools import find_tools, tool_not_found
from o.tools.registry import BUILT_IN_TOOLS


@dataclass(frozen=True)
class NamedTools:
    """Tools that are there, each once, in the order in which they were named.

    Attributes:
        stored: Those of them that are rows, in any order.
    """

    specs: list[ToolSpec] = field(default_factory=list)
    stored: list[StoredTool] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """What an agent has them by."""
        return [spec.name for spec in self.specs]


async def tools_named(
    connection: AsyncConnection,
    actor: Actor,
    *,
    names: Sequence[str] = (),
    ids: Sequence[str] = (),
) -> NamedTools:
    """The tools by those names, then those by those ids; they stay until the commit.

    Raises:
        InvalidArgument: There is no tool by one of the names, in the words that clients look for.
        NotFound: There is none by one of the ids.
    """
    built_in = tool_names_by_id(actor.organization_id) if ids else {}
    stored = await find_tools(
        connection,
        actor.organization_id,
        names=[name for name in names if name not in BUILT_IN_TOOLS],
        ids=[tool_id for tool_id in ids if tool_id not in built_in],
    )
    specs = {tool.name: tool.spec for tool in stored} | {
        name: tool.spec for name, tool in BUILT_IN_TOOLS.items()
    }
    by_id = {tool.id: tool.name for tool in stored} | built_in
    if missing := [name for name in names if name not in specs]:
        raise InvalidArgument(f"Tools not found by name: {missing}")
    for tool_id in ids:
        if tool_id not in by_id:
            raise tool_not_found(tool_id)
    wanted = dict.fromkeys([*names, *(by_id[tool_id] for tool_id in ids)])
    return NamedTools([specs[name] for name in wanted], [t for t in stored if t.name in wanted])
