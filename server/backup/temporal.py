"""What Temporal knows beside a database that is restored: it must not be ahead of it."""

import os
from collections.abc import Awaitable
from typing import TypeVar

from temporalio.client import Client
from temporalio.service import RPCError

from o.errors import Conflict, Unavailable
from o.settings.all import Settings
from o.temporal.connection import NamespaceMissing, connect_or_explain
from o.temporal.open_executions import count_open, end_open
from o.temporal.queues import POLL_S, find_queue
from server.up import locks, temporal_file

_Answer = TypeVar("_Answer")
_PATIENCE_S = 10.0
_NAMED = 5
_WHY_ASIDE = "before-restore"

REASON = "the database of O was restored"


async def check_temporal(settings: Settings, *, may_end: bool) -> list[str]:
    """Make sure that no execution is open which knows more than the backup.

    Returns:
        What is to be done in Temporal once the backup is restored.

    Raises:
        Conflict: There are some.
        Unavailable: Temporal is away.
    """
    if settings.temporal_address is None or may_end:
        return []
    try:
        client = await connect_or_explain(settings)
    except NamespaceMissing as missing:  # nothing is open in it
        return [missing.message]
    if found := await _asked(count_open(client, settings.task_queue)):
        raise Conflict(
            f"Temporal has {found} open executions of an O on the task queue "
            f"{settings.task_queue}. If they are of the O that you restore, say --end-executions; "
            "if another O is at work there, give this one a TEMPORAL_NAMESPACE of its own"
        )
    return []


async def end_executions(settings: Settings, *, despite_workers: bool) -> int:
    """End all that is open in the operator's Temporal; workers begin anew what the database says.

    Raises:
        Conflict: A worker polls, or has within the last minute, or nobody knows of that, and it is
            not said to be meant.
        Unavailable: Temporal is away.
    """
    client: Client = await connect_or_explain(settings)
    if not despite_workers:
        queue = await _asked(find_queue(client, settings.task_queue, timeout_s=_PATIENCE_S))
        if queue is None or queue.workers is None:
            raise Conflict(
                f"Temporal does not tell who polls the task queue {settings.task_queue}: stop all "
                "workers, then say --despite-workers"
            )
        if queue.workers:
            raise Conflict(_at_work(queue.workers, settings.task_queue))
    return await _asked(end_open(client, settings.task_queue, REASON))


async def end_before_restored(settings: Settings) -> str:
    """End all that was open before a restore; answers what the operator is to know.

    Raises:
        Unavailable: Temporal is away.
    """
    try:
        ended = await end_executions(settings, despite_workers=True)
    except NamespaceMissing as missing:
        return missing.message
    return f"{ended} executions ended in Temporal"


def set_file_aside(settings: Settings) -> str | None:
    """Have the embedded Temporal begin anew; answers the name that its file has now, if any.

    It is that of DATABASE_URL too, where `o up` has that one and no TEMPORAL_ADDRESS.
    """
    data_dir = settings.data_dir.resolve()
    file = data_dir / temporal_file.NAME
    if settings.database_url is None:  # whoever restores into the data directory holds it
        return temporal_file.set_aside(file, _WHY_ASIDE).name if file.exists() else None
    if settings.temporal_address is not None or not os.path.exists(file):
        return None  # in a container, as another user than its own, the directory may be closed
    try:
        lock = locks.claim(data_dir)
    except Conflict:  # an `o up` runs there, on another database: nobody is connected to this one
        return None
    try:
        return temporal_file.set_aside(file, _WHY_ASIDE).name
    finally:
        os.close(lock)


def _at_work(workers: dict[str, float], task_queue: str) -> str:
    names = ", ".join(sorted(workers)[:_NAMED])
    return (
        f"{len(workers)} workers poll the task queue {task_queue}, or have within the last minute "
        f"({names}): they would begin anew what the database says now. Stop them, and try again in "
        f"{POLL_S - min(workers.values()):.0f} s, or say --despite-workers"
    )


async def _asked(call: Awaitable[_Answer]) -> _Answer:
    try:
        return await call
    except RPCError as error:
        raise Unavailable(f"Temporal failed: {error.status.name}") from error
