"""Lists of tools: those that come with the server, as the oldest, and those that are rows."""

from collections.abc import Collection
from dataclasses import dataclass, replace

from sqlalchemy.ext.asyncio import AsyncConnection

from api.wire.tools import ToolBody, tool_body, tool_id
from o.domain.actors import Actor
from o.storage.pages import Page
from o.storage.tools.tools import ToolFilter, count_tools, list_tools
from o.tools.registry import BUILT_IN_TOOLS


@dataclass(frozen=True)
class WantedTools:
    """What a list or a count is about.

    Attributes:
        built_in: Whether tools that come with the server may be among them.
        stored: Whether tools that are rows may be.
    """

    by: ToolFilter
    built_in: bool = True
    stored: bool = True


async def page_of_tools(
    connection: AsyncConnection, actor: Actor, wanted: WantedTools, page: Page
) -> list[ToolBody]:
    """A page of the tools wanted, by the time they were made.

    Raises:
        NotFound: A cursor names no tool of this actor.
    """
    every = [tool_id(actor.organization_id, name) for name in BUILT_IN_TOOLS]
    places = {id_: place for place, id_ in enumerate(every)}
    built_in = [
        tool for tool in built_in_tools(actor, wanted) if _is_on(page, places, places[tool.id])
    ]
    rows: list[ToolBody] = []
    if (narrowed := _of_rows(page, places)) is not None:
        by = wanted.by if wanted.stored else replace(wanted.by, ids=())
        rows = [ToolBody.of(tool) for tool in await list_tools(connection, actor, by, narrowed)]
    both = [*built_in, *rows] if page.ascending else [*rows, *built_in[::-1]]
    return both[: page.limit]


async def count_of_tools(connection: AsyncConnection, actor: Actor, wanted: WantedTools) -> int:
    """How many there are of those wanted."""
    rows = await count_tools(connection, actor, wanted.by) if wanted.stored else 0
    return rows + len(built_in_tools(actor, wanted))


def built_in_tools(actor: Actor, wanted: WantedTools) -> list[ToolBody]:
    """Those wanted of the tools that come with the server, in their order."""
    if not wanted.built_in:
        return []
    shown = (tool_body(actor.organization_id, name) for name in BUILT_IN_TOOLS)
    return [tool for tool in shown if _is_wanted(tool, wanted.by)]


def _is_wanted(tool: ToolBody, by: ToolFilter) -> bool:
    def among(value: str, values: Collection[str] | None) -> bool:
        return values is None or value in values

    return (
        among(tool.name, by.names)
        and among(tool.id, by.ids)
        and among(tool.tool_type, by.types)
        and tool.tool_type not in (by.not_types or ())
        and (by.search or "").lower() in tool.name.lower()
        and not by.tags
        and by.mcp_server_id is None
    )


def _is_on(page: Page, places: dict[str, int], place: int) -> bool:
    """Whether a built-in tool is between the cursors; rows are all behind the last, by age."""
    here = len(places)  # where rows are, as seen from here
    older, newer = (page.after, page.before) if page.ascending else (page.before, page.after)
    return (older is None or place > places.get(older, here)) and (
        newer is None or place < places.get(newer, here)
    )


def _of_rows(page: Page, places: dict[str, int]) -> Page | None:
    """The page as rows are asked for it; None when a cursor leaves none of them."""
    older, newer = (page.after, page.before) if page.ascending else (page.before, page.after)
    if newer in places:
        return None
    if older in places:
        older = None
    after, before = (older, newer) if page.ascending else (newer, older)
    return replace(page, after=after, before=before)
