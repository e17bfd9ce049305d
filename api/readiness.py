"""How the parts stand that turns need beside the database: Temporal, and room in the workers.

Load balancers ask often, and whoever reaches the server may ask: so one look answers all for a
while.
"""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any, Literal

from temporalio.client import Client
from temporalio.service import RPCError

from o.storage.database import Database
from o.storage.tools.sandbox_states import read_sandbox_state
from o.storage.turn.steps import count_waiting_for_room
from o.temporal.connection import check_serving
from o.temporal.namespace import is_prepared
from o.temporal.queues import QueueStanding, find_queue

_KEPT_S = 2.0
_PATIENCE_S = 2.0
_LONGEST_WAIT_S = 5.0


@dataclass(frozen=True)
class Standing:
    """What was found by one look.

    Attributes:
        temporal: Whether it serves. While it is away, messages are kept; so they are where its
            namespace is unprepared, which lacks O's search attributes.
        workers: Whether any has a free slot; `none` where none has polled for a minute, unknown
            where Temporal does not tell, or not what time it is there where that has to be known.
        longest_wait_s: How long the oldest task has waited for a slot.
        waiting_for_room: How many model calls wait for room at their provider, by provider.
        sandbox: What workers run tools in, a `SandboxState`; None while they have not said.
    """

    temporal: Literal["ok", "unprepared", "away"] = "ok"
    workers: Literal["ok", "full", "none", "unknown"] = "unknown"
    longest_wait_s: float | None = None
    waiting_for_room: dict[str, int] = field(default_factory=dict)
    sandbox: dict[str, Any] | None = None


class Readiness:
    """Looks how the parts stand, and keeps what was found for two seconds."""

    def __init__(self, database: Database, temporal: Client, task_queue: str) -> None:
        self._database = database
        self._temporal = temporal
        self._task_queue = task_queue
        self._looking = asyncio.Lock()
        self._found = Standing()
        self._kept_until_s = 0.0

    async def look(self) -> Standing:
        """How the parts stand now, or stood a moment ago."""
        async with self._looking:
            if time.monotonic() >= self._kept_until_s:
                self._found = await self._look()
                self._kept_until_s = time.monotonic() + _KEPT_S
            return self._found

    async def _look(self) -> Standing:
        async with self._database.connect() as connection:
            waiting = await count_waiting_for_room(connection)
            sandbox = await read_sandbox_state(connection)
        try:
            await asyncio.wait_for(
                check_serving(self._temporal, timeout_s=_PATIENCE_S), _PATIENCE_S
            )
            queue, prepared = await asyncio.gather(
                find_queue(self._temporal, self._task_queue, timeout_s=_PATIENCE_S),
                is_prepared(self._temporal, timeout_s=_PATIENCE_S / 2),
            )
        except (RuntimeError, RPCError, TimeoutError):
            return Standing("away", waiting_for_room=waiting, sandbox=sandbox)
        temporal: Literal["ok", "unprepared"] = "unprepared" if prepared is False else "ok"
        if queue is None:
            return Standing(temporal, waiting_for_room=waiting, sandbox=sandbox)
        return Standing(temporal, _room(queue), queue.longest_wait_s, waiting, sandbox)


def _room(queue: QueueStanding) -> Literal["ok", "full", "none", "unknown"]:
    if queue.workers is not None and not queue.workers:
        return "none"
    if queue.longest_wait_s > _LONGEST_WAIT_S:
        return "full"
    return "unknown" if queue.workers is None else "ok"
