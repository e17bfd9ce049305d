"""The statement that opens a step: input takes its place, an attempt is counted, context is read.

It is spelled in SQL because it does at once what would be five questions otherwise, and a turn
waits for every one of them. The run's row is locked first, always, so that attempts at the same
step go one after the other.
"""

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.agents import Agent, Conversation
from o.domain.blocks import Block
from o.domain.messages import Message
from o.domain.rests import ProviderRest
from o.domain.runs import Run
from o.domain.tools import StoredTool
from o.memory.fill import Reported
from o.storage.agents.thread_blocks import SEEN_BLOCKS
from o.storage.files.directories import DIRECTORIES_DIGEST
from o.storage.history.context_windows import REPORTED, WINDOW_START
from o.storage.provider_rests import NOTED
from o.storage.quick import QuickConnection
from o.storage.rows import model_of_json, models_of_json
from o.storage.tools.agent_tools import TOLD_TOOLS
from o.storage.turn.committing import LOCKED_AT
from o.storage.turn.order import turn_order

# Puts the input of `run` (one row, or none) into history, unless it is there. Where two attempts
# meet, the second gets the rows of the first.
_PLACED = f"""
    input AS (
        SELECT o_input_message_id(run.id, said.place - 1) AS id, said.place - 1 AS place,
            said.value AS body
        FROM run, jsonb_array_elements(run.input) WITH ORDINALITY AS said (value, place)
        WHERE run.steps_done = 0
          AND NOT EXISTS (SELECT FROM messages WHERE id = o_input_message_id(run.id, 0))
    ), room AS (
        UPDATE conversations
        SET next_position = next_position + (SELECT count(*) FROM input)
        FROM run
        WHERE conversations.id = run.conversation_id AND EXISTS (SELECT FROM input)
        RETURNING next_position - (SELECT count(*) FROM input) AS position, {LOCKED_AT}
    ), placed AS (
        INSERT INTO messages (id, organization_id, agent_id, conversation_id, run_id, position,
                              role, parts, name, otid, sender_id, created_at)
        SELECT input.id, run.organization_id, run.agent_id, run.conversation_id, run.id,
            room.position + input.place, body ->> 'role', body -> 'parts', body ->> 'name',
            body ->> 'otid', body ->> 'sender_id', room.at
        FROM input, run, room
        ON CONFLICT (id) DO UPDATE SET id = excluded.id
        RETURNING *
    )
"""  # noqa: S608

_PLACE_INPUT = text(
    f"""
    WITH run AS (
        SELECT runs.* FROM runs JOIN agents ON agents.id = runs.agent_id
        JOIN conversations ON conversations.id = runs.conversation_id
        WHERE runs.id = :run_id AND agents.deleted_at IS NULL AND conversations.deleted_at IS NULL
    ), {_PLACED}
    SELECT count(*) FROM placed
    """  # noqa: S608
)

_OPEN_STEP = text(
    f"""
    WITH run AS (
        UPDATE runs SET status = 'running', started_at = coalesce(started_at, now())
        FROM agents, conversations
        WHERE runs.id = :run_id AND runs.status IN ('created', 'running')
          AND agents.id = runs.agent_id AND agents.deleted_at IS NULL
          AND conversations.id = runs.conversation_id AND conversations.deleted_at IS NULL
          AND runs.id = (
              SELECT other.id FROM runs AS other
              WHERE other.conversation_id = runs.conversation_id
                AND other.status IN ('created', 'running')
              ORDER BY {turn_order("other")}
              LIMIT 1
          )
          AND NOT EXISTS (
              SELECT FROM approvals
              WHERE approvals.conversation_id = runs.conversation_id
                AND approvals.status = 'pending'
          )
        RETURNING runs.*, coalesce(conversations.model, agents.model) AS agent_model,
            coalesce(conversations.model_settings, agents.model_settings) AS model_settings
    ), step AS (
        INSERT INTO steps (id, organization_id, run_id, agent_id, index, status, fallback, model)
        SELECT :step_id, organization_id, id, agent_id, :index, 'pending', :fallback,
               coalesce(
                   CASE WHEN CAST(:fallback AS integer) > 0 THEN
                       model_settings -> 'fallback_models' ->> (CAST(:fallback AS integer) - 1)
                   END, options ->> 'override_model', agent_model)
        FROM run WHERE steps_done <= :index
        ON CONFLICT (run_id, index) DO UPDATE SET attempts = steps.attempts + 1,
            fallback = greatest(steps.fallback, excluded.fallback)
        RETURNING attempts, fallback, failures, tries, created_at
    ), {_PLACED}
    SELECT to_jsonb(run) AS run, to_jsonb(agents) AS agent,
        to_jsonb(conversations) AS conversation,
        (SELECT attempts FROM step) AS attempt,
        (SELECT fallback FROM step) AS fallback,
        (SELECT failures FROM step) AS failures,
        (SELECT tries FROM step) AS tries,
        (SELECT extract(epoch FROM now() - step.created_at) FROM step) AS age_s,
        {NOTED} AS rests,
        {SEEN_BLOCKS} AS blocks,
        {TOLD_TOOLS} AS tools,
        {DIRECTORIES_DIGEST} AS directories,
        (SELECT to_jsonb(messages) FROM messages
         WHERE conversation_id = run.conversation_id AND position = 0) AS first,
        mark.is_good,
        (SELECT to_jsonb(messages) FROM messages
         WHERE messages.id = conversations.summary_id AND NOT mark.is_good) AS summary,
        (SELECT coalesce(jsonb_agg(to_jsonb(messages) ORDER BY messages.position), '[]')
         FROM messages
         WHERE messages.conversation_id = run.conversation_id
           AND messages.position > CASE WHEN mark.is_good THEN :position
                ELSE {WINDOW_START} END
           AND messages.position < conversations.next_position -- see WINDOW_IDS
           AND messages.role <> 'summary' AND NOT messages.is_aside
        ) AS messages,
        (SELECT coalesce(jsonb_agg(to_jsonb(placed) ORDER BY placed.position), '[]')
         FROM placed) AS placed,
        {REPORTED} AS reported,
        (SELECT providers_mark FROM organizations WHERE id = run.organization_id) AS providers_mark
    FROM run
    JOIN agents ON agents.id = run.agent_id
    JOIN conversations ON conversations.id = run.conversation_id
    CROSS JOIN LATERAL (
        SELECT conversations.epoch = :epoch AND EXISTS (
            SELECT FROM messages
            WHERE messages.conversation_id = conversations.id
              AND messages.position = :position AND messages.id = :message_id
        ) AS is_good
    ) AS mark
    """  # noqa: S608
)


