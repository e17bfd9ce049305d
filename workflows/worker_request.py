"""What the API asks of a worker: code of others runs there, and never in the API."""

from datetime import timedelta

from temporalio import workflow

from workflows import contract, options
from workflows.contract import RequestRef


@workflow.defn(name="WorkerRequest")
class WorkerRequestWorkflow:
    """One request. Its id is the request's; what is asked and answered is in the database."""

    @workflow.run
    async def run(self, request: RequestRef) -> None:
        """Have it carried out, within its time and a little more."""
        at_most = timedelta(seconds=request.timeout_s) + options.REQUEST_GRACE
        await workflow.execute_activity(
            contract.serve_request,
            request,
            task_queue=options.request_queue(workflow.info().task_queue, request.kind),
            start_to_close_timeout=at_most,
            schedule_to_close_timeout=at_most,
            heartbeat_timeout=options.HEARTBEAT_TIMEOUT,
            retry_policy=options.RETRY,
            summary=request.kind[:80],
        )
