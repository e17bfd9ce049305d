"""The built-in tools that reach the web. O makes no call that its operator did not ask for."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from activities.built_in import Arguments, BuiltIn
from o.domain.agents import Agent
from o.domain.web_specs import FETCH_WEBPAGE, WEB_SEARCH
from o.errors import ToolFailed

_NOT_ENABLED = (
    "Web access is not enabled on this server, so nothing was fetched. Do not try again: go on "
    "without it, and tell the user that the operator of the server would have to enable it."
)


class WebSearchArguments(Arguments):
    """Arguments of `web_search`."""

    query: str


class FetchArguments(Arguments):
    """Arguments of `fetch_webpage`."""

    url: str


async def web_search(
    connection: AsyncConnection, agent: Agent, arguments: WebSearchArguments
) -> str:
    """Say that there is no web access."""
    raise ToolFailed(_NOT_ENABLED)


async def fetch_webpage(
    connection: AsyncConnection, agent: Agent, arguments: FetchArguments
) -> str:
    """Say that there is no web access."""
    raise ToolFailed(_NOT_ENABLED)


WEB_TOOLS: dict[str, BuiltIn[Any]] = {
    WEB_SEARCH.name: BuiltIn(WebSearchArguments, web_search),
    FETCH_WEBPAGE.name: BuiltIn(FetchArguments, fetch_webpage),
}
