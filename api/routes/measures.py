"""What Prometheus reads."""

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response

from api.access.auth import may
from api.deps import PartsDep
from api.edge.calls import call_of
from api.errors import METRICS_UNAUTHORIZED, unauthorized
from o.metrics.exposition import CONTENT_TYPE

router = APIRouter(include_in_schema=False)


@router.get("/metrics")
async def show(request: Request, parts: PartsDep) -> Response:
    """Counts of the whole server, which are nobody's own: keys of users and tools do not open them.

    The server's token does, and O_METRICS_TOKEN. Without either, the server is on loopback.
    """
    settings = parts.settings
    tokens = [token for token in (settings.api_token, settings.metrics_token) if token is not None]
    is_let_in = not tokens or any(may(request.scope, token) for token in tokens)
    if call_of(request.scope) is not None or not is_let_in:
        return unauthorized(METRICS_UNAUTHORIZED)
    return PlainTextResponse(await parts.measures.text(), media_type=CONTENT_TYPE)
