"""How an execution stands, as Temporal's server knows it, and the end of one that cannot go on.

The workflow itself is not asked: under load, a history was seen that does not replay beside a
query that had raced with the end of an activity.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import HistoryEvent, WorkflowTaskFailedEventAttributes
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.api.workflowservice.v1 import GetWorkflowExecutionHistoryReverseRequest
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from o.secrets import SecretUnreadable

_log = logging.getLogger(__name__)
_DOUBTFUL_ATTEMPTS = 4
"""Tries at a workflow task, about 15 s, after which its history is read for the reason."""
_HOPELESS_ATTEMPTS = 9
"""Tries, some minutes, after which the reason does not matter. Temporal gives each more time than
the one before, so what is only slow is through by then."""
_EVENTS_READ = 20
_UNREADABLE = "Failed decoding arguments"
"""The SDK's words for an activity whose input cannot be read: its key is not here any more."""
_DEADLOCK = "TMPRL1101"
"""The SDK's mark on a workflow task that it gave up for its slowness."""
_PASSING_CAUSES = frozenset(
    {
        WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_UNSPECIFIED,
        WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND,
        WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_UPDATE,
        WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_RESET_STICKY_TASK_QUEUE,
        WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW,
        WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_FORCE_CLOSE_COMMAND,
        WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_FAILOVER_CLOSE_COMMAND,
    }
)
_CANCEL = "cancel_runs"
_BESIDE_TURNS = frozenset({_CANCEL, "close_run", "decide", "find_pending"})
_TASK_ENDS = frozenset(
    {
        EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED,
        EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED,
        EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT,
    }
)


class Standing(Enum):
    """It has something in hand, nothing, cannot go on, or is not there."""

    BUSY = auto()
    IDLE = auto()
    STUCK = auto()
    GONE = auto()


@dataclass(frozen=True)
class Execution:
    """The newest execution of an id.

    Attributes:
        run_id: Temporal's id of it, empty when there was never one.
        is_at_work: Whether an activity of a turn is under way, and no cancel that would stop it.
    """

    standing: Standing
    run_id: str = ""
    is_at_work: bool = False


async def find_execution(client: Client, workflow_id: str) -> Execution:
    """How an execution stands.

    Raises:
        RPCError: Temporal is away.
    """
    try:
        found = await client.get_workflow_handle(workflow_id).describe()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return Execution(Standing.GONE)
    run_id = str(found.run_id)
    if found.status is not WorkflowExecutionStatus.RUNNING:
        return Execution(Standing.GONE, run_id)
    raw = found.raw_description
    attempt = raw.pending_workflow_task.attempt
    if attempt >= _DOUBTFUL_ATTEMPTS and (
        attempt >= _HOPELESS_ATTEMPTS or await _fails(client, workflow_id, run_id)
    ):
        return Execution(Standing.STUCK, run_id)
    if await _asks_what_nobody_reads(client, raw.pending_activities):
        return Execution(Standing.STUCK, run_id)
    in_hand = raw.HasField("pending_workflow_task") or raw.pending_activities
    under_way = {one.activity_type.name for one in raw.pending_activities}
    is_at_work = bool(under_way - _BESIDE_TURNS) and _CANCEL not in under_way
    return Execution(Standing.BUSY if in_hand else Standing.IDLE, run_id, is_at_work)


async def end_if_stuck(client: Client, workflow_id: str) -> None:
    """End an execution that cannot go on, so that whoever starts it begins anew by the database.

    Raises:
        RPCError: Temporal is away.
    """
    found = await find_execution(client, workflow_id)
    if found.standing is Standing.STUCK:
        await end_stuck(client, workflow_id, found.run_id)


async def end_stuck(client: Client, workflow_id: str, run_id: str) -> None:
    """End an execution that was found to be stuck.

    Raises:
        RPCError: Temporal is away.
    """
    _log.error("stuck execution replaced", extra={"workflow_id": workflow_id})
    try:
        await client.get_workflow_handle(workflow_id, run_id=run_id).terminate("stuck: see the log")
    except RPCError as error:  # it has ended by itself
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise


async def _asks_what_nobody_reads(
    client: Client, activities: Iterable[PendingActivityInfo]
) -> bool:
    """Whether the input of an activity can be read by no worker, however often it is tried."""
    for one in activities:
        if one.attempt >= _HOPELESS_ATTEMPTS and one.HasField("last_failure"):
            failure = Failure.FromString(one.last_failure.SerializeToString())
            try:
                error = await client.data_converter.decode_failure(failure)
            except SecretUnreadable:
                continue
            if str(error).startswith(_UNREADABLE):
                return True
    return False


async def _fails(client: Client, workflow_id: str, run_id: str) -> bool:
    """Whether the workflow task that is tried again and again fails, and is not merely slow.

    Only its first try leaves an event: workers do not report the same failure twice, so that the
    later ones look like time-outs whatever they are.
    """
    request = GetWorkflowExecutionHistoryReverseRequest(
        namespace=client.namespace,
        execution=WorkflowExecution(workflow_id=workflow_id, run_id=run_id),
        maximum_page_size=_EVENTS_READ,
    )
    answer = await client.workflow_service.get_workflow_execution_history_reverse(request)
    last = next((one for one in answer.history.events if one.event_type in _TASK_ENDS), None)
    return last is not None and _is_failure(last)


def _is_failure(event: HistoryEvent) -> bool:
    if event.event_type != EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED:
        return False
    failed: WorkflowTaskFailedEventAttributes = event.workflow_task_failed_event_attributes
    return failed.cause not in _PASSING_CAUSES and _DEADLOCK not in failed.failure.message
