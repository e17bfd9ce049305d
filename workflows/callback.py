"""A callback: a receiver is notified that a run or a batch ended, until it takes the notice."""

from temporalio import workflow

from workflows import contract, options
from workflows.contract import CallbackRef


@workflow.defn(name="Callback")
class CallbackWorkflow:
    """Notice of one end. Its id is `callback-<id>`; it fails when the callback is given up."""

    @workflow.run
    async def run(self, callback: CallbackRef) -> None:
        """Send the callback; the activity itself knows when to give up."""
        what = f"batch `{callback.batch_id}`" if callback.batch_id else f"run `{callback.run_id}`"
        workflow.set_current_details(f"Notifies of the end of {what}.")
        await workflow.execute_activity(
            contract.send_callback,
            callback,
            task_queue=options.callback_queue(workflow.info().task_queue),
            start_to_close_timeout=options.CALLBACK_TIMEOUT,
            heartbeat_timeout=options.HEARTBEAT_TIMEOUT,
            retry_policy=options.CALLBACK_RETRY,
            summary="send the callback",
        )
