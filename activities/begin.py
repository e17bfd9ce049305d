"""The transaction that begins a step: the input takes its place, the context is read."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Column
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from activities.calls import call_refs
from o.domain.actors import Actor
from o.domain.agents import Agent, Conversation
from o.domain.llm import ModelRequest
from o.domain.messages import Message, input_message_id
from o.domain.runs import Run
from o.domain.tools import BASE_TOOLS
from o.errors import ModelError
from o.ids import derived_id
from o.memory.context import chat_prompt
from o.memory.prompt import compile_prompt, prompt_key
from o.storage import tables
from o.storage.blocks import list_agent_blocks
from o.storage.messages import (
    add_messages,
    list_context,
    rewrite_system_message,
    take_positions,
)
from o.storage.rows import model_of
from o.storage.runs import first_open_run, get_run, start_run
from o.storage.steps import get_step_reply, last_committed_index, start_step
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


def _labelled(prefix: str, table: Any, model: Any) -> list[Any]:
    return [
        column.label(f"{prefix}.{column.name}")
        for column in table.columns
        if column.name in model.model_fields
    ]


_PARTS: dict[str, tuple[Any, Any]] = {
    "run": (tables.runs, Run),
    "agent": (tables.agents, Agent),
    "conversation": (tables.conversations, Conversation),
}
_COLUMNS: list[Column[Any]] = [
    column for name, (table, model) in _PARTS.items() for column in _labelled(name, table, model)
]


async def begin_step(
    engine: AsyncEngine, step: StepRef, crash_attempts: int
) -> StepToTake | StepOutcome:
    """Begin a step, or tell what came of it when it has been taken already.

    Raises:
        ModelError: `internal_error`, when the step has lost its worker too often.
    """
    async with engine.begin() as connection:
        row = await start_run(connection, step.run_id, [*_COLUMNS, last_committed_index()])
        if row is None:
            return await _not_this_one(connection, step)
        run, agent, conversation = (
            model_of(
                model,
                {
                    key.removeprefix(f"{name}."): value
                    for key, value in row._mapping.items()
                    if key.startswith(f"{name}.")
                },
            )
            for name, (_, model) in _PARTS.items()
        )
        if row.last_committed is not None and row.last_committed >= step.index:
            reply = await get_step_reply(connection, run.id, row.last_committed)
            calls = reply.tool_calls if reply else []
            return StepOutcome(row.last_committed, call_refs(run.id, row.last_committed, calls))
        step_id = derived_id("step", run.id, step.index)
        handle = run.options.override_model or agent.model
        attempt = await start_step(
            connection,
            {
                "id": step_id,
                "organization_id": run.organization_id,
                "run_id": run.id,
                "agent_id": agent.id,
                "index": step.index,
                "status": "pending",
                "model": handle,
            },
        )
        if step.index == 0 and attempt == 1:
            await place_input(connection, run, agent, conversation)
        messages = await list_context(connection, conversation.id)
    if attempt > crash_attempts:
        raise ModelError(
            "internal_error", f"The step was given up: it was begun {attempt - 1} times in vain."
        )
    request = ModelRequest(
        handle=handle,
        prompt=chat_prompt(agent, messages),
        tools=[BASE_TOOLS[name] for name in agent.tool_names if name in BASE_TOOLS],
        settings=agent.model_settings,
    )
    return StepToTake(run, agent, step.index, step_id, attempt, request)


async def _not_this_one(connection: AsyncConnection, step: StepRef) -> StepOutcome:
    """The run is closed or gone, or another one goes first: order is what the database says."""
    run = await get_run(connection, step.run_id)
    first = await first_open_run(connection, run.conversation_id) if run else None
    if run is None or first is None or not run.status.is_open:
        return StepOutcome(step.index, done=True)
    turn = Turn(first.run.id, first.run.options.max_steps, first.model)
    return StepOutcome(step.index, first=turn)


async def place_input(
    connection: AsyncConnection, run: Run, agent: Agent, conversation: Conversation
) -> None:
    """Give a run's input its place in history, behind a prompt that shows memory as it is now."""
    actor = Actor(organization_id=run.organization_id)
    blocks = await list_agent_blocks(connection, actor, agent.id)
    now = datetime.now(UTC)
    key = prompt_key(agent, blocks)
    if key != conversation.prompt_key:
        text = compile_prompt(
            agent, conversation, blocks, recall_count=conversation.next_position - 1, now=now
        )
        await rewrite_system_message(connection, conversation.id, text)
    position = await take_positions(connection, conversation.id, len(run.input), prompt_key=key)
    await add_messages(connection, _as_messages(run, position, now))


def _as_messages(run: Run, position: int, now: datetime) -> Sequence[Message]:
    return [
        Message(
            id=input_message_id(run.id, n),
            organization_id=run.organization_id,
            agent_id=run.agent_id,
            conversation_id=run.conversation_id,
            run_id=run.id,
            position=position + n,
            role=message.role,
            parts=message.parts,
            name=message.name,
            otid=message.otid,
            sender_id=message.sender_id,
            created_at=now,
        )
        for n, message in enumerate(run.input)
    ]
