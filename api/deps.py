"""Dependencies of routes, spelled once."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Path, Query, Request
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from api.auth import current_actor
from api.turns import Turns
from o.domain.actors import Actor
from o.errors import InvalidArgument
from o.ids import is_id, pattern
from o.llm.catalogue import Catalogue
from o.settings import Settings

_CLIENT = re.compile(r"(?:@letta-ai/)?letta-client/(\d+)")


@dataclass(frozen=True)
class Parts:
    """What the application is made of, built when it starts; `reads` begins no transactions."""

    settings: Settings
    engine: AsyncEngine
    reads: AsyncEngine
    turns: Turns
    catalogue: Catalogue


async def _parts(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


PartsDep = Annotated[Parts, Depends(_parts)]


async def _transaction(parts: PartsDep) -> AsyncIterator[AsyncConnection]:
    async with parts.engine.begin() as connection:
        yield connection


async def _reads(parts: PartsDep) -> AsyncIterator[AsyncConnection]:
    async with parts.reads.connect() as connection:
        yield connection


# All dependencies are coroutines: FastAPI would send plain functions to a thread, at a cost.
# These two end before the answer is sent, so that what a client is told is committed.
TransactionDep = Annotated[AsyncConnection, Depends(_transaction, scope="function")]
ReadsDep = Annotated[AsyncConnection, Depends(_reads, scope="function")]

ActorDep = Annotated[Actor, Depends(current_actor)]
AgentId = Annotated[str, Path(pattern=pattern("agent"))]
StepId = Annotated[str, Path(pattern=pattern("step"))]


async def _run_id(run_id: str) -> str:
    """V1 checks the ids of runs by hand, and so answers 400 where other ids get 422."""
    if not is_id(run_id, "run"):
        raise InvalidArgument(
            f"INVALID_ARGUMENT: Invalid run ID format: {run_id[:100]}; expected run-<uuid4>"
        )
    return run_id


RunId = Annotated[str, Depends(_run_id)]


async def is_current_client(request: Request) -> bool:
    """Whether V1 takes the caller for a client of release 1 or later (or for no client at all)."""
    if "x-stainless-package-version" in request.headers:
        return True
    agent = request.headers.get("user-agent")
    if agent is None:
        return True
    found = _CLIENT.match(agent)
    return found is not None and int(found[1]) >= 1


CurrentClientDep = Annotated[bool, Depends(is_current_client)]
IncludeDep = Annotated[list[str], Query(default_factory=list)]
