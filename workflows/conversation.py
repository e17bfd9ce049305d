"""A conversation: one long-lived workflow that takes its turns one at a time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from workflows import contract, options
from workflows.contract import (
    Accepted,
    Cancel,
    CancelledRuns,
    ConversationRef,
    ConversationState,
    Decide,
    Decided,
    PendingApproval,
    Turn,
    Verdict,
)
from workflows.signals import dropped, the_one
from workflows.temporal_ui import Display
from workflows.turn import TurnRunner

_Argument = TypeVar("_Argument")
_Result = TypeVar("_Result")


@workflow.defn(name="Conversation")
class ConversationWorkflow:
    """Queues the runs of one conversation and drives them through their steps.

    The workflow's id is the conversation's. All messages are in the database, from which an
    execution can be made again at any time: sending a run that is half done carries it on.
    """

    @workflow.init
    def __init__(self, state: ConversationState) -> None:
        self._state = state
        self._display = Display(state)
        self._current: TurnRunner | None = None
        self._cancelling: asyncio.Task[None] | None = None
        self._is_closed = False
        self._is_expired = False
        self._must_hand_over = False
        self._clock: asyncio.Task[None] | None = None
        self._quiet_clock: asyncio.Task[None] | None = None
        self._served = 0
        self._is_waiting = state.pending is not None
        self._wakes = 0
        self._latest_pending: PendingApproval | None = None

    @workflow.run
    async def run(self, state: ConversationState) -> None:
        """Take turns until the conversation is closed or idle; hand over before history is long.

        Turns have a task of their own, because Temporal's cancel button cancels this one: it is a
        request to cancel what is open, and the conversation goes on.
        """
        turns = asyncio.create_task(self._take_turns())
        is_cancel_followed = False  # an execution is asked but once
        while not turns.done():
            try:
                await workflow.wait([turns])
            except asyncio.CancelledError:
                if workflow.cancellation_reason() is None or is_cancel_followed:
                    raise  # this worker forgets the execution
                is_cancel_followed = True
                if workflow.patched(options.CANCEL_BUTTON):
                    self._cancelling = asyncio.create_task(self._follow_cancel_button())
                else:
                    turns.cancel()
        if await turns:
            self._state.history_limit = options.EVENTS_BETWEEN_TURNS_LIMIT
            workflow.continue_as_new(self._state)

    @workflow.update
    async def send(self, turn: Turn) -> Accepted:
        """Queue a run. Sending one that waits or runs already changes nothing.

        An answer to an approval request goes first. Whatever is sent makes the conversation look
        again whether it still waits for one: the database knows.
        """
        self._queue(turn)
        return Accepted(turn.run_id, ahead=self._known().index(turn.run_id))

    @workflow.signal(name="send")
    def send_unanswered(self, *given: object) -> None:
        """The same without an answer, for whoever follows the run in the database.

        A signal is never lost: one that arrives while an execution ends or is handed over makes
        Temporal ask this one again. An update is refused then, and tried again a second later.
        """
        with dropped("send"):
            turn = the_one(Turn, given)
            if not self._is_closed:
                self._queue(turn)

    @workflow.update
    async def decide(self, verdict: Verdict) -> Decided:
        """Approve or deny what waits, from Temporal's UI or CLI."""
        return await self._decide(verdict)

    @workflow.signal(name="decide")
    async def decide_unanswered(self, *given: object) -> None:
        """The same without an answer: what cannot be done is logged and dropped."""
        with dropped("decide"):
            await self._decide(the_one(Verdict, given))

    @workflow.update
    async def cancel(self, request: Cancel) -> CancelledRuns:
        """Cancel what is under way and what waits, or the runs named; answers which were."""
        return await self._cancel(request)

    @workflow.signal(name="cancel")
    async def cancel_unanswered(self, *given: object) -> None:
        """The same without an answer: what cannot be done is logged and dropped."""
        with dropped("cancel"):
            await self._cancel(the_one(Cancel, given))

    @workflow.signal
    async def refresh(self, *_: object) -> None:
        """What is shown to be waited for may be out of date; the database knows."""
        with dropped("refresh"):
            conversation = ConversationRef(self._state.conversation_id)
            before = (self._wakes, self._served)
            pending = await self._record(contract.find_pending, conversation, "look what waits")
            if before != (self._wakes, self._served):
                return  # more is known by now
            if self._current is None:
                self._look_again(pending)
            elif pending is None:
                self._display.work()

    @send.validator
    def _check_send(self, turn: Turn) -> None:
        self._refuse_when_closed()

    @decide.validator
    def _check_decide(self, verdict: Verdict) -> None:
        self._refuse_when_closed()

    @cancel.validator
    def _check_cancel(self, request: Cancel) -> None:
        self._refuse_when_closed()

    @workflow.signal
    def close(self, *_: object) -> None:
        """The agent is being deleted: stop what is under way, take no more turns and end."""
        self._is_closed = True
        if self._current is not None and workflow.patched(options.CLOSE_STOPS_WORK):
            self._current.stop()

    def _refuse_when_closed(self) -> None:
        if self._is_closed:
            raise ApplicationError("the agent was deleted", type="Conflict")

    async def _decide(self, verdict: Verdict) -> Decided:
        run_id = f"run-{workflow.uuid4()}"
        request = Decide(self._state.conversation_id, run_id, verdict)
        decided = await self._record(contract.decide, request, "a person decides")
        if decided.turn is not None:
            self._queue(decided.turn)
        else:
            self._look_again(decided.pending)
        return decided

    async def _cancel(self, request: Cancel) -> CancelledRuns:
        request = Cancel(self._state.conversation_id, request.run_ids)
        cancelled = await self._record(contract.cancel_runs, request, "cancel")
        closed = set(cancelled.run_ids)
        self._state.queue = [turn for turn in self._state.queue if turn.run_id not in closed]
        if self._current is not None and self._current.turn.run_id in closed:
            self._current.stop()
        self._look_again(cancelled.pending)
        return cancelled

    async def _follow_cancel_button(self) -> None:
        """Cancel all that is open, then begin a new execution, whose button works again."""
        with dropped("cancel request"):
            await self._cancel(Cancel())
        self._must_hand_over = True

    async def _record(
        self,
        stub: Callable[[_Argument], Awaitable[_Result]],
        argument: _Argument,
        summary: str,
    ) -> _Result:
        return await workflow.execute_activity(
            stub,
            argument,
            task_queue=options.control_queue(workflow.info().task_queue),
            start_to_close_timeout=options.RECORD_TIMEOUT,
            heartbeat_timeout=options.HEARTBEAT_TIMEOUT,
            retry_policy=options.RETRY,
            summary=summary,
        )

    def _known(self) -> list[str]:
        current = [self._current.turn.run_id] if self._current else []
        return current + [turn.run_id for turn in self._state.queue]

    async def _take_turns(self) -> bool:
        """Take turns until there is no more to do here; True when another execution follows."""
        self._display.begin_execution()
        self._clock = asyncio.create_task(self._expire())
        while await self._something_to_do():
            if not self._must_hand_over and not self._is_long():
                await self._take(self._state.queue.pop(0))
            if not await self._is_time_to_hand_over():
                continue
            await self._settle()
            if not self._is_closed:  # it may have been meanwhile
                if self._state.queue and not self._is_waiting:
                    self._display.pending(None)  # the next execution is to look again
                return True
        if self._clock is not None:
            self._clock.cancel()
        if self._is_closed:
            self._display.status("closed")
        return False

    async def _something_to_do(self) -> bool:
        """Wait for a turn; False when the conversation is closed, or long after the last one."""
        while True:
            await workflow.wait_condition(
                lambda: (
                    self._is_closed or self._is_expired or self._must_hand_over or self._can_take()
                )
            )
            await self._settle()
            if self._is_closed:
                return False
            if self._must_hand_over or self._can_take():
                return True
            # Else a cancel, which was a handler, took all that waited.
            if self._is_expired:
                if not self._is_needed():
                    return False
                self._is_expired = False
                self._clock = asyncio.create_task(self._expire())

    async def _settle(self) -> None:
        """Wait for what was begun beside the turns: an execution must not end without it."""
        await workflow.wait_condition(
            lambda: (
                workflow.all_handlers_finished()
                and (self._cancelling is None or self._cancelling.done())
            )
        )

    def _can_take(self) -> bool:
        return bool(self._state.queue) and not self._is_waiting

    def _is_needed(self) -> bool:
        return bool(self._known()) or self._state.pending is not None

    def _queue(self, turn: Turn) -> None:
        if turn.run_id not in self._known():
            self._state.queue.append(turn)
        self._look_again()

    def _look_again(self, pending: PendingApproval | None = None) -> None:
        """Something came: what is known here of an approval request may be out of date.

        Args:
            pending: What is waited for now, as far as whoever sent it knows.
        """
        self._wakes += 1
        self._latest_pending = pending
        self._is_waiting = False
        self._state.queue.sort(key=lambda turn: not turn.answers)  # the others keep their order
        if self._current is None and not self._state.queue:
            self._display.idle(pending, self._served)

    async def _expire(self) -> None:
        """End an execution that served nothing for long. One timer for all turns: they cost."""
        served = -1
        while served != self._served or self._is_needed():
            served = self._served
            await workflow.sleep(options.IDLE_TIMEOUT, summary="end of an idle execution")
        self._is_expired = True

    async def _take(self, turn: Turn) -> None:
        self._display.begin_turn()
        wakes = self._wakes
        # A turn that begins just under the limit still has room for its steps.
        events = max(options.EVENTS_INSIDE_TURN, self._history_limit + options.EVENTS_OF_A_TURN)
        self._current = runner = TurnRunner(
            turn, lambda: self._is_closed, self._display.step, most_events=events
        )
        try:
            then = await runner.run()
        finally:
            self._current = None
        ids = {turn.run_id for turn in then.turns}
        later = [turn for turn in self._state.queue if turn.run_id not in ids]
        self._state.queue = then.turns + later
        self._served += 1
        pending = then.pending
        self._is_waiting = pending is not None and wakes == self._wakes
        if wakes != self._wakes:  # something came since the turn looked
            pending = None if runner.is_stopped else self._latest_pending or pending
        if self._state.queue:
            self._display.pending(pending)
        else:
            self._display.idle(pending, self._served)

    @property
    def _history_limit(self) -> int:
        return min(self._state.history_limit, options.EVENTS_BETWEEN_TURNS_LIMIT)

    def _is_long(self) -> bool:
        """Whether the turn that is next is better left to a new execution.

        Its sender waits for the answer, so that hardly anything else comes while it is handed over.
        """
        info = workflow.info()
        return (
            self._quiet_clock is not None
            and info.get_current_history_length() > self._history_limit
            and workflow.now() - info.start_time > options.YOUNG
        )

    async def _is_time_to_hand_over(self) -> bool:
        length = workflow.info().get_current_history_length()
        if self._is_closed or self._must_hand_over or self._is_long():
            return not self._is_closed
        if length <= options.EVENTS_BETWEEN_TURNS:
            return False
        if workflow.patched(options.HAND_OVER_AT_REST):
            self._quiet_clock = self._quiet_clock or asyncio.create_task(self._await_quiet())
            return False
        return await self._is_quiet(length)

    async def _await_quiet(self) -> None:
        """Hand over once nothing was asked for a while. One timer for many turns: they cost."""
        served = -1
        while served != self._served or self._current is not None:
            served = self._served
            await workflow.sleep(options.QUIET, summary="new execution when nobody speaks")
        self._must_hand_over = True

    async def _is_quiet(self, length: int) -> bool:
        """How executions that were open before `HAND_OVER_AT_REST` see whether it is time."""
        if length > self._history_limit:
            return True
        try:
            await workflow.wait_condition(
                lambda: self._is_closed or self._can_take(), timeout=options.OLD_QUIET
            )
        except TimeoutError:
            return True
        return False
