"""Whether the server lives, and whether it can serve."""

from fastapi import APIRouter
from sqlalchemy import text

from api.deps import ReadsDep

router = APIRouter(tags=["health"])

V1_RELEASE = "0.16.8"
"""The release of the V1 server whose API this is. Clients go by it: Letta Code tells its user to
update a server that says less than 0.16.6."""


@router.get("/health/", operation_id="check_health")
async def health() -> dict[str, str]:
    """The process answers."""
    return {"version": V1_RELEASE, "status": "ok"}


@router.get("/ready/", operation_id="check_readiness")
async def ready(connection: ReadsDep) -> dict[str, str]:
    """The database answers too; 503 while it is away."""
    await connection.execute(text("SELECT 1"))
    return {"version": V1_RELEASE, "status": "ok"}
