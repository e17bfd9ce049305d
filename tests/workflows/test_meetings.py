"""A cancel, a close or Temporal's own cancel that meets the end of an activity in one moment."""

from collections.abc import AsyncIterator

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowUpdateStage
from temporalio.worker import Replayer

from server.worker.queues import WORKFLOW_RUNNER
from tests.support.product import Product
from tests.workflows.meetings import DONE, Meeting, Script, until
from workflows.contract import CallRef, Cancel, Turn
from workflows.conversation import ConversationWorkflow

TURN = Turn("run-1")
NEXT = Turn("run-2")
ACCEPTED = WorkflowUpdateStage.ACCEPTED
FIRST_STEP = "take_step run-1 0"


@pytest.fixture
async def meeting(server: Product) -> AsyncIterator[Meeting]:
    meeting = Meeting(await Client.connect(server.state["temporal_address"]), Script())
    await meeting.start()
    async with meeting.activities():
        yield meeting


async def assert_goes_on(meeting: Meeting) -> None:
    """The execution takes the next turn, and what it has done can be done again."""
    await meeting.handle.execute_update(ConversationWorkflow.send, NEXT)
    await meeting.until_begun("take_step run-2 0")
    found = await meeting.handle.describe()
    assert found.status is WorkflowExecutionStatus.RUNNING
    history = await meeting.handle.fetch_history()
    assert all(
        event.event_type != EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED for event in history.events
    )
    replayer = Replayer(workflows=[ConversationWorkflow], workflow_runner=WORKFLOW_RUNNER)
    await replayer.replay_workflow(history)


@pytest.mark.parametrize("first", ["step", "cancel"])
@pytest.mark.parametrize("calls", [[], [CallRef("run-1", 0, 0, "a tool")]], ids=["end", "tool"])
async def test_a_cancel_that_is_stored_together_with_a_step_stops_the_turn_and_nothing_else(
    meeting: Meeting, first: str, calls: list[CallRef]
) -> None:
    script = meeting.script
    script.calls, script.cancelled = calls, ["run-1"]
    step, cancel = script.hold(FIRST_STEP), script.hold("cancel_runs")
    async with meeting.workflows():
        await meeting.handle.execute_update(ConversationWorkflow.send, TURN)
        await meeting.until_begun(FIRST_STEP)
        await meeting.handle.signal(ConversationWorkflow.cancel_unanswered, args=[Cancel()])
        await meeting.until_begun("cancel_runs")
    for count, gate in enumerate([step, cancel] if first == "step" else [cancel, step], start=1):
        gate.set()
        await meeting.until_events(DONE, count)
    async with meeting.workflows():
        await assert_goes_on(meeting)
    assert script.begun == [FIRST_STEP, "cancel_runs", "take_step run-2 0"]


async def test_a_cancel_that_is_stored_together_with_one_of_several_tools_stops_them_all(
    meeting: Meeting,
) -> None:
    script = meeting.script
    script.calls = [CallRef("run-1", 0, n, "a tool", parallel=True) for n in range(3)]
    script.cancelled = ["run-1"]
    gates = [script.hold(f"run_tool {n}") for n in range(3)]
    cancel = script.hold("cancel_runs")
    async with meeting.workflows():
        await meeting.handle.execute_update(ConversationWorkflow.send, TURN)
        for n in range(3):
            await meeting.until_begun(f"run_tool {n}")
        await meeting.handle.signal(ConversationWorkflow.cancel_unanswered, args=[Cancel()])
        await meeting.until_begun("cancel_runs")
    gates[1].set()
    await meeting.until_events(DONE, 2)
    cancel.set()
    await meeting.until_events(DONE, 3)
    async with meeting.workflows():
        await assert_goes_on(meeting)
    assert [name for name in script.begun if name.startswith(("close", "take"))] == [
        FIRST_STEP,
        "take_step run-2 0",
    ]


async def test_a_cancel_that_meets_the_failure_of_a_turn_ends_it_once(meeting: Meeting) -> None:
    """The turn has reached its last step and is being closed; the cancel stops that too."""
    script = meeting.script
    script.calls, script.cancelled = [CallRef("run-1", 0, 0, "a tool")], ["run-1"]
    close, cancel = script.hold("close_run run-1 max_steps"), script.hold("cancel_runs")
    async with meeting.workflows():
        turn = Turn("run-1", max_steps=1)
        await meeting.handle.execute_update(ConversationWorkflow.send, turn)
        await meeting.until_begun("close_run run-1 max_steps")
        await meeting.handle.signal(ConversationWorkflow.cancel_unanswered, args=[Cancel()])
        await meeting.until_begun("cancel_runs")
    close.set()
    await meeting.until_events(DONE, 3)
    cancel.set()
    await meeting.until_events(DONE, 4)
    async with meeting.workflows():
        await assert_goes_on(meeting)


async def test_a_run_that_cannot_even_be_closed_does_not_end_its_conversation(
    meeting: Meeting,
) -> None:
    meeting.script.calls = [CallRef("run-1", 0, 0, "a tool")]
    meeting.script.hold("refuse")
    async with meeting.workflows():
        turn = Turn("run-1", max_steps=1)
        await meeting.handle.execute_update(ConversationWorkflow.send, turn)
        await meeting.until_begun("close_run run-1 error")
        await assert_goes_on(meeting)


@pytest.mark.parametrize("found", [["run-1"], []], ids=["still open", "over already"])
async def test_temporals_own_cancel_that_is_stored_together_with_a_step_is_survived(
    meeting: Meeting, found: list[str]
) -> None:
    script = meeting.script
    script.cancelled = found
    step = script.hold(FIRST_STEP)
    async with meeting.workflows():
        await meeting.handle.execute_update(ConversationWorkflow.send, TURN)
        await meeting.until_begun(FIRST_STEP)
    before = (await meeting.handle.describe()).run_id
    await meeting.handle.cancel()
    step.set()
    await meeting.until_events(DONE, 1)

    async def is_another() -> bool:
        return (await meeting.handle.describe()).run_id != before

    async with meeting.workflows():
        await until(is_another, "the next execution")
        await assert_goes_on(meeting)
    assert script.begun == [FIRST_STEP, "cancel_runs", "take_step run-2 0"]


@pytest.mark.parametrize("is_step_over", [True, False])
async def test_a_close_during_a_step_ends_the_execution_well(
    meeting: Meeting, is_step_over: bool
) -> None:
    script = meeting.script
    script.calls = [CallRef("run-1", 0, 0, "a tool")]
    step = script.hold(FIRST_STEP)
    async with meeting.workflows():
        await meeting.handle.execute_update(ConversationWorkflow.send, TURN)
        await meeting.until_begun(FIRST_STEP)
    await meeting.handle.signal(ConversationWorkflow.close)
    if is_step_over:
        step.set()
        await meeting.until_events(DONE, 1)
    async with meeting.workflows():
        await meeting.handle.result()
    assert script.begun == [FIRST_STEP]


async def test_an_execution_that_is_closed_waits_for_what_it_is_doing_for_somebody(
    meeting: Meeting,
) -> None:
    script = meeting.script
    script.cancelled = ["run-1"]
    cancel = script.hold("cancel_runs")
    async with meeting.workflows():
        asked = await meeting.handle.start_update(
            ConversationWorkflow.cancel, Cancel(), wait_for_stage=ACCEPTED
        )
        await meeting.until_begun("cancel_runs")
        await meeting.handle.signal(ConversationWorkflow.close)
        await meeting.until_events(EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED, 1)
        cancel.set()
        assert (await asked.result()).run_ids == ["run-1"]
        await meeting.handle.result()
