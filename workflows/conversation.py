"""A conversation: one long-lived workflow that takes its turns one at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from temporalio import workflow
from temporalio.converter import value_to_type
from temporalio.exceptions import ApplicationError, FailureError

from workflows import contract, options
from workflows.contract import (
    Accepted,
    Approval,
    Cancel,
    Cancelled,
    ConversationRef,
    ConversationState,
    Decide,
    Decided,
    Turn,
    Verdict,
)
from workflows.showing import REQUIRES_APPROVAL, RUN_STATUS, how_to_decide, pending_memo
from workflows.turn import TurnRunner

_Argument = TypeVar("_Argument")
_Result = TypeVar("_Result")


@workflow.defn(name="Conversation")
class Conversation:
    """Queues the runs of one conversation and drives them through their steps.

    The workflow's id is the conversation's. All that is said is in the database, from which an
    execution can be made again at any time: sending a run that is half done carries it on.
    """

    @workflow.init
    def __init__(self, state: ConversationState) -> None:
        self._state = state
        self._current: TurnRunner | None = None
        self._closed = False
        self._served = 0
        self._expired = False
        self._began = workflow.now()
        self._waits = state.pending is not None
        self._told = 0
        self._heard: Approval | None = None

    @workflow.run
    async def run(self, state: ConversationState) -> None:
        """Take turns until the conversation is closed or idle; hand over before history is long."""
        if state.pending is not None:
            details = how_to_decide(state.conversation_id, state.pending)
            workflow.set_current_details(details)
        clock = asyncio.create_task(self._expire())
        while await self._something_to_do():
            await self._take(self._state.queue.pop(0))
            if await self._is_time_to_hand_over():
                await workflow.wait_condition(workflow.all_handlers_finished)
                if self._state.queue and not self._waits:
                    self._show_pending(None)  # the next execution is to look again
                workflow.continue_as_new(self._state)
        clock.cancel()
        if self._closed:
            self._set_status("closed")

    @workflow.update
    async def send(self, turn: Turn) -> Accepted:
        """Queue a run. Sending one that waits or runs already changes nothing.

        An answer to an approval request goes first. Whatever is sent makes the conversation look
        again whether it still waits for one: the database knows.
        """
        self._queue(turn)
        return Accepted(turn.run_id, ahead=self._known().index(turn.run_id))

    @workflow.update
    async def decide(self, verdict: Verdict) -> Decided:
        """Approve or deny what waits, from Temporal's UI or CLI."""
        return await self._decide(verdict)

    @workflow.signal(name="decide")
    async def decide_unanswered(self, *given: object) -> None:
        """The same without an answer: what cannot be is logged and dropped."""
        with _dropped("decide"):
            await self._decide(_the_one(Verdict, given))

    @workflow.update
    async def cancel(self, request: Cancel) -> Cancelled:
        """Cancel what is under way and what waits, or the runs that are named; tells which were."""
        return await self._cancel(request)

    @workflow.signal(name="cancel")
    async def cancel_unanswered(self, *given: object) -> None:
        """The same without an answer: what cannot be is logged and dropped."""
        with _dropped("cancel"):
            await self._cancel(_the_one(Cancel, given))

    @workflow.signal
    async def refresh(self, *_: object) -> None:
        """What is shown to be waited for may be out of date; the database knows."""
        with _dropped("refresh"):
            conversation = ConversationRef(self._state.conversation_id)
            before = (self._told, self._served)
            pending = await self._record(contract.find_pending, conversation, "look what waits")
            if before != (self._told, self._served):
                return  # more is known by now
            if self._current is None:
                self._look_again(pending)
            elif pending is None:
                self._show_work()

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
        """The agent is being deleted: take no more turns and end."""
        self._closed = True

    def _refuse_when_closed(self) -> None:
        if self._closed:
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

    async def _cancel(self, request: Cancel) -> Cancelled:
        request = Cancel(self._state.conversation_id, request.run_ids)
        cancelled = await self._record(contract.cancel_runs, request, "cancel")
        at_rest = set(cancelled.run_ids)
        self._state.queue = [turn for turn in self._state.queue if turn.run_id not in at_rest]
        if self._current is not None and self._current.turn.run_id in at_rest:
            self._current.stop()
        self._look_again(cancelled.pending)
        return cancelled

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

    async def _something_to_do(self) -> bool:
        """Wait for a turn; False when the conversation is closed, or long after the last one."""
        while not (self._closed or self._expired):
            await workflow.wait_condition(lambda: self._closed or self._expired or self._can_take())
            await workflow.wait_condition(workflow.all_handlers_finished)
            if self._can_take():  # else a cancel, which was a handler, took all that waited
                break
        return self._can_take() and not self._closed

    def _can_take(self) -> bool:
        return bool(self._state.queue) and not self._waits

    def _queue(self, turn: Turn) -> None:
        if turn.run_id not in self._known():
            self._state.queue.append(turn)
        self._look_again()

    def _look_again(self, pending: Approval | None = None) -> None:
        """Something was said: what is known here of an approval request may be out of date.

        Args:
            pending: What is waited for now, as far as whoever said it knows.
        """
        self._told += 1
        self._heard = pending
        self._waits = False
        self._state.queue.sort(key=lambda turn: not turn.answers)  # the others keep their order
        if self._current is None and not self._state.queue:
            self._show_rest(pending)

    async def _expire(self) -> None:
        """End an execution that served nothing for long. One timer for all turns: they cost."""
        served = -1
        while served != self._served or self._known() or self._state.pending:
            served = self._served
            await asyncio.sleep(options.IDLE_TIMEOUT.total_seconds())
        self._expired = True

    async def _take(self, turn: Turn) -> None:
        self._began = workflow.now()
        told = self._told
        self._current = runner = TurnRunner(turn, self._is_closed, self._show_step)
        try:
            then = await runner.run()
        finally:
            self._current = None
        ids = {turn.run_id for turn in then.turns}
        later = [turn for turn in self._state.queue if turn.run_id not in ids]
        self._state.queue = then.turns + later
        self._served += 1
        pending = then.pending
        self._waits = pending is not None and told == self._told
        if told != self._told:  # something was said since the turn looked
            pending = None if runner.is_stopped else self._heard or pending
        if self._state.queue:
            self._show_pending(pending)
        else:
            self._show_rest(pending)

    async def _is_time_to_hand_over(self) -> bool:
        length = workflow.info().get_current_history_length()
        if self._closed or length <= options.EVENTS_BETWEEN_TURNS:
            return False
        if length > options.EVENTS_BETWEEN_TURNS_LIMIT:
            return True
        try:
            await workflow.wait_condition(
                lambda: self._closed or self._can_take(), timeout=options.QUIET
            )
        except TimeoutError:
            return True
        return False

    def _is_closed(self) -> bool:
        return self._closed

    def _show_step(self, text: str) -> None:
        """Tell the Temporal UI what happens; in its list of workflows only what takes a while."""
        waiting = f"\n\n{len(self._state.queue)} more runs wait." if self._state.queue else ""
        workflow.set_current_details(text + waiting)
        if workflow.now() - self._began > options.WORTH_SHOWING:
            self._set_status("running")

    def _show_work(self) -> None:
        """Tell the Temporal UI that nothing is waited for, although the turn is not over."""
        self._show_pending(None)
        self._set_status("running")

    def _show_rest(self, pending: Approval | None) -> None:
        """Tell the Temporal UI that no run is left, and what is waited for, if anything is."""
        self._show_pending(pending)
        if pending is None:
            workflow.set_current_details(f"Idle. {self._served} turns taken by this execution.")
            self._set_status("idle")

    def _show_pending(self, pending: Approval | None) -> None:
        """Tell the Temporal UI what the conversation waits for, and how to answer it there."""
        if pending == self._state.pending:
            return
        self._state.pending = pending
        workflow.upsert_memo(pending_memo(pending))
        if pending is not None:
            self._set_status(REQUIRES_APPROVAL)
            workflow.set_current_details(how_to_decide(self._state.conversation_id, pending))

    def _set_status(self, status: str) -> None:
        if workflow.info().typed_search_attributes.get(RUN_STATUS) != status:
            workflow.upsert_search_attributes([RUN_STATUS.value_set(status)])


@contextmanager
def _dropped(signal: str) -> Iterator[None]:
    """A signal has nobody to tell that it failed, and must not fail the workflow."""
    try:
        yield
    except (FailureError, TypeError, ValueError) as error:
        facts = {"signal": signal, "error": type(error).__name__}
        workflow.logger.warning("signal dropped", extra=facts)


def _the_one(kind: type[_Argument], given: Sequence[object]) -> _Argument:
    """The argument of a signal, which comes as it was typed: none, several, or something else.

    Were it declared, a signal without it would fail the workflow's task again and again.

    Raises:
        TypeError: It is not what it has to be; ValueError when it is not one.
    """
    (value,) = given
    argument: _Argument = value_to_type(kind, value)
    return argument
