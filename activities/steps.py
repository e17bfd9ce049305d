"""Activities that ask a language model for the next step of a run."""

import time
from dataclasses import dataclass

from temporalio import activity

from activities.errors import as_activity_failure
from activities.heartbeat import heartbeating
from activities.step.begin import StepToTake, begin_step
from activities.step.commit import CallTime, commit_step
from activities.step.deltas import DeltaWriter
from activities.step.failing import Patience, after_failure, after_no_beginning, after_success
from activities.step.measures import count_tokens, first_piece_timed, measured
from activities.step.prompt_cache import Contexts
from activities.step.room import room_after, room_first
from activities.step.traces import StepTraces
from activities.step.unused_replies import count_lost
from o.domain.fallbacks import next_place
from o.domain.llm import LanguageModel, ModelReply
from o.domain.loops import is_legacy
from o.errors import Failure, ModelError, ProviderFull
from o.ids import derived_id
from o.metrics.measures import Stopwatch, turn_waited
from o.storage.database import KEPT_S, Database, with_patience
from o.storage.turn.opening import uncount_attempt
from workflows.contract import StepOutcome, StepRef

_NO_CALL = "No tool calls found in response, model must make a tool call"


@dataclass(frozen=True)
class StepLimits(Patience):
    """How often a step is tried: when the provider is busy, and when its worker dies.

    Attributes:
        approval_timeout_s: After how long a call that nobody approves is denied, None for never.
    """

    approval_timeout_s: int | None = None


class StepActivities:
    """One step: read the context, ask the model, commit the reply."""

    def __init__(
        self, model: LanguageModel, database: Database, limits: StepLimits, traces: StepTraces
    ) -> None:
        self._model = model
        self._traces = traces
        self._database = database
        self._limits = limits
        self._contexts = Contexts()

    @activity.defn(name="take_step")
    async def take_step(self, step: StepRef) -> StepOutcome:
        """Ask the model for step `step.index` of run `step.run_id` and commit its reply.

        Safe to retry: a step that is committed is returned as it stands, whoever committed it,
        and a run that is closed or gone stays so.

        Raises:
            ApplicationError: `ModelError`, retried while the provider is busy or down, or with
                the model to turn to; `ProviderFull` and `ProviderRests`, retried until there is
                room or the rest is over, which takes no slot meanwhile.
        """
        with as_activity_failure(), heartbeating():
            try:
                watch = Stopwatch()
                begun = await begin_step(
                    self._database, self._contexts, step, self._limits.crash_attempts
                )
            except ModelError as error:
                step_id = derived_id("step", step.run_id, step.index)
                await after_no_beginning(self._database, step_id, error)
                raise
            if isinstance(begun, StepOutcome):
                return begun
            watch.note("begin")
            if begun.index == 0 and begun.attempt == 1:
                turn_waited(begun.run.created_at)
            try:
                if (outcome := await room_first(self._database, begun, step)) is not None:
                    return outcome
                outcome = await self._take(begun)
            except ModelError as error:
                if (outcome := room_after(begun, step, error)) is not None:
                    return outcome
                raise await after_failure(self._database, begun, error, self._limits) from None
            await after_success(self._database, begun)
        return outcome

    async def _take(self, step: StepToTake) -> StepOutcome:
        started_ns, clock_ns = time.time_ns(), time.monotonic_ns()
        reply = await self._ask(step)
        asked = CallTime(started_ns, time.monotonic_ns() - clock_ns)
        watch = Stopwatch()
        outcome = await with_patience(
            lambda: commit_step(
                self._database,
                step,
                reply,
                asked,
                approval_timeout_s=self._limits.approval_timeout_s,
            ),
            patience_s=KEPT_S,
        )
        watch.note("commit")
        activity.logger.info(
            "model replied",
            extra={
                "model": step.request.handle,
                "tool_calls": len(reply.tool_calls),
                "output_tokens": reply.usage.completion_tokens,
            },
        )
        return outcome

    async def _ask(self, step: StepToTake) -> ModelReply:
        try:
            async with self._traces.of(step) as traced:
                with measured(step.request.handle):
                    reply = await self._reply(step)
                count_tokens(reply.usage)
                traced.notes = reply.notes
                await self._refuse_unusable(step, reply)
        except ProviderFull:
            async with self._database.connect() as connection:
                await uncount_attempt(connection, step.step_id, step.attempt)
            raise
        return reply

    async def _refuse_unusable(self, step: StepToTake, reply: ModelReply) -> None:
        """Refuse a reply that a step cannot be made of.

        Raises:
            ModelError: `llm_empty_response`; `llm_error` where an agent of the legacy loop
                called no tool.
        """
        if reply.tool_calls or (reply.text.strip() and not is_legacy(step.agent)):
            return
        await count_lost(self._database, step, reply.usage)
        if reply.text.strip():
            raise ModelError("llm_error", _NO_CALL)
        raise ModelError(
            "llm_empty_response",
            "The model replied with neither text nor a tool call.",
            detail=f"finish reason: {reply.finish_reason}",
            failure=Failure.EMPTY,
        )

    async def _reply(self, step: StepToTake) -> ModelReply:
        choice = step.choice
        has_other = next_place(choice.models, choice.place, choice.resting) is not None
        is_last_try = step.tries + 1 >= self._limits.model_attempts and not has_other
        request = step.request.model_copy(update={"is_last_try": is_last_try})
        if not step.run.options.stream_tokens:
            return await self._model.complete(request)
        async with DeltaWriter(self._database, step) as deltas:
            return await self._model.complete(request, first_piece_timed(deltas.write))
