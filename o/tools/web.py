"""The built-in tools that reach the web. O makes no call that its operator did not ask for."""

from o.domain.llm import ToolSpec
from o.errors import ToolFailed
from o.tools.tool import Arguments, BuiltIn, Caller, Tool, integer, schema, string

_TYPE = "letta_builtin"
_DOMAINS = {"type": "array", "items": {"type": "string"}}
_NOT_ENABLED = (
    "Web access is not enabled on this server, so nothing was fetched. Do not try again: go on "
    "without it, and tell the user that the operator of the server would have to enable it."
)

_SEARCH = ToolSpec(
    name="web_search",
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
    name="fetch_webpage",
    description="Read a page of the web as text.",
    parameters=schema({"url": string("Address of the page.")}, ["url"]),
    tool_type=_TYPE,
)


class SearchArguments(Arguments):
    """Arguments of `web_search`."""

    query: str


class FetchArguments(Arguments):
    """Arguments of `fetch_webpage`."""

    url: str


async def _search(caller: Caller, arguments: SearchArguments) -> str:
    raise ToolFailed(_NOT_ENABLED)


async def _fetch(caller: Caller, arguments: FetchArguments) -> str:
    raise ToolFailed(_NOT_ENABLED)


WEB_TOOLS: tuple[Tool, ...] = (
    BuiltIn(_SEARCH, SearchArguments, _search),
    BuiltIn(_FETCH, FetchArguments, _fetch),
)
