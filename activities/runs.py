"""Activities that bring a run to rest when no step does."""

from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio import activity

from activities.errors import as_activity_failure
from activities.heartbeat import heartbeating
from activities.tools import commit_return
from o.domain.messages import ToolReturn
from o.domain.runs import Run, RunClosed, RunError, StopReason
from o.storage.database import Database
from o.storage.events import add_events
from o.storage.runs import advance_run, get_run
from o.storage.steps import fail_steps, list_unanswered_calls
from o.storage.turns import place_input
from workflows.contract import Closing

_INTERRUPTED = "The run ended before this tool call was made."


class RunActivities:
    """What happens to a run as a whole."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @activity.defn(name="close_run")
    async def close_run(self, closing: Closing) -> None:
        """Close a run, leaving a history that the next prompt can be made of.

        The user's message stays, and calls without a return get an error return. Safe to retry:
        a run that is closed or gone stays so.
        """
        with as_activity_failure(), heartbeating():
            async with self._database.begin() as connection:
                run = await get_run(connection, closing.run_id, lock=True)
                if run is not None and run.status.is_open:
                    await _close(connection, run, closing)
        activity.logger.info(
            "run closed", extra={"run_id": closing.run_id, "stop_reason": closing.stop_reason}
        )


async def _close(connection: AsyncConnection, run: Run, closing: Closing) -> None:
    stop_reason = StopReason(closing.stop_reason)
    await place_input(connection, run.id)
    for step_id, ordinal, call in await list_unanswered_calls(connection, run):
        returned = ToolReturn(
            tool_call_id=call.id, name=call.name, status="error", content=_INTERRUPTED
        )
        await commit_return(connection, run, step_id, ordinal, returned)
    await fail_steps(connection, run.id)
    closed = RunClosed(stop_reason=stop_reason, usage=run.usage, error=_error(closing))
    first_seq = await advance_run(connection, run.id, events=1, closed=closed)
    if first_seq is not None:
        await add_events(connection, run.id, first_seq, 1, [closed])


def _error(closing: Closing) -> RunError | None:
    if not closing.error_type:
        return None
    return RunError(
        type=closing.error_type,
        message=closing.error_message,
        detail=closing.error_detail,
        status=closing.error_status,
    )
