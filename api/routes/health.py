"""Whether the server lives, and whether it can serve."""

import asyncio

from fastapi import APIRouter
from sqlalchemy import text
from temporalio.client import Client
from temporalio.service import RPCError

from api.deps import PartsDep, ReadsDep
from o.errors import Unavailable
from o.temporal.connection import check_serving

router = APIRouter(tags=["health"])

_PATIENCE_S = 2.0
V1_RELEASE = "0.16.8"
"""The release of the V1 server whose API this is. Clients go by it: Letta Code tells its user to
update a server that says less than 0.16.6."""


@router.get("/health/", operation_id="check_health", summary="Whether the server lives")
async def health() -> dict[str, str]:
    """The process answers."""
    return {"version": V1_RELEASE, "status": "ok"}


@router.get("/ready/", operation_id="check_readiness", summary="Whether the server can serve")
async def ready(connection: ReadsDep, parts: PartsDep) -> dict[str, str]:
    """The database has room, it and Temporal answer; else 503 with the reason."""
    parts.database.check_room()
    await connection.execute(text("SELECT 1"))
    await _check_temporal(parts.temporal)
    return {"version": V1_RELEASE, "status": "ok"}


async def _check_temporal(client: Client) -> None:
    """Messages are kept while Temporal is away, and answered when it is back."""
    try:
        await asyncio.wait_for(check_serving(client, timeout_s=_PATIENCE_S), _PATIENCE_S)
    except (RuntimeError, RPCError, TimeoutError):
        raise Unavailable("Temporal is away: messages wait until it is back.") from None
