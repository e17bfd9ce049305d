"""The statement that commits a step: reply, usage, events and, when nothing is left, the end."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from activities.begin import StepToTake
from activities.calls import call_refs
from o.domain.llm import ModelReply
from o.domain.loops import GO_ON, AfterCall, after_text, is_legacy
from o.domain.messages import (
    Message,
    Part,
    ReasoningPart,
    RedactedPart,
    Role,
    TextPart,
    ToolCall,
    reply_message_id,
)
from o.domain.prefill import prefill
from o.domain.rules import standing
from o.domain.runs import RunClosed
from o.domain.text import storable, storable_json
from o.domain.thoughts import as_committed
from o.errors import ModelError
from o.memory.boot import heartbeat_message
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
    database: Database, step: StepToTake, reply: ModelReply, asked: CallTime
) -> StepOutcome:
    """Commit a reply once, by itself. When another attempt was faster, its reply stands.

    Raises:
        ModelError: `llm_error`, when an agent of the legacy loop called no tool.
    """
    if is_legacy(step.agent) and not reply.tool_calls:
        raise ModelError("llm_error", _NO_CALL)
    reply = _by_the_rules(step, as_committed(step.agent, reply))
    run_usage = step.run.usage.plus(reply.usage)
    message = _as_message(step, reply)
    then = _after_reply(step, reply.tool_calls)
    stored = Reply(
        index=step.index,
        step_id=step.step_id,
        attempt=step.attempt,
        message=message,
        heartbeat=heartbeat_message(message, step.step_id, then.heartbeat, step.agent.timezone)
        if then.heartbeat
        else None,
        finish_reason=reply.finish_reason,
        usage=reply.usage,
        run_usage=run_usage,
        model_started_ns=asked.started_ns,
        model_ns=asked.took_ns,
        closed=RunClosed(stop_reason=then.stop, usage=run_usage) if then.stop else None,
    )
    async with database.connect() as connection:
        calls = reply.tool_calls
        if not await commit_reply(connection, step.run, stored):
            committed = await get_step_reply(connection, step.run.id, step.index)
            if committed is None:  # the run was closed meanwhile, by whomever
                return StepOutcome(step.index, done=True)
            calls = committed.tool_calls
            then = _after_reply(step, calls)
    refs = call_refs(step.agent, step.run.id, step.index, calls)
    return StepOutcome(step.index, refs, done=then.stop is not None)


def _by_the_rules(step: StepToTake, reply: ModelReply) -> ModelReply:
    agent = step.agent
    calls = prefill(agent.tool_rules, agent.tool_names, step.history, reply.tool_calls)
    return reply.model_copy(update={"tool_calls": calls})


def _after_reply(step: StepToTake, calls: Sequence[ToolCall]) -> AfterCall:
    """What follows a reply: its calls, or what follows text, which every attempt sees alike."""
    if calls:
        return GO_ON
    rules = standing(step.agent.tool_rules, step.agent.tool_names, step.history)
    return after_text(rules, is_last_step=step.index + 1 >= step.run.options.max_steps)


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
    return Message(
        id=reply_message_id(step.step_id, step.attempt),
        organization_id=step.run.organization_id,
        agent_id=step.agent.id,
        conversation_id=step.run.conversation_id,
        run_id=step.run.id,
        step_id=step.step_id,
        position=0,
        role=Role.ASSISTANT,
        parts=parts,
        tool_calls=[
            call.model_copy(update=storable_json(call.model_dump())) for call in reply.tool_calls
        ],
        created_at=datetime.now(UTC),
    )
