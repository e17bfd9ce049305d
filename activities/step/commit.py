"""What follows from a reply: what the rules fill in, what waits for approval, what is stored."""

from dataclasses import dataclass
from datetime import UTC, datetime

from temporalio import activity

from activities.step.begin import StepToTake
from activities.step.unused_replies import count_lost
from o.domain.extras import extras_to_store
from o.domain.llm import ModelReply
from o.domain.loops import GO_ON, AfterCall, after_text
from o.domain.messages import (
    GivenId,
    Message,
    Part,
    ReasoningPart,
    RedactedPart,
    Role,
    TextPart,
    ToolCall,
    reply_message_id,
    tool_call_id,
)
from o.domain.rules.prefill import prefilled
from o.domain.runs import RunClosed, StopReason, Usage
from o.domain.text import storable, storable_json
from o.domain.thoughts import as_committed
from o.memory.legacy_events import heartbeat_message
from o.storage.database import Database
from o.storage.turn.committing import Reply, commit_reply
from o.storage.turn.steps import get_step_reply
from o.temporal.refs import call_refs, waiting_for
from workflows.contract import StepOutcome


@dataclass(frozen=True)
class CallTime:
    """When a model was asked (nanoseconds since 1970) and how long it took to answer."""

    started_ns: int
    took_ns: int


async def commit_step(
    database: Database,
    step: StepToTake,
    reply: ModelReply,
    asked: CallTime,
    *,
    approval_timeout_s: int | None = None,
) -> StepOutcome:
    """Commit a reply once, by itself. When another attempt was faster, its reply stands.

    Args:
        database: Where to.
        step: What was asked.
        reply: What came.
        asked: When, and how long it took.
        approval_timeout_s: After how long an approval that nobody gives is denied, unless the
            agent says otherwise; None for never.
    """
    reply = _by_the_rules(step, as_committed(step.agent, reply))
    message = message_of(step, reply)
    then = _after_reply(step, message)
    stored = _to_store(step, reply, message, then, asked, approval_timeout_s)
    async with database.quick() as connection:
        is_stored = await commit_reply(connection, step.run, stored)
    if not is_stored:
        async with database.connect() as connection:
            committed = await get_step_reply(connection, step.run.id, step.index)
        if committed is None or committed.id != message.id:  # else it is ours all the same
            await count_lost(database, step, reply.usage)
        if committed is None:  # the run was closed meanwhile, or the step begun anew
            return StepOutcome(step.index, done=True)
        message = committed
        then = _after_reply(step, message)
    calls = message.tool_calls
    refs = call_refs(step.agent, step.run.id, step.index, calls, stored=step.tools)
    pending = waiting_for(message.id, message.gated_calls) if message.gated_calls else None
    return StepOutcome(
        step.index, [] if pending else refs, done=then.stop is not None, pending=pending
    )


def _to_store(
    step: StepToTake,
    reply: ModelReply,
    message: Message,
    then: AfterCall,
    asked: CallTime,
    approval_timeout_s: int | None,
) -> Reply:
    usage = _with_size(step, reply.usage)
    run_usage = step.run.usage.plus(usage)
    return Reply(
        index=step.index,
        step_id=step.step_id,
        attempt=step.attempt,
        model=step.request.handle,
        message=message,
        heartbeat=heartbeat_message(message, step.step_id, then.heartbeat, step.agent.timezone)
        if then.heartbeat
        else None,
        finish_reason=reply.finish_reason,
        usage=usage,
        run_usage=run_usage,
        model_started_ns=asked.started_ns,
        model_ns=asked.took_ns,
        closed=RunClosed(stop_reason=then.stop, usage=run_usage) if then.stop else None,
        gated=message.gated_calls,
        approval_timeout_s=step.agent.approval_timeout_s or approval_timeout_s,
    )


def _with_size(step: StepToTake, usage: Usage) -> Usage:
    """What a call cost, with how full its window was: as counted where nothing is reported."""
    return usage.model_copy(
        update={
            "estimated_tokens": step.size.estimated,
            "fullest_tokens": usage.total_tokens or step.size.tokens,
            "window_tokens": step.agent.context_window,
        }
    )


def _by_the_rules(step: StepToTake, reply: ModelReply) -> ModelReply:
    """The reply with what the rules fill in, and with what its calls wait for."""
    foresight = step.foresight()
    calls: list[ToolCall] = []
    for call in reply.tool_calls:
        found = foresight.of_next(call.name)
        calls.append(prefilled(call, found.rules).model_copy(update={"gate": found.gate}))
    return reply.model_copy(update={"tool_calls": calls})


def _after_reply(step: StepToTake, message: Message) -> AfterCall:
    """What follows a reply: its calls, or what follows text, which every attempt sees alike."""
    if message.gated_calls:
        return AfterCall(stop=StopReason.REQUIRES_APPROVAL)
    if message.tool_calls:
        return GO_ON
    return after_text(step.rules, is_last_step=step.index + 1 >= step.run.options.max_steps)


def message_of(step: StepToTake, reply: ModelReply) -> Message:
    """The message that a reply is kept as; all that PostgreSQL does not take is replaced."""
    parts: list[Part] = []
    if reply.reasoning:
        signature = reply.reasoning_signature
        parts.append(
            ReasoningPart(
                reasoning=storable(reply.reasoning), signature=signature and storable(signature)
            )
        )
    parts += [RedactedPart(data=storable(data)) for data in reply.redacted_reasoning]
    if reply.thoughts:
        parts.append(ReasoningPart(reasoning=storable(reply.thoughts), source="non_reasoner_model"))
    if reply.text:
        parts.append(TextPart(text=storable(reply.text)))
    message_id = reply_message_id(step.step_id, step.attempt)
    model = step.request.handle
    calls = reply.call_extras[: len(reply.tool_calls)]
    extras, dropped = extras_to_store(model, reply.extras, calls, reply.thought_in)
    if dropped:
        activity.logger.warning(
            "what a provider added to its reply is too large to be kept",
            extra={"model": model, "fields": dropped},
        )
    return Message(
        id=message_id,
        organization_id=step.run.organization_id,
        agent_id=step.agent.id,
        conversation_id=step.run.conversation_id,
        run_id=step.run.id,
        step_id=step.step_id,
        position=0,
        role=Role.ASSISTANT,
        parts=parts,
        tool_calls=[
            _stored(call, tool_call_id(message_id, n), model)
            for n, call in enumerate(reply.tool_calls)
        ],
        extras=extras,
        created_at=datetime.now(UTC),
    )


def _stored(call: ToolCall, own_id: str, model: str) -> ToolCall:
    """A call as it is kept: under an id of ours, beside the one that its model gave it."""
    given = GivenId(id=storable(call.id), model=model) if call.id else None
    return call.model_copy(
        update={**storable_json(call.model_dump()), "id": own_id, "given": given}
    )
