"""A conversation is handed over to a new execution, and whatever comes meanwhile is not lost."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowExecutionStatus

from tests.support.product import Product
from tests.workflows.meetings import Meeting, Script, until
from workflows import options
from workflows.contract import Cancel, Turn
from workflows.conversation import ConversationWorkflow

SEND = ConversationWorkflow.send_unanswered


@pytest.fixture
async def meeting(server: Product) -> AsyncIterator[Meeting]:
    meeting = Meeting(await Client.connect(server.state["temporal_address"]), Script())
    await meeting.start()
    async with meeting.activities():
        yield meeting


def steps(meeting: Meeting) -> list[str]:
    """The runs whose steps were taken, in order."""
    return [name.split()[1] for name in meeting.script.begun if name.startswith("take_step")]


@pytest.mark.parametrize("at_once", [1, 5])
async def test_messages_to_a_busy_conversation_are_taken_once_and_soon_over_hand_overs(
    meeting: Meeting, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    """Were one lost or tried again later, each hand-over would be a wait of a second or more."""
    monkeypatch.setattr(options, "EVENTS_BETWEEN_TURNS", 5)
    monkeypatch.setattr(options, "EVENTS_BETWEEN_TURNS_LIMIT", 15)
    sent: list[str] = []
    slow = executions = 0
    run_id = (await meeting.handle.describe()).run_id
    async with meeting.workflows():
        while executions < 5:
            ids = [f"run-{len(sent) + n}" for n in range(at_once)]
            sent += ids
            began = time.monotonic()
            await asyncio.gather(*(meeting.handle.signal(SEND, args=[Turn(one)]) for one in ids))
            for one in ids:
                await meeting.until_begun(f"take_step {one} 0")
            slow += time.monotonic() - began > 0.8
            before, run_id = run_id, (await meeting.handle.describe()).run_id
            executions += run_id != before
    assert sorted(steps(meeting)) == sorted(sent)
    assert slow < executions / 2


async def test_a_long_history_is_handed_over_once_nobody_speaks(
    meeting: Meeting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(options, "EVENTS_BETWEEN_TURNS", 5)
    monkeypatch.setattr(options, "QUIET", timedelta(milliseconds=100))
    first = (await meeting.handle.describe()).run_id

    async def is_handed_over() -> bool:
        return (await meeting.handle.describe()).run_id != first

    async with meeting.workflows():
        await meeting.handle.signal(SEND, args=[Turn("run-1")])
        await until(is_handed_over, "the next execution")
        await meeting.handle.signal(SEND, args=[Turn("run-2")])
        await meeting.until_begun("take_step run-2 0")
    assert steps(meeting) == ["run-1", "run-2"]


async def test_the_time_of_the_last_message_is_shown_and_seldom_written(
    meeting: Meeting, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = EventType.EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED
    async with meeting.workflows():
        await meeting.handle.signal(SEND, args=[Turn("run-1")])
        await meeting.until_begun("take_step run-1 0")
        history = await meeting.handle.fetch_history()
        assert all(event.event_type != written for event in history.events)
        monkeypatch.setattr(options, "SHOW_TIME_EVERY", timedelta(0))
        await meeting.handle.signal(SEND, args=[Turn("run-2")])
        await meeting.until_events(written, 1)
    memo = await (await meeting.handle.describe()).memo()
    shown = datetime.strptime(memo["last_message_at"], "%Y-%m-%d %H:%M UTC").replace(tzinfo=UTC)
    assert abs(datetime.now(UTC) - shown) < timedelta(minutes=5)


async def test_a_close_during_a_hand_over_is_followed(
    meeting: Meeting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hand-over waits for a cancel; the agent is deleted meanwhile."""
    monkeypatch.setattr(options, "EVENTS_BETWEEN_TURNS", 5)
    monkeypatch.setattr(options, "QUIET", timedelta(milliseconds=100))
    cancel = meeting.script.hold("cancel_runs")
    execution = meeting.handle
    async with meeting.workflows():
        await execution.signal(SEND, args=[Turn("run-1")])
        await meeting.until_begun("take_step run-1 0")
        await execution.signal(ConversationWorkflow.cancel_unanswered, args=[Cancel()])
        await meeting.until_begun("cancel_runs")
        await meeting.until_events(EventType.EVENT_TYPE_TIMER_FIRED, 1)
        await execution.signal(ConversationWorkflow.close)
        cancel.set()
        await execution.result()
    found = await execution.describe()
    assert found.status is WorkflowExecutionStatus.COMPLETED
    assert await _first_run_id(meeting) == found.run_id


async def _first_run_id(meeting: Meeting) -> str:
    """The first execution of the conversation."""
    history = await meeting.handle.fetch_history()
    started = history.events[0].workflow_execution_started_event_attributes
    return str(started.first_execution_run_id)


async def test_a_signal_of_a_run_that_cannot_be_read_is_dropped(meeting: Meeting) -> None:
    async with meeting.workflows():
        for given in ([], ["run-1"], [{"max_steps": 3}], [Turn("a"), Turn("b")]):
            await meeting.handle.signal(SEND, args=given)
        await meeting.handle.signal(SEND, args=[Turn("run-1")])
        await meeting.until_begun("take_step run-1 0")
    assert steps(meeting) == ["run-1"]
