"""The built-in tools that reach the web. O makes no call that its operator did not ask for."""

from typing import Annotated

from pydantic import Field

from o.domain.llm import ToolSpec
from o.tools.tool import Arguments, RunElsewhere, Tool, integer, schema, string

SEARCH = "web_search"
FETCH = "fetch_webpage"
_TYPE = "letta_builtin"
_DOMAINS = {"type": "array", "items": {"type": "string"}}
_NOT_ENABLED = (
    "Web access is not enabled on this server, so nothing was fetched. Do not try again: go on "
    "without it, and tell the user that the operator of the server would have to enable it."
)

_SEARCH = ToolSpec(
    name=SEARCH,
    description="Search the web. Returns the pages that fit best, with excerpts.",
    parameters=schema(
        {
            "query": string("What to search for."),
            "num_results": integer("How many pages, 1 to 100.", default=10),
            "category": string(
                "Only pages of this kind, such as news, pdf, company or research paper."
            ),
            "include_text": {
                "type": "boolean",
                "description": "Whether to return whole pages, which are long.",
                "default": False,
            },
            "include_domains": {"description": "Only pages of these domains.", **_DOMAINS},
            "exclude_domains": {"description": "No pages of these domains.", **_DOMAINS},
            "start_published_date": string("Earliest day or time, ISO 8601."),
            "end_published_date": string("Latest day or time, ISO 8601."),
            "user_location": string("Country to search from, two letters."),
        },
        ["query"],
    ),
    tool_type=_TYPE,
)

_FETCH = ToolSpec(
    name=FETCH,
    description="Read a page of the web as text.",
    parameters=schema({"url": string("Address of the page.")}, ["url"]),
    tool_type=_TYPE,
)


class SearchArguments(Arguments):
    """Arguments of `web_search`."""

    query: Annotated[str, Field(min_length=1, max_length=4_000)]
    num_results: int | None = None
    category: str | None = None
    include_text: bool | None = None
    include_domains: list[str] | None = None
    exclude_domains: list[str] | None = None
    start_published_date: str | None = None
    end_published_date: str | None = None
    user_location: str | None = None

    @property
    def most(self) -> int:
        """How many results are wanted at most."""
        return max(1, min(self.num_results or 10, 100))


class FetchArguments(Arguments):
    """Arguments of `fetch_webpage`."""

    url: Annotated[str, Field(min_length=1, max_length=8_000)]


WEB_TOOLS: tuple[Tool, ...] = (
    RunElsewhere(_SEARCH, _NOT_ENABLED, only_reads=True),
    RunElsewhere(_FETCH, _NOT_ENABLED, only_reads=True),
)
