"""Searching tools by the words of a query."""

from sqlalchemy.ext.asyncio import AsyncConnection

from api.tools.tool_lists import WantedTools, built_in_tools
from api.wire.tool_requests import FoundToolBody, SearchToolsBody
from api.wire.tools import ToolBody
from o.domain.actors import Actor
from o.domain.tools import WEIGHTS
from o.storage.tools.tools import ToolFilter, search_tools

_MOST_WORDS = 20


async def find_by_words(
    connection: AsyncConnection, actor: Actor, body: SearchToolsBody
) -> list[FoundToolBody]:
    """The tools that have any of the query's words, the best first; without words, all."""
    words = list(dict.fromkeys((body.query or "").casefold().split()))[:_MOST_WORDS]
    by = ToolFilter(types=body.tool_types, tags=body.tags)
    rows = await search_tools(connection, actor, words, by, limit=body.limit)
    found = [(ToolBody.of(tool), weight) for tool, weight in rows]
    found += [(tool, _weight(tool, words)) for tool in built_in_tools(actor, WantedTools(by))]
    found = [one for one in found if one[1] > 0 or not words]
    found.sort(key=lambda one: -one[1])
    most = max(1, len(words)) * sum(WEIGHTS.values())
    return [
        FoundToolBody(tool=tool, fts_rank=place, combined_score=weight / most)
        for place, (tool, weight) in enumerate(found[: body.limit], 1)
    ]


def _weight(tool: ToolBody, words: list[str]) -> int:
    places = {"name": tool.name, "tags": " ".join(tool.tags), "description": tool.description}
    return sum(
        WEIGHTS[name] for name, text in places.items() for word in words if word in text.casefold()
    )
