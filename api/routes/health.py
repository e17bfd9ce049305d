"""Whether the server lives, and whether it can serve."""

from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel

from api.access.auth import may
from api.deps import PartsDep

router = APIRouter(tags=["health"])

V1_RELEASE = "0.16.8"
"""The release of the V1 server whose API this is. Clients go by it: Letta Code tells its user to
update a server that says less than 0.16.6."""


@router.get("/health/", operation_id="check_health", summary="Whether the server lives")
async def health() -> dict[str, str]:
    """The process answers."""
    return {"version": V1_RELEASE, "status": "ok"}


class SandboxReport(BaseModel):
    """What custom tools run in.

    Attributes:
        backend: `docker`, `bubblewrap` or `unsafe-subprocess`; empty where tools do not run.
        level: What stands between a tool and the machine; `none` is a plain process, or no tools.
        caps: What holds memory and CPU: `cgroup`, `watcher`, both, or empty.
        problem: Why tools do not run, with what can be done about it.
        python: The Python that runs them.
    """

    backend: str
    level: Literal["container", "namespaces", "none"]
    caps: str = ""
    problem: str = ""
    python: str = ""


class Ready(BaseModel):
    """The database answers and has room: the server reads, and takes messages.

    Turns go on once the other parts are well. The last three fields are shown to callers with the
    server's token, where it has one.

    Attributes:
        temporal: `away` means that messages are kept until it is back; `unprepared` that its
            namespace lacks O's search attributes, so that no turn begins until `o migrate` is run.
        workers: `full` means that none has a free slot; `none` that no worker has asked Temporal
            for work in the last minute; `unknown` that Temporal does not tell, or not what time it
            is there where that has to be known.
        longest_wait_s: How long the oldest task has waited for a slot.
        waiting_for_room: How many model calls wait because as many are under way to their provider
            as may be (`O_MODEL_CALLS`). Other providers' agents are served meanwhile.
        sandbox: What custom tools run in; there once a worker has told.
    """

    version: str = V1_RELEASE
    status: Literal["ok"] = "ok"
    temporal: Literal["ok", "unprepared", "away"]
    workers: Literal["ok", "full", "none", "unknown"]
    longest_wait_s: float | None = None
    waiting_for_room: dict[str, int] | None = None
    sandbox: SandboxReport | None = None


@router.get(
    "/ready/",
    operation_id="check_readiness",
    summary="Whether the server can serve",
    response_model_exclude_none=True,
)
async def ready(request: Request, parts: PartsDep) -> Ready:
    """503 with the reason when the database is away or its disk is full."""
    parts.database.check_room()
    await parts.database.check_answering()
    found = await parts.readiness.look()
    content = Ready(temporal=found.temporal, workers=found.workers)
    if not may(request.scope, parts.settings.api_token):
        return content
    details = {
        "longest_wait_s": found.longest_wait_s,
        "waiting_for_room": found.waiting_for_room or None,
        "sandbox": SandboxReport.model_validate(found.sandbox) if found.sandbox else None,
    }
    return content.model_copy(update=details)
