"""Whether the server lives, and whether it can serve."""

import asyncio

from fastapi import APIRouter
from temporalio.client import Client
from temporalio.service import RPCError

from api.deps import PartsDep, ReadsDep
from o.errors import Unavailable
from o.storage.turn.steps import count_waiting_for_room
from o.temporal.connection import check_serving
from o.temporal.queues import longest_wait_s

router = APIRouter(tags=["health"])

_PATIENCE_S = 2.0
_LONGEST_WAIT_S = 5.0
V1_RELEASE = "0.16.8"
"""The release of the V1 server whose API this is. Clients go by it: Letta Code tells its user to
update a server that says less than 0.16.6."""


@router.get("/health/", operation_id="check_health", summary="Whether the server lives")
async def health() -> dict[str, str]:
    """The process answers."""
    return {"version": V1_RELEASE, "status": "ok"}


@router.get("/ready/", operation_id="check_readiness", summary="Whether the server can serve")
async def ready(connection: ReadsDep, parts: PartsDep) -> dict[str, str | dict[str, int]]:
    """The database has room, it and Temporal answer, workers take work; else 503 with the reason.

    `waiting_for_room` counts the model calls that wait because as many are under way to their
    provider as may be (`O_MODEL_CALLS`), by provider. Other providers' agents are served meanwhile.
    """
    parts.database.check_room()
    waiting = await count_waiting_for_room(connection)
    await _check_temporal(parts.temporal, parts.settings.task_queue)
    content: dict[str, str | dict[str, int]] = {"version": V1_RELEASE, "status": "ok"}
    return content | ({"waiting_for_room": waiting} if waiting else {})


async def _check_temporal(client: Client, task_queue: str) -> None:
    """Messages are kept while Temporal is away or workers are full, and answered later."""
    try:
        await asyncio.wait_for(check_serving(client, timeout_s=_PATIENCE_S), _PATIENCE_S)
        waited_s = await longest_wait_s(client, task_queue, timeout_s=_PATIENCE_S)
    except (RuntimeError, RPCError, TimeoutError):
        raise Unavailable("Temporal is away: messages wait until it is back.") from None
    if waited_s > _LONGEST_WAIT_S:
        raise Unavailable(
            f"No worker has a free slot: the oldest task has waited for {waited_s:.0f} s. "
            "Messages are kept; start more workers (O_WORKERS), or see what theirs are taken by."
        )
