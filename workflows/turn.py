"""A turn: one run, taken through its steps until nothing is left to do."""

import asyncio
from collections.abc import Callable, Sequence
from itertools import groupby

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from workflows import contract, options
from workflows.contract import CallRef, Closing, StepOutcome, StepRef, Turn


class TurnRunner:
    """Drives one run: a step, the tools it asks for, the next step."""

    def __init__(
        self, turn: Turn, is_closed: Callable[[], bool], show: Callable[[str], None]
    ) -> None:
        self.turn = turn
        self._is_closed = is_closed
        self._show = show

    async def run(self) -> list[Turn]:
        """Take the run to its end. A failure fails the run, never the conversation.

        Returns:
            What must come next: nothing in particular; this turn again, in a new execution,
            because history has grown long; or another one that goes before it, and then it.
        """
        try:
            return await self._steps()
        except ActivityError as error:
            await self._close(_failed(self.turn.run_id, error))
        except Exception:
            workflow.logger.exception("turn failed", extra={"run_id": self.turn.run_id})
            await self._close(_internal_error(self.turn.run_id))
        return []

    async def _steps(self) -> list[Turn]:
        index = 0
        while index < self.turn.max_steps:
            outcome = await self._step(index)
            if outcome.first is not None:
                return [outcome.first, self.turn]
            if outcome.done or self._is_closed():
                return []
            if await self._tools(outcome.calls):
                return []
            index = outcome.index + 1
            if workflow.info().get_current_history_length() > options.EVENTS_INSIDE_TURN:
                return [self.turn]
        await self._close(Closing(self.turn.run_id, "max_steps"))
        return []

    async def _step(self, index: int) -> StepOutcome:
        self._show(f"Run `{self.turn.run_id}`: the model works on step {index + 1}.")
        return await workflow.execute_activity(
            contract.take_step,
            StepRef(self.turn.run_id, index),
            start_to_close_timeout=options.STEP_TIMEOUT,
            heartbeat_timeout=options.HEARTBEAT_TIMEOUT,
            retry_policy=options.RETRY,
            summary=_short("model", self.turn.model, index + 1),
        )

    async def _tools(self, calls: Sequence[CallRef]) -> bool:
        """Run a step's calls in order, neighbours that may at once; True when the run was closed.

        All that run at once are waited for, also when one of them fails.
        """
        for parallel, group in groupby(calls, key=lambda call: call.parallel):
            if not parallel:
                for call in group:
                    if await self._tool(call):
                        return True
                continue
            found = await asyncio.gather(*map(self._tool, group), return_exceptions=True)
            for closed in found:
                if isinstance(closed, BaseException):
                    raise closed
            if any(found):
                return True
        return False

    async def _tool(self, call: CallRef) -> bool:
        """Run one tool call; True when the run was closed meanwhile."""
        self._show(f"Run `{self.turn.run_id}`: tool `{call.name}` of step {call.step_index + 1}.")
        outcome = await workflow.execute_activity(
            contract.run_tool,
            call,
            start_to_close_timeout=options.TOOL_TIMEOUT,
            heartbeat_timeout=options.HEARTBEAT_TIMEOUT,
            retry_policy=options.RETRY,
            summary=_short("tool", call.name, call.step_index + 1),
        )
        return outcome.done

    async def _close(self, closing: Closing) -> None:
        self._show(f"Run `{closing.run_id}` ends: {closing.stop_reason}.")
        await workflow.execute_activity(
            contract.close_run,
            closing,
            start_to_close_timeout=options.CLOSE_TIMEOUT,
            heartbeat_timeout=options.HEARTBEAT_TIMEOUT,
            retry_policy=options.RETRY,
            summary=f"close the run · {closing.stop_reason}",
        )


def _short(kind: str, name: str, step: int) -> str:
    """What the Temporal UI shows of an activity; Temporal takes 400 bytes and no more."""
    return f"{kind} {name[:80]} · step {step}"


def _failed(run_id: str, error: ActivityError) -> Closing:
    """What is known about a failure, as the API will tell it."""
    cause = error.cause
    if isinstance(cause, ApplicationError) and cause.details:
        kind, detail, status = cause.details
        return Closing(run_id, "llm_api_error", kind, cause.message, detail, status)
    return _internal_error(run_id)


def _internal_error(run_id: str) -> Closing:
    return Closing(run_id, "error", "internal_error", "The turn failed inside the server.")
