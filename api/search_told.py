"""How a search was made, in the headers of its answer."""

from fastapi import Response

from o.storage.search.archival import PassageResults
from o.storage.search.recall import MessageResults


def told(shown: Response, results: PassageResults | MessageResults) -> Response:
    """The answer with how was searched, and why not otherwise, where there is a reason."""
    shown.headers["x-search-mode"] = results.mode
    if results.problem:
        shown.headers["x-search-problem"] = results.problem
    return shown
