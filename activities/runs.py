"""Activities that close a run when no step does."""

from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio import activity

from activities.errors import as_activity_failure
from activities.heartbeat import heartbeating
from activities.pending import pending_request
from o.domain.agents import Thread
from o.domain.runs import RunError, StopReason
from o.errors import Unreadable
from o.storage.agents.agents import actor_of
from o.storage.database import Database
from o.storage.turn.cancelling import Scope, cancel_runs
from o.storage.turn.closing import close_open_run, close_unreadable_run
from o.storage.turn.runs import get_run
from o.storage.turn.steps import last_failure
from workflows.contract import Cancel, CancelledRuns, Closing

_NO_ANSWER = "The model did not answer."
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
                try:
                    run = await get_run(connection, closing.run_id, lock=True)
                except Unreadable:
                    await close_unreadable_run(connection, closing.run_id)
                    run = None
                if run is not None and run.status.is_open:
                    await close_open_run(
                        connection,
                        run,
                        StopReason(closing.stop_reason),
                        error=await _error(connection, closing),
                        unanswered=_INTERRUPTED,
                    )
        activity.logger.info(
            "run closed", extra={"run_id": closing.run_id, "stop_reason": closing.stop_reason}
        )

    @activity.defn(name="cancel_runs")
    async def cancel_runs(self, request: Cancel) -> CancelledRuns:
        """Cancel what is open in a conversation, or the runs that are named.

        Safe to retry, and to ask for what the API has done already: naming runs that are finished
        is no error. Those are told as well, so that the workflow stops working at them.
        """
        scope = Scope(
            thread=Thread(conversation_id=request.conversation_id),
            run_ids=request.run_ids or None,
        )
        with as_activity_failure(), heartbeating():
            async with self._database.begin() as connection:
                actor = await actor_of(connection, request.conversation_id)
                done = await cancel_runs(connection, actor, scope)
                pending = await pending_request(connection, request.conversation_id)
        return CancelledRuns(list(done.results), pending)


async def _error(connection: AsyncConnection, closing: Closing) -> RunError | None:
    """Why a run failed. The workflow knows the kind; the words are in the database.

    Executions of earlier releases have the words too, and tell them.
    """
    if not closing.error_type:
        return None
    if not closing.error_message:
        met = await last_failure(connection, closing.run_id)
        if met is not None and met.type == closing.error_type:
            return met
    return RunError(
        type=closing.error_type,
        message=closing.error_message or _NO_ANSWER,
        detail=closing.error_detail,
        status=closing.error_status,
    )
