"""The statement that commits a step: reply, usage, events and, when nothing is left, the end."""

from dataclasses import dataclass
from datetime import UTC, datetime

from activities.begin import StepToTake
from activities.calls import call_refs, waiting_for
from o.domain.approvals import gate_of
from o.domain.llm import ModelReply
from o.domain.loops import is_legacy
from o.domain.messages import (
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
from o.domain.runs import RunClosed, StopReason
from o.domain.text import storable, storable_json
from o.domain.thoughts import as_committed
from o.errors import ModelError
from o.storage.database import Database
from o.storage.steps import get_step_reply
from o.storage.turns import Reply, commit_reply
from workflows.contract import StepOutcome

_NO_CALL = "No tool calls found in response, model must make a tool call"


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

    Raises:
        ModelError: `llm_error`, when an agent of the legacy loop called no tool.
    """
    if is_legacy(step.agent) and not reply.tool_calls:
        raise ModelError("llm_error", _NO_CALL)
    reply = as_committed(step.agent, reply)
    run_usage = step.run.usage.plus(reply.usage)
    message = _as_message(step, reply)
    gated = message.gated_calls
    reason = StopReason.REQUIRES_APPROVAL if gated else StopReason.END_TURN
    closed = RunClosed(stop_reason=reason, usage=run_usage)
    stored = Reply(
        index=step.index,
        step_id=step.step_id,
        attempt=step.attempt,
        message=message,
        finish_reason=reply.finish_reason,
        usage=reply.usage,
        run_usage=run_usage,
        model_started_ns=asked.started_ns,
        model_ns=asked.took_ns,
        closed=closed if gated or not reply.tool_calls else None,
        gated=gated,
        approval_timeout_s=step.agent.approval_timeout_s or approval_timeout_s,
    )
    async with database.connect() as connection:
        if not await commit_reply(connection, step.run, stored):
            committed = await get_step_reply(connection, step.run.id, step.index)
            if committed is None:  # the run was closed meanwhile, by whomever
                return StepOutcome(step.index, done=True)
            message = committed
    return what_follows(step.run.id, step.index, message)


def what_follows(run_id: str, index: int, message: Message) -> StepOutcome:
    """What a step leads to once its reply is committed: an end, a pause, or tool calls."""
    if gated := message.gated_calls:
        return StepOutcome(index, done=True, pending=waiting_for(message.id, gated))
    calls = call_refs(run_id, index, message.tool_calls)
    return StepOutcome(index, calls, done=not calls)


def _as_message(step: StepToTake, reply: ModelReply) -> Message:
    parts: list[Part] = []
    if reply.reasoning:
        parts.append(
            ReasoningPart(reasoning=storable(reply.reasoning), signature=reply.reasoning_signature)
        )
    parts += [RedactedPart(data=storable(data)) for data in reply.redacted_reasoning]
    if reply.thoughts:
        parts.append(ReasoningPart(reasoning=storable(reply.thoughts), source="non_reasoner_model"))
    if reply.text:
        parts.append(TextPart(text=storable(reply.text)))
    message_id = reply_message_id(step.step_id, step.attempt)
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
        tool_calls=[_stored(step, message_id, n, call) for n, call in enumerate(reply.tool_calls)],
        created_at=datetime.now(UTC),
    )


def _stored(step: StepToTake, message_id: str, ordinal: int, call: ToolCall) -> ToolCall:
    """A call as it is kept, with what must come before it is answered."""
    return call.model_copy(
        update={
            **storable_json(call.model_dump()),
            "id": tool_call_id(message_id, ordinal, storable(call.id)),
            "gate": gate_of(step.agent, step.run.options.client_tools or (), call.name),
        }
    )
