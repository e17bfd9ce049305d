"""What activities log and trace tells of which conversation and run they work for."""

from typing import Any

from temporalio import activity, workflow
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)

from o.ids import is_id
from o.log import about
from o.temporal.traces import told_by
from o.tracing import is_traced, span
from workflows.traces import TurnTraces


class ActivityLogs(Interceptor):
    """Names conversation and run in each record of an activity, and traces it if anything is.

    Temporal's loggers, which would repeat all that they know behind each sentence, leave that to
    the facts of a record (`o.log`).
    """

    def __init__(self) -> None:
        activity.logger.activity_info_on_message = False
        workflow.logger.workflow_info_on_message = False

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002
        """Stand before the activity."""
        return _Named(next)

    def workflow_interceptor_class(
        self,
        input: WorkflowInterceptorClassInput,  # noqa: A002
    ) -> type[WorkflowInboundInterceptor] | None:
        """Have turns take the trace that they came with to their activities."""
        return TurnTraces if is_traced() else None


class _Named(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002
        """Work as ever; a workflow's id is that of its conversation, where it has one."""
        info = activity.info()
        asked = input.args[0] if input.args else None
        workflow_id = info.workflow_id
        ids = {
            "conversation_id": workflow_id if workflow_id and is_id(workflow_id, "conv") else None,
            "run_id": getattr(asked, "run_id", None),
        }
        with (
            about(**ids),
            span(
                f"activity {info.activity_type}",
                parent=told_by(input.headers),
                serves=True,
                attempt=info.attempt,
                **ids,
            ),
        ):
            return await super().execute_activity(input)
