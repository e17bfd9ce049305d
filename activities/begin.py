"""The statements that begin a step: the input takes its place, the context is read."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from activities.calls import call_refs
from o.domain.agents import Agent
from o.domain.llm import ModelRequest
from o.domain.messages import Message, Role, TextPart, input_message_id
from o.domain.runs import Run
from o.domain.tools import tool_choice, tools_shown
from o.errors import ModelError
from o.ids import derived_id
from o.memory.context import chat_prompt, in_context
from o.memory.prompt import compile_prompt, prompt_key
from o.storage.engine import autocommit
from o.storage.messages import rewrite_system_message
from o.storage.runs import first_open_run, get_run
from o.storage.steps import get_step_reply
from o.storage.turns import OpenStep, append_messages, open_step
from workflows.contract import StepOutcome, StepRef, Turn


@dataclass(frozen=True)
class StepToTake:
    """A step that has begun: what to ask, and what the reply is committed to."""

    run: Run
    agent: Agent
    index: int
    step_id: str
    attempt: int
    request: ModelRequest


async def begin_step(
    engine: AsyncEngine, step: StepRef, crash_attempts: int
) -> StepToTake | StepOutcome:
    """Begin a step, or tell what came of it when it has been taken already.

    Raises:
        ModelError: `internal_error`, when the step has lost its worker too often.
    """
    step_id = derived_id("step", step.run_id, step.index)
    async with autocommit(engine).connect() as connection:
        opened = await open_step(connection, step.run_id, step.index, step_id)
        if opened is None:
            return await _not_this_one(connection, step)
        if opened.attempt is None:
            return await _what_is_done(connection, opened)
        messages = opened.messages
        if step.index == 0 and not any(message.run_id == opened.run.id for message in messages):
            messages = await place_input(connection, opened)
    if opened.attempt > crash_attempts:
        raise ModelError(
            "internal_error",
            f"The step was given up: it was begun {opened.attempt - 1} times in vain.",
        )
    handle = opened.run.options.override_model or opened.agent.model
    request = ModelRequest(
        handle=handle,
        prompt=chat_prompt(opened.agent, in_context(opened.agent, opened.run.id, messages)),
        tools=tools_shown(opened.agent, handle),
        settings=opened.agent.model_settings,
        tool_choice=tool_choice(opened.agent, handle),
    )
    return StepToTake(opened.run, opened.agent, step.index, step_id, opened.attempt, request)


async def _what_is_done(connection: AsyncConnection, opened: OpenStep) -> StepOutcome:
    """The newest step that is committed, for a workflow that does not know of it."""
    index = opened.run.steps_done - 1
    reply = await get_step_reply(connection, opened.run.id, index)
    return StepOutcome(index, call_refs(opened.run.id, index, reply.tool_calls if reply else []))


async def _not_this_one(connection: AsyncConnection, step: StepRef) -> StepOutcome:
    """The run is closed or gone, or another one goes first: order is what the database says."""
    run = await get_run(connection, step.run_id)
    first = await first_open_run(connection, run.conversation_id) if run else None
    if run is None or first is None or not run.status.is_open:
        return StepOutcome(step.index, done=True)
    turn = Turn(first.run.id, first.run.options.max_steps, first.model)
    return StepOutcome(step.index, first=turn)


async def place_input(connection: AsyncConnection, opened: OpenStep) -> list[Message]:
    """Give a run's input its place in history, behind a prompt that shows memory as it is now.

    Safe to repeat after a crash at any instant, so no transaction is needed around it.

    Returns:
        The context with the input.
    """
    agent, conversation, messages = opened.agent, opened.conversation, opened.messages
    now = datetime.now(UTC)
    key = prompt_key(agent, opened.blocks)
    if key != conversation.prompt_key:
        prompt = compile_prompt(
            agent,
            conversation,
            opened.blocks,
            recall_count=conversation.next_position - 1,
            now=now,
        )
        await rewrite_system_message(connection, conversation.id, prompt)
        messages = [
            message.model_copy(update={"parts": [TextPart(text=prompt)]})
            if message.role is Role.SYSTEM and message.position == 0
            else message
            for message in messages
        ]
    placed = await append_messages(
        connection, conversation.id, _as_messages(opened.run, now), prompt_key=key
    )
    return messages + placed


def _as_messages(run: Run, now: datetime) -> Sequence[Message]:
    return [
        Message(
            id=input_message_id(run.id, n),
            organization_id=run.organization_id,
            agent_id=run.agent_id,
            conversation_id=run.conversation_id,
            run_id=run.id,
            position=n,
            role=message.role,
            parts=message.parts,
            name=message.name,
            otid=message.otid,
            sender_id=message.sender_id,
            created_at=now,
        )
        for n, message in enumerate(run.input)
    ]
