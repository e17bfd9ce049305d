"""What Temporal knows beside a database that is restored: it must not be ahead of it."""

from collections.abc import Awaitable

from temporalio.client import Client
from temporalio.service import RPCError

from o.errors import Conflict, Unavailable
from o.settings import Settings
from o.temporal.connection import connect_or_explain
from o.temporal.open_executions import count_open, end_open
from server.up import temporal_file

REASON = "the database of O was restored"


async def check_temporal(settings: Settings, *, may_end: bool) -> None:
    """Make sure that no execution is open which knows more than the backup.

    Raises:
        Conflict: There are some.
        Unavailable: Temporal is away.
    """
    if settings.temporal_address is None or may_end:
        return
    client = await connect_or_explain(settings)
    if found := await _asked(count_open(client, settings.task_queue)):
        raise Conflict(
            f"Temporal has {found} open executions of an O on the task queue "
            f"{settings.task_queue}. If they are of the O that you restore, say --end-executions; "
            "if another O is at work there, give this one a TEMPORAL_NAMESPACE of its own"
        )


async def end_executions(settings: Settings) -> int:
    """End all that is open in the operator's Temporal; workers begin anew what the database says.

    Raises:
        Unavailable: Temporal is away.
    """
    client: Client = await connect_or_explain(settings)
    return await _asked(end_open(client, settings.task_queue, REASON))


def set_file_aside(settings: Settings) -> str | None:
    """Have the embedded Temporal begin anew; answers the name that its file has now, if any."""
    file = settings.data_dir.resolve() / temporal_file.NAME
    return temporal_file.set_aside(file, "before-restore").name if file.exists() else None


async def _asked(call: Awaitable[int]) -> int:
    try:
        return await call
    except RPCError as error:
        raise Unavailable(f"Temporal failed: {error.status.name}") from error