_UNCOUNT = text(
    "UPDATE steps SET attempts = attempts - 1 "
    "WHERE id = :step_id AND attempts = :attempt AND status = 'pending'"
)


@dataclass(frozen=True)
class Mark:
    """How much of a conversation's history somebody has: up to a message, while it is `epoch`.

    History only grows by appending as long as the epoch stays. The message itself is named too,
    because a database that lost its last commits, or was restored, has others in its place.
    """

    epoch: int = -1
    position: int = 0
    message_id: str = ""


@dataclass(frozen=True)
class OpenStep:
    """A run whose turn it is, with what its next model call needs.

    Attributes:
        agent: As it is in this conversation.
        attempt: Which try at the step this is, from 1; None when the step is committed.
        fallback: How many models were given up before the one that the step is at.
        failures: How often models have failed at the step.
        tries: How often the model that the step is at has.
        age_s: Seconds since the step was begun first.
        rests: What is noted of providers whose calls fail.
        first: The message at the head of the conversation: the system message.
        is_continued: Whether the mark is good. Else whoever gave it knows nothing.
        summary: What tells of history ahead of the window, where the mark is not good.
        messages: What follows the mark if it is good, else all of the window; oldest first, the
            run's input included.
        providers_mark: Changes with the providers of the run's organization.
        tools: Those of the agent's tools that are rows, in no order and without their source.
        reported: What the provider said of the prompt before this one.
        directories: A digest of what the prompt shows of folders; None where there are none.
    """

    run: Run
    agent: Agent
    conversation: Conversation
    blocks: list[Block]
    first: Message | None
    is_continued: bool
    messages: list[Message]
    attempt: int | None
    summary: Message | None = None
    fallback: int = 0
    failures: int = 0
    tries: int = 0
    age_s: float = 0.0
    rests: list[ProviderRest] = field(default_factory=list)
    providers_mark: str | None = None
    tools: list[StoredTool] = field(default_factory=list)
    reported: Reported | None = None
    directories: str | None = None


async def open_step(
    connection: AsyncConnection | QuickConnection,
    run_id: str,
    index: int,
    step_id: str,
    mark: Mark,
    *,
    fallback: int = 0,
) -> OpenStep | None:
    """Mark the run as running, place its input, count an attempt at the step, read the context.

    Args:
        connection: Committing by itself.
        run_id: Which run.
        index: Which step of it.
        step_id: The id that the step gets.
        mark: How much of the history is known.
        fallback: How many models the turn has given up so far.

    Returns:
        None when the run is closed or gone, when its conversation waits for an answer to an
        approval request, or when another run goes first (`first_open_run`).

    Raises:
        Unreadable: What the step needs is stored, and cannot be read.
    """
    found = await connection.execute(
        _OPEN_STEP,
        {
            "run_id": run_id,
            "index": index,
            "step_id": step_id,
            "fallback": fallback,
            "epoch": mark.epoch,
            "position": mark.position,
            "message_id": mark.message_id,
        },
    )
    row = found.one_or_none()
    return None if row is None else _opened(row, run_id)


def _opened(row: Any, run_id: str) -> OpenStep:
    conversation = model_of_json(Conversation, row.conversation, run_id)
    return OpenStep(
        run=model_of_json(Run, row.run, run_id),
        agent=conversation.agent_here(model_of_json(Agent, row.agent, run_id)),
        conversation=conversation,
        blocks=models_of_json(Block, row.blocks, run_id),
        first=model_of_json(Message, row.first, run_id) if row.first else None,
        is_continued=row.is_good,
        messages=models_of_json(Message, row.messages, run_id)
        + models_of_json(Message, row.placed, run_id),
        attempt=row.attempt,
        summary=model_of_json(Message, row.summary, run_id) if row.summary else None,
        fallback=row.fallback or 0,
        failures=row.failures or 0,
        tries=row.tries or 0,
        age_s=float(row.age_s or 0),
        rests=models_of_json(ProviderRest, row.rests or [], run_id),
        providers_mark=row.providers_mark,
        tools=models_of_json(StoredTool, row.tools, run_id),
        reported=Reported(**row.reported) if row.reported else None,
        directories=row.directories,
    )


async def place_input(connection: AsyncConnection, run_id: str) -> None:
    """Give a run's input its place in history, when it has none and the agent is there."""
    await connection.execute(_PLACE_INPUT, {"run_id": run_id})


async def uncount_attempt(connection: AsyncConnection, step_id: str, attempt: int) -> None:
    """Take back an attempt in which the model was not asked, unless another has begun since.

    Attempts are counted to find steps that kill their workers and models that stay busy.
    """
    await connection.execute(_UNCOUNT, {"step_id": step_id, "attempt": attempt})
