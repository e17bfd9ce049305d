"""A callback: a receiver is notified that a run is closed, until it takes the notice."""

from temporalio import workflow

from workflows import contract, options
from workflows.contract import CallbackRef


@workflow.defn(name="Callback")
class CallbackWorkflow:
    """Notice of one run. Its id is `callback-<run id>`; it fails when the callback is given up."""

    @workflow.run
    async def run(self, callback: CallbackRef) -> None:
        """Send the callback; the activity itself knows when to give up."""
        workflow.set_current_details(f"Notifies of the end of run `{callback.run_id}`.")
        await workflow.execute_activity(
            contract.send_callback,
            callback,
            task_queue=options.callback_queue(workflow.info().task_queue),
            start_to_close_timeout=options.CALLBACK_TIMEOUT,
            heartbeat_timeout=options.HEARTBEAT_TIMEOUT,
            retry_policy=options.CALLBACK_RETRY,
            summary="send the callback",
        )
