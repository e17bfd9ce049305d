"""Fields of an address that nobody filled in: `?before=&name=` asks for nothing more.

Pages send every field of a form, and programs every parameter that they know of.
"""

from starlette.types import ASGIApp, Receive, Scope, Send

_LEFT_OUT = frozenset(
    {
        *(b"before", b"after", b"cursor"),
        *(b"name", b"label", b"project_id", b"template_id", b"base_template_id"),
        *(b"identity_id", b"identifier_key", b"agent_id", b"conversation_id", b"group_id"),
    }
)
"""Of these nothing has an empty one. Numbers, times and V1's own words stay, and are refused."""


class EmptyFields:
    """Takes empty cursors and filters out of the query."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on without them."""
        if query := scope.get("query_string"):
            scope["query_string"] = without_empty(query)
        await self._app(scope, receive, send)


def without_empty(query: bytes) -> bytes:
    """The query without what is empty and may be left out."""
    if b"=&" not in query and not query.endswith(b"="):
        return query
    return b"&".join(pair for pair in query.split(b"&") if not _says_nothing(pair))


def _says_nothing(pair: bytes) -> bool:
    name, _, value = pair.partition(b"=")
    return not value and name in _LEFT_OUT
