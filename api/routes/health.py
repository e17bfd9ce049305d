"""Whether the server lives, and whether it can serve."""

from importlib.metadata import version

from fastapi import APIRouter
from sqlalchemy import text

from api.deps import ReadsDep

router = APIRouter(tags=["health"])


@router.get("/health/", operation_id="check_health")
async def health() -> dict[str, str]:
    """The process answers."""
    return {"version": version("o-server"), "status": "ok"}


@router.get("/ready/", operation_id="check_readiness")
async def ready(connection: ReadsDep) -> dict[str, str]:
    """The database answers too; 503 while it is away."""
    await connection.execute(text("SELECT 1"))
    return {"version": version("o-server"), "status": "ok"}
