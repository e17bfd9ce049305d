"""The transaction that commits a step: reply, usage, events and, when nothing is left, the end."""

from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from activities.begin import StepToTake
from activities.calls import call_refs
from o.domain.llm import ModelReply
from o.domain.messages import Message, Part, ReasoningPart, Role, TextPart, reply_message_id
from o.domain.runs import RunClosed, StopReason
from o.domain.text import storable, storable_json
from o.storage.engine import reading
from o.storage.events import add_events
from o.storage.messages import add_messages, take_positions
from o.storage.runs import advance_run
from o.storage.steps import finish_step, get_step_reply
from workflows.contract import StepOutcome


async def commit_step(engine: AsyncEngine, step: StepToTake, reply: ModelReply) -> StepOutcome:
    """Commit a reply once. When another attempt was faster, its reply stands."""
    async with engine.begin() as connection:
        if await _store(connection, step, reply):
            calls = reply.tool_calls
            return StepOutcome(step.index, call_refs(step.run.id, step.index, calls), not calls)
        await connection.rollback()
    return await _what_stands(engine, step)


async def _store(connection: AsyncConnection, step: StepToTake, reply: ModelReply) -> bool:
    """Write everything, or nothing and return False when the step or the run is closed."""
    run = step.run
    usage = run.usage.plus(reply.usage)
    closed = None if reply.tool_calls else RunClosed(stop_reason=StopReason.END_TURN, usage=usage)
    events = 1 if closed is None else 2
    first_seq = await advance_run(
        connection,
        run.id,
        events=events,
        closed=closed,
        **({} if closed else {"usage": usage.model_dump(mode="json")}),
    )
    if first_seq is None or not await finish_step(
        connection, step.step_id, finish_reason=reply.finish_reason, usage=reply.usage
    ):
        return False
    position = await take_positions(connection, run.conversation_id, 1)
    message = _as_message(step, reply, position)
    await add_messages(connection, [message])
    await add_events(
        connection, run.id, first_seq, step.attempt, [message, closed] if closed else [message]
    )
    return True


def _as_message(step: StepToTake, reply: ModelReply, position: int) -> Message:
    parts: list[Part] = []
    if reply.reasoning:
        parts.append(
            ReasoningPart(reasoning=storable(reply.reasoning), signature=reply.reasoning_signature)
        )
    if reply.text:
        parts.append(TextPart(text=storable(reply.text)))
    return Message(
        id=reply_message_id(step.step_id, step.attempt),
        organization_id=step.run.organization_id,
        agent_id=step.agent.id,
        conversation_id=step.run.conversation_id,
        run_id=step.run.id,
        step_id=step.step_id,
        position=position,
        role=Role.ASSISTANT,
        parts=parts,
        tool_calls=[
            call.model_copy(update=storable_json(call.model_dump())) for call in reply.tool_calls
        ],
        created_at=datetime.now(UTC),
    )


async def _what_stands(engine: AsyncEngine, step: StepToTake) -> StepOutcome:
    """The outcome that is committed. Without a reply the run was closed, by whomever."""
    async with reading(engine).connect() as connection:
        reply = await get_step_reply(connection, step.run.id, step.index)
    if reply is None:
        return StepOutcome(step.index, done=True)
    calls = reply.tool_calls
    return StepOutcome(step.index, call_refs(step.run.id, step.index, calls), not calls)
