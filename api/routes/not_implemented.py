"""What V1 serves and O does not yet: every such operation says so, with 501.

An operation that gets built leaves `not_implemented.txt`; one that lists what nobody can make yet
is in `empty_lists`.
"""

from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from api.errors import not_implemented

_TABLE = Path(__file__).with_suffix(".txt")

_INSTEAD = {
    "/tools/mcp/oauth/callback": "MCP servers are opened by a token or headers (auth_token, "
    "custom_headers), and not by OAuth.",
}
"""What helps in the place of an operation, by its path."""

router = APIRouter(include_in_schema=False)


def operations() -> list[tuple[str, str]]:
    """Method and path of each, the path as V1's OpenAPI spells it behind `/v1`."""
    rows = [line.split() for line in _TABLE.read_text(encoding="utf-8").splitlines()]
    return [(method, path) for path, *methods in rows for method in methods]


async def _refuse(request: Request) -> JSONResponse:
    path = request.scope["route"].path
    return not_implemented(f"{request.method} /v1{path}", _INSTEAD.get(path, ""))


for _method, _path in operations():
    router.add_api_route(_path, _refuse, methods=[_method])
