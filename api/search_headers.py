"""How a search was made, in the headers of its answer."""

from typing import Any

from fastapi import Response

from o.storage.search.results import Results


def with_search_headers(shown: Response, results: Results[Any]) -> Response:
    """The answer with how was searched, and why not otherwise, where there is a reason."""
    shown.headers["x-search-mode"] = results.mode
    if results.problem:
        shown.headers["x-search-problem"] = results.problem
    return shown
