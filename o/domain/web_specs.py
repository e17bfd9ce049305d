"""The tools that reach the web, as models see them. `activities.web_tools` answers for them."""

from typing import Any

from o.domain.llm import ToolSpec

_TYPE = "letta_builtin"


def _optional(kind: str, description: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "description": description, **more}


_DOMAINS = {"items": {"type": "string"}}

WEB_SEARCH = ToolSpec(
    name="web_search",
    description="Search the web. Returns the pages that fit best, with excerpts.",
    parameters={
        "type": "object",
        "properties": {
            "query": {"type": "string", "description": "What to search for."},
            "num_results": _optional("integer", "How many pages, 1 to 100.", default=10),
            "category": _optional(
                "string", "Only pages of this kind, such as news, pdf, company or research paper."
            ),
            "include_text": _optional(
                "boolean", "Whether to return whole pages, which are long.", default=False
            ),
            "include_domains": _optional("array", "Only pages of these domains.", **_DOMAINS),
            "exclude_domains": _optional("array", "No pages of these domains.", **_DOMAINS),
            "start_published_date": _optional("string", "Earliest day or time, ISO 8601."),
            "end_published_date": _optional("string", "Latest day or time, ISO 8601."),
            "user_location": _optional("string", "Country to search from, two letters."),
        },
        "required": ["query"],
    },
    tool_type=_TYPE,
)

FETCH_WEBPAGE = ToolSpec(
    name="fetch_webpage",
    description="Read a page of the web as text.",
    parameters={
        "type": "object",
        "properties": {"url": {"type": "string", "description": "Address of the page."}},
        "required": ["url"],
    },
    tool_type=_TYPE,
)

WEB_TOOLS = (WEB_SEARCH, FETCH_WEBPAGE)
