"""Which executions the sweeper gives up: those that fail, not those that are slow.

Each test is the worker itself, so that it decides what becomes of each try at a workflow task.
"""

from datetime import timedelta

import pytest
from google.protobuf.duration_pb2 import Duration
from temporalio.api.command.v1 import Command, ScheduleActivityTaskCommandAttributes
from temporalio.api.common.v1 import ActivityType, RetryPolicy
from temporalio.api.enums.v1 import CommandType, WorkflowTaskFailedCause
from temporalio.api.failure.v1 import ApplicationFailureInfo, Failure
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import (
    PollActivityTaskQueueRequest,
    PollWorkflowTaskQueueRequest,
    RespondActivityTaskFailedRequest,
    RespondWorkflowTaskCompletedRequest,
    RespondWorkflowTaskFailedRequest,
)
from temporalio.client import Client

from o.ids import new_id
from server.sweep.executions import Standing, find_execution
from tests.support.product import Product

_DOUBTFUL_ATTEMPTS = 4
_HOPELESS_ATTEMPTS = 9
_TASK_TIMEOUT = timedelta(seconds=1)
_BROKEN = "[TMPRL1100] Nondeterminism error: the history is not that of this code"
_SLOW = "[TMPRL1101] Potential deadlock detected: workflow didn't yield within 2 second(s)."


@pytest.fixture
async def temporal(server: Product) -> Client:
    return await Client.connect(server.state["temporal_address"])


async def started(temporal: Client, name: str = "") -> str:
    """The id of an execution, and the name of its task queue."""
    name = name or new_id("conv")
    await temporal.start_workflow("Any", id=name, task_queue=name, task_timeout=_TASK_TIMEOUT)
    return name


async def try_task(temporal: Client, name: str) -> tuple[bytes, int]:
    """Take the next try at the workflow task: its token, and its number."""
    request = PollWorkflowTaskQueueRequest(
        namespace=temporal.namespace, task_queue=TaskQueue(name=name), identity="a test"
    )
    task = await temporal.workflow_service.poll_workflow_task_queue(
        request, timeout=timedelta(seconds=40)
    )
    return task.task_token, task.attempt


async def fail_task(temporal: Client, token: bytes, message: str) -> None:
    cause = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_WORKFLOW_WORKER_UNHANDLED_FAILURE
    await temporal.workflow_service.respond_workflow_task_failed(
        RespondWorkflowTaskFailedRequest(
            namespace=temporal.namespace,
            task_token=token,
            cause=cause,
            failure=Failure(message=message),
        )
    )


@pytest.mark.parametrize(
    ("first_failure", "expected"),
    [(None, Standing.BUSY), (_SLOW, Standing.BUSY), (_BROKEN, Standing.STUCK)],
    ids=["slow", "given up for its slowness", "broken"],
)
async def test_an_execution_is_stuck_when_its_task_fails_and_not_when_it_is_slow(
    temporal: Client, first_failure: str | None, expected: Standing
) -> None:
    name = await started(temporal)
    token, attempt = await try_task(temporal, name)
    if first_failure is not None:
        await fail_task(temporal, token, first_failure)
    while attempt < _DOUBTFUL_ATTEMPTS:  # workers let the later tries time out, whatever fails
        assert (await find_execution(temporal, name)).standing is Standing.BUSY
        _, attempt = await try_task(temporal, name)
    found = await find_execution(temporal, name)
    assert found.standing is expected
    await temporal.get_workflow_handle(name, run_id=found.run_id).terminate()


async def test_an_execution_that_waits_is_idle_and_one_that_is_over_or_never_was_is_gone(
    temporal: Client,
) -> None:
    name = await started(temporal)
    token, _ = await try_task(temporal, name)
    await temporal.workflow_service.respond_workflow_task_completed(
        RespondWorkflowTaskCompletedRequest(namespace=temporal.namespace, task_token=token)
    )
    assert (await find_execution(temporal, name)).standing is Standing.IDLE
    await temporal.get_workflow_handle(name).terminate()
    assert (await find_execution(temporal, name)).standing is Standing.GONE
    assert (await find_execution(temporal, new_id("conv"))).standing is Standing.GONE


@pytest.mark.parametrize(
    ("message", "expected"),
    [("Failed decoding arguments", Standing.STUCK), ("the model is busy", Standing.BUSY)],
)
async def test_an_execution_is_stuck_when_no_worker_can_read_what_it_asks_of_them(
    temporal: Client, message: str, expected: Standing
) -> None:
    name = await started(temporal)
    token, _ = await try_task(temporal, name)
    await temporal.workflow_service.respond_workflow_task_completed(
        RespondWorkflowTaskCompletedRequest(
            namespace=temporal.namespace, task_token=token, commands=[_activity(name)]
        )
    )
    for _ in range(_HOPELESS_ATTEMPTS - 1):
        assert (await find_execution(temporal, name)).standing is Standing.BUSY
        task = await temporal.workflow_service.poll_activity_task_queue(
            PollActivityTaskQueueRequest(
                namespace=temporal.namespace, task_queue=TaskQueue(name=name), identity="a test"
            ),
            timeout=timedelta(seconds=40),
        )
        await temporal.workflow_service.respond_activity_task_failed(
            RespondActivityTaskFailedRequest(
                namespace=temporal.namespace,
                task_token=task.task_token,
                failure=Failure(message=message, application_failure_info=ApplicationFailureInfo()),
            )
        )
    assert (await find_execution(temporal, name)).standing is expected
    await temporal.get_workflow_handle(name).terminate()


@pytest.mark.parametrize(
    ("under_way", "expected"),
    [
        (["take_step"], True),
        (["cancel_runs"], False),
        (["take_step", "cancel_runs"], False),
        (["find_pending"], False),
    ],
)
async def test_an_execution_is_at_work_where_a_turn_is_and_no_cancel_that_would_stop_it(
    temporal: Client, under_way: list[str], expected: bool
) -> None:
    name = await started(temporal)
    token, _ = await try_task(temporal, name)
    await temporal.workflow_service.respond_workflow_task_completed(
        RespondWorkflowTaskCompletedRequest(
            namespace=temporal.namespace,
            task_token=token,
            commands=[_activity(name, kind) for kind in under_way],
        )
    )
    found = await find_execution(temporal, name)
    assert (found.standing, found.is_at_work) == (Standing.BUSY, expected)
    await temporal.get_workflow_handle(name).terminate()


def _activity(queue: str, kind: str = "any") -> Command:
    moment, while_ = Duration(), Duration()
    moment.FromMilliseconds(1)
    while_.FromSeconds(60)
    return Command(
        command_type=CommandType.COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK,
        schedule_activity_task_command_attributes=ScheduleActivityTaskCommandAttributes(
            activity_id=kind,
            activity_type=ActivityType(name=kind),
            task_queue=TaskQueue(name=queue),
            start_to_close_timeout=while_,
            schedule_to_close_timeout=while_,
            retry_policy=RetryPolicy(initial_interval=moment, backoff_coefficient=1.0),
        ),
    )
