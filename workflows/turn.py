"""A turn: one run, taken through its steps until nothing is left to do."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import groupby
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from o.errors import SYSTEM_PROMPT_OVERFLOW
from workflows import contract, options
from workflows.contract import (
    CallRef,
    Closing,
    Compacted,
    CompactRef,
    PendingApproval,
    StepOutcome,
    StepRef,
    Turn,
)

_Argument = TypeVar("_Argument")
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Next:
    """What follows a turn.

    Attributes:
        turns: What must come next: nothing in particular; this turn again, because history has
            grown long or an approval request is waited for; or one that goes before it, and it.
        pending: The approval request that the conversation waits for now.
    """

    turns: list[Turn] = field(default_factory=list)
    pending: PendingApproval | None = None


class TurnRunner:
    """Drives one run: a step, the tools it asks for, the next step.

    Attributes:
        is_stopped: Whether the run was cancelled, and with it what it may have asked for.
    """

    def __init__(
        self,
        turn: Turn,
        is_closed: Callable[[], bool],
        show: Callable[[str], None],
        *,
        most_events: int,
    ) -> None:
        self.turn = turn
        self._most_events = most_events
        self._is_closed = is_closed
        self._show = show
        self.is_stopped = False
        self._under_way: list[workflow.ActivityHandle[Any]] = []

    async def run(self) -> Next:
        """Take the run to its end. A failure fails the run, never the conversation."""
        try:
            return await self._steps()
        except (Exception, asyncio.CancelledError) as error:
            await self._end(error)
        return Next()

    def stop(self) -> None:
        """Stop what is under way: the run was cancelled, so that nothing of it is wanted."""
        self.is_stopped = True
        for activity in self._under_way:
            activity.cancel()

    async def _end(self, error: BaseException) -> None:
        """The one end of a turn that cannot go on. It never raises: that would end the workflow.

        An activity that is stopped fails with `ActivityError`, but with a bare `CancelledError`
        when its result arrives together with the cancel. Either is what was asked for.
        """
        if self.is_stopped:
            return
        facts = {"run_id": self.turn.run_id, "error": type(error).__name__}
        if not isinstance(error, ActivityError):
            workflow.logger.error("turn failed", extra=facts, exc_info=error)
        try:
            await self._close(_closing_of(self.turn.run_id, error))
        except (Exception, asyncio.CancelledError):
            if not self.is_stopped:  # the run is open, so the sweeper sends it again
                workflow.logger.exception("run could not be closed", extra=facts)

    async def _steps(self) -> Next:
        if self.turn.answers:
            outcome = await self._answer()
            if not await self._goes_on(outcome):
                return self._next(outcome)
        index = 0
        while index < self.turn.max_steps:
            outcome = await self._step_by_any_model(index)
            if not await self._goes_on(outcome):
                return self._next(outcome)
            index = outcome.index + 1
            if workflow.info().get_current_history_length() > self._most_events:
                return Next([self.turn])
        await self._close(Closing(self.turn.run_id, "max_steps"))
        return Next()

    async def _goes_on(self, outcome: StepOutcome) -> bool:
        """Make the calls that a step led to, and say whether another step follows."""
        if outcome.first or outcome.pending or outcome.done or self._is_over():
            return False
        return not await self._tools(outcome.calls)

    def _is_over(self) -> bool:
        return self.is_stopped or self._is_closed()

    def _next(self, outcome: StepOutcome) -> Next:
        """What follows a step with which the turn ends, or at which it may not begin."""
        if outcome.first is not None:
            return Next([outcome.first, self.turn])
        if outcome.pending is not None:
            return Next([] if outcome.done else [self.turn], outcome.pending)
        return Next()

    async def _answer(self) -> StepOutcome:
        self._show(f"Run `{self.turn.run_id}` answers an approval request.")
        return await self._do(
            contract.begin_answer,
            self.turn,
            options.RECORD_TIMEOUT,
            "the approval request is answered",
        )

    async def _step_by_any_model(self, index: int) -> StepOutcome:
        """Take a step, with the next of the agent's models where one does not answer.

        Later steps ask the one that answered. Which one is next the database says, so that an
        execution that is made anew goes on with it.
        """
        while True:
            try:
                return await self._step_with_room(index)
            except ActivityError as error:
                place, model = _next_model(error)
                if place <= self.turn.fallback or self._is_over():
                    raise
                self.turn = replace(self.turn, fallback=place, model=model)

    async def _step_with_room(self, index: int) -> StepOutcome:
        """Take a step; where its prompt is too long, make room in the window and take it again."""
        compactions = 0
        while True:
            outcome = await self._step(index, compactions)
            if not outcome.compact or self._is_over():
                return outcome
            compacted = await self._compact(outcome, compactions)
            if compacted.done:
                return replace(outcome, done=True)
            compactions = compactions + 1 if compacted.smaller else options.COMPACTIONS

    async def _compact(self, outcome: StepOutcome, ordinal: int) -> Compacted:
        index = outcome.index
        self._show(f"Run `{self.turn.run_id}`: history is summed up before step {index + 1}.")
        request = CompactRef(
            self.turn.run_id,
            index,
            ordinal,
            self.turn.fallback,
            outcome.tokens,
            outcome.refused,
        )
        return await self._do(
            contract.compact, request, options.STEP_TIMEOUT, f"make room · step {index + 1}"
        )

    async def _step(self, index: int, compactions: int) -> StepOutcome:
        self._show(f"Run `{self.turn.run_id}`: the model works on step {index + 1}.")
        return await self._do(
            contract.take_step,
            StepRef(self.turn.run_id, index, self.turn.fallback, compactions),
            options.STEP_TIMEOUT,
            _short("model", self.turn.model, index + 1),
        )

    async def _tools(self, calls: Sequence[CallRef]) -> bool:
        """Run a step's calls in order, neighbours that may at once; True when the run was closed.

        All that run at once are waited for, also when one of them fails.
        """
        for parallel, group in groupby(calls, key=lambda call: call.parallel):
            if not parallel:
                for call in group:
                    if await self._tool(call) or self._is_over():
                        return True
                continue
            found = await asyncio.gather(*map(self._tool, group), return_exceptions=True)
            for closed in found:
                if isinstance(closed, BaseException):
                    raise closed
            if any(found) or self._is_over():
                return True
        return False

    async def _tool(self, call: CallRef) -> bool:
        """Run one tool call; True when the run was closed meanwhile."""
        self._show(f"Run `{self.turn.run_id}`: tool `{call.name}` of step {call.step_index + 1}.")
        outcome = await self._do(
            contract.run_tool,
            call,
            options.TOOL_TIMEOUT,
            _short("tool", call.name, call.step_index + 1),
        )
        return outcome.done

    async def _close(self, closing: Closing) -> None:
        self._show(f"Run `{closing.run_id}` ends: {closing.stop_reason}.")
        await self._do(
            contract.close_run,
            closing,
            options.RECORD_TIMEOUT,
            f"close the run · {closing.stop_reason}",
            task_queue=options.control_queue(workflow.info().task_queue),
        )

    async def _do(
        self,
        stub: Callable[[_Argument], Awaitable[_Result]],
        argument: _Argument,
        at_most: timedelta,
        summary: str,
        *,
        task_queue: str | None = None,
    ) -> _Result:
        """Carry out an activity that `stop` can reach; on the turn's own queue by default."""
        activity = workflow.start_activity(
            stub,
            argument,
            task_queue=task_queue,
            start_to_close_timeout=at_most,
            heartbeat_timeout=options.HEARTBEAT_TIMEOUT,
            retry_policy=options.RETRY,
            summary=summary,
        )
        self._under_way.append(activity)
        try:
            return await activity
        finally:
            self._under_way.remove(activity)


def _short(kind: str, name: str, step: int) -> str:
    """What the Temporal UI shows of an activity; Temporal takes 400 bytes and no more."""
    return f"{kind} {name[:80]} · step {step}"


def _next_model(error: ActivityError) -> tuple[int, str]:
    """The place and the handle of the model to turn to; 0 where there is none."""
    cause = error.cause
    if isinstance(cause, ApplicationError) and cause.type == "ModelError" and cause.details[3:]:
        place, model = cause.details[3:5]
        return int(place), str(model)
    return 0, ""


def _closing_of(run_id: str, error: BaseException) -> Closing:
    """What is known about a failure. Releases before this one told the provider's words, too."""
    cause = error.cause if isinstance(error, ActivityError) else None
    if isinstance(cause, ApplicationError) and cause.details:
        kind, detail, status = cause.details[:3]
        message = "" if cause.message == kind else cause.message
        reason = kind if kind == SYSTEM_PROMPT_OVERFLOW else "llm_api_error"
        return Closing(run_id, reason, kind, message, detail, status)
    return Closing(run_id, "error", "internal_error", "The turn failed inside the server.")
