"""Compacting a history because a client asks: a worker has a model sum it up."""

from api.deps import Parts
from api.wire.compaction import CompactionBody, CompactionRequestBody
from o.domain.actors import Actor
from o.domain.agents import Thread
from o.errors import Conflict
from o.storage.agents.conversations import get_thread
from o.storage.turn.runs import list_runs_in_line
from o.storage.worker_requests import COMPACT

_READING_S = 30.0
"""Beside the time of the models: to have a worker read and store."""


async def compact_thread(
    parts: Parts, actor: Actor, thread: Thread, body: CompactionRequestBody | None
) -> CompactionBody:
    """Put a summary in the place of a part of a thread's history.

    A run that begins meanwhile does no harm: history has grown behind what is summed up.

    Raises:
        NotFound: There is no such agent or conversation for this actor.
        Conflict: A run is under way.
        InvalidArgument: Nothing would get shorter.
        Unavailable: No worker has answered in time.
    """
    async with parts.database.connect() as connection:
        conversation = await get_thread(connection, actor, thread)
        found, unreadable = await list_runs_in_line(connection, conversation.id, limit=1)
    under_way = [one.run.id for one in found] + unreadable
    if under_way:
        raise Conflict(
            f"CONFLICT: A run is under way in this conversation (run_id={under_way[0]}): it makes "
            "room itself where it needs any. Wait until it is finished, or cancel it."
        )
    request = {"conversation_id": conversation.id, "settings": body.settings() if body else None}
    timeout_s = _READING_S + parts.settings.summary_timeout_s
    done = await parts.workers.ask(actor.organization_id, COMPACT, request, timeout_s=timeout_s)
    return CompactionBody.model_validate(done)
