"""The statements that every step of a turn costs, one round trip each.

They are spelled in SQL because each does at once what would be five questions otherwise, and a
turn waits for every one of them. The run's row is locked first, always, so that attempts at the
same step go one after the other.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.agents import Agent, Conversation
from o.domain.approvals import digest_of
from o.domain.blocks import Block
from o.domain.messages import Message, ToolCall
from o.domain.runs import Run, RunClosed, Usage
from o.storage.thread_blocks import SEEN_BLOCKS

_COLUMNS = list(Message.model_fields)


def _insert_messages(place: str, source: str) -> str:
    """Insert JSON messages whose `position` counts from `place`; a stored id stays as it is."""
    values = [f"{place} + m.position" if name == "position" else f"m.{name}" for name in _COLUMNS]
    return (
        f"INSERT INTO messages ({', '.join(_COLUMNS)}) SELECT {', '.join(values)} "  # noqa: S608
        f"FROM {source}, jsonb_populate_recordset(NULL::messages, CAST(:messages AS jsonb)) AS m "
        "ON CONFLICT (id) DO NOTHING"
    )


# Puts the input of `run` (one row, or none) into history, unless it is there. Where two attempts
# meet, the second gets the rows of the first.
_PLACED = """
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
        RETURNING next_position - (SELECT count(*) FROM input) AS position
    ), placed AS (
        INSERT INTO messages (id, organization_id, agent_id, conversation_id, run_id, position,
                              role, parts, name, otid, sender_id, created_at)
        SELECT input.id, run.organization_id, run.agent_id, run.conversation_id, run.id,
            room.position + input.place, body ->> 'role', body -> 'parts', body ->> 'name',
            body ->> 'otid', body ->> 'sender_id', now()
        FROM input, run, room
        ON CONFLICT (id) DO UPDATE SET id = excluded.id
        RETURNING *
    )
"""

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
              ORDER BY other.status = 'running' DESC, other.approval_id IS NOT NULL DESC,
                  other.created_at, other.id
              LIMIT 1
          )
          AND NOT EXISTS (
              SELECT FROM approvals
              WHERE approvals.conversation_id = runs.conversation_id
                AND approvals.status = 'pending'
          )
        RETURNING runs.*, coalesce(conversations.model, agents.model) AS agent_model
    ), step AS (
        INSERT INTO steps (id, organization_id, run_id, agent_id, index, status, model)
        SELECT :step_id, organization_id, id, agent_id, :index, 'pending',
               coalesce(options ->> 'override_model', agent_model)
        FROM run WHERE steps_done <= :index
        ON CONFLICT (run_id, index) DO UPDATE SET attempts = steps.attempts + 1
        RETURNING attempts
    ), {_PLACED}
    SELECT to_jsonb(run) AS run, to_jsonb(agents) AS agent,
        to_jsonb(conversations) AS conversation,
        (SELECT attempts FROM step) AS attempt,
        {SEEN_BLOCKS} AS blocks,
        (SELECT to_jsonb(messages) FROM messages
         WHERE conversation_id = run.conversation_id AND position = 0) AS first,
        mark.is_good,
        (SELECT coalesce(jsonb_agg(to_jsonb(messages) ORDER BY messages.position), '[]')
         FROM messages
         WHERE messages.conversation_id = run.conversation_id
           AND messages.position > CASE WHEN mark.is_good THEN :position ELSE 0 END
        ) AS messages,
        (SELECT coalesce(jsonb_agg(to_jsonb(placed) ORDER BY placed.position), '[]')
         FROM placed) AS placed
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

_APPEND = text(
    f"""
    WITH conversation AS (
        UPDATE conversations SET next_position = next_position + :count
        WHERE id = :conversation_id
        RETURNING next_position - :count AS first_position
    ), stored AS ({_insert_messages("conversation.first_position", "conversation")})
    SELECT first_position FROM conversation
    """  # noqa: S608
)

KEPT_AND_TOLD = f"""
    stored AS ({_insert_messages("conversation.position", "conversation")}
    ), told AS (
        INSERT INTO run_events (run_id, seq, attempt, kind, body, created_at)
        SELECT :run_id, run.first_seq + event.place - 1, :attempt, event.value ->> 'kind',
            CASE WHEN event.value ->> 'kind' = 'message'
                THEN jsonb_set(event.value -> 'body', '{{position}}', to_jsonb(
                    position + CAST(event.value #>> '{{body,position}}' AS bigint)))
                ELSE event.value -> 'body' END,
            now()
        FROM run, conversation,
            jsonb_array_elements(CAST(:events AS jsonb)) WITH ORDINALITY AS event (value, place)
    ), agent AS (
        UPDATE agents SET last_run_completion = now(),
            last_stop_reason = CAST(:stop_reason AS text)
        FROM run WHERE agents.id = :agent_id AND CAST(:status AS text) IS NOT NULL
    )
"""  # noqa: S608
"""Stores `messages` and tells `events`, with positions and numbers that count from those of the
rows `conversation` and `run`; notes with the agent that the run ends, if there is a `status`."""

_COMMIT_REPLY = text(
    f"""
    WITH run AS (
        UPDATE runs SET
            next_seq = next_seq + :event_count,
            steps_done = :index + 1,
            usage = CAST(:run_usage AS jsonb),
            status = coalesce(CAST(:status AS text), status),
            stop_reason = CAST(:stop_reason AS text),
            completed_at = CASE WHEN CAST(:status AS text) IS NULL THEN NULL ELSE now() END,
            first_token_at = coalesce(first_token_at, now())
        WHERE id = :run_id AND status IN ('created', 'running') AND steps_done = :index
        RETURNING next_seq - :event_count AS first_seq, organization_id
    ), asked AS (
        INSERT INTO approvals (id, organization_id, agent_id, conversation_id, run_id, step_id,
                               step_index, calls, digest, expires_at)
        SELECT CAST(:message_id AS text), organization_id, :agent_id, :conversation_id, :run_id,
            :step_id, :index, CAST(:gated_calls AS jsonb), CAST(:digest AS text),
            now() + make_interval(secs => CAST(:approval_timeout_s AS double precision))
        FROM run WHERE CAST(:digest AS text) IS NOT NULL
    ), step AS (
        UPDATE steps SET status = 'success', finish_reason = :finish_reason,
            usage = CAST(:step_usage AS jsonb), completed_at = now(),
            model_started_ns = :model_started_ns, model_ns = :model_ns
        FROM run WHERE steps.id = :step_id
    ), conversation AS (
        UPDATE conversations SET next_position = next_position + :message_count
        FROM run WHERE conversations.id = :conversation_id
        RETURNING next_position - :message_count AS position
    ), {KEPT_AND_TOLD}
    SELECT first_seq FROM run
    """  # noqa: S608
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
        first: The message at the head of the conversation: the system message.
        is_continued: Whether the mark is good. Else whoever gave it knows nothing.
        messages: What follows the mark if it is good, else all that follows the head; oldest
            first, the run's input included.
    """

    run: Run
    agent: Agent
    conversation: Conversation
    blocks: list[Block]
    first: Message | None
    is_continued: bool
    messages: list[Message]
    attempt: int | None


async def open_step(
    connection: AsyncConnection, run_id: str, index: int, step_id: str, mark: Mark
) -> OpenStep | None:
    """Mark the run as running, place its input, count an attempt at the step, read the context.

    Returns:
        None when the run is closed or gone, when its conversation waits for an answer to an
        approval request, or when another run goes first (`first_open_run`).
    """
    found = await connection.execute(
        _OPEN_STEP,
        {
            "run_id": run_id,
            "index": index,
            "step_id": step_id,
            "epoch": mark.epoch,
            "position": mark.position,
            "message_id": mark.message_id,
        },
    )
    row = found.one_or_none()
    if row is None:
        return None
    conversation = Conversation.model_validate(row.conversation)
    return OpenStep(
        run=Run.model_validate(row.run),
        agent=conversation.agent_here(Agent.model_validate(row.agent)),
        conversation=conversation,
        blocks=[Block.model_validate(block) for block in row.blocks],
        first=Message.model_validate(row.first) if row.first else None,
        is_continued=row.is_good,
        messages=[Message.model_validate(message) for message in row.messages + row.placed],
        attempt=row.attempt,
    )


async def place_input(connection: AsyncConnection, run_id: str) -> None:
    """Give a run's input its place in history, when it has none and the agent is there."""
    await connection.execute(_PLACE_INPUT, {"run_id": run_id})


async def append_messages(
    connection: AsyncConnection, conversation_id: str, new: Sequence[Message]
) -> list[Message]:
    """Give messages the next places in a conversation, which stays locked until the commit.

    Args:
        connection: In a transaction, or committing by itself.
        conversation_id: Whose history grows.
        new: In order, with positions that count from 0.

    Returns:
        The messages with the positions they have got.
    """
    first = await connection.scalar(
        _APPEND,
        {
            "conversation_id": conversation_id,
            "count": len(new),
            "messages": json.dumps([message.model_dump(mode="json") for message in new]),
        },
    )
    return [
        message.model_copy(update={"position": int(first or 0) + message.position})
        for message in new
    ]


@dataclass(frozen=True)
class Reply:
    """What a step commits: the message (at position 0), what it cost, and the end if it is one.

    Attributes:
        heartbeat: Sends the model on (at position 1); told in the answer.
        model_started_ns: When the model was asked, in nanoseconds since 1970.
        model_ns: How long it took to answer.
        gated: The calls that wait for an answer from outside, none as a rule.
        approval_timeout_s: After how many seconds they are denied, None for never.
    """

    index: int
    step_id: str
    attempt: int
    message: Message
    heartbeat: Message | None
    finish_reason: str
    usage: Usage
    run_usage: Usage
    model_started_ns: int
    model_ns: int
    closed: RunClosed | None
    gated: Sequence[ToolCall] = ()
    approval_timeout_s: int | None = None


def kept_and_told(
    kept: Sequence[Message], told: Sequence[Message], closed: RunClosed | None
) -> dict[str, Any]:
    """What `KEPT_AND_TOLD` is given: the messages, those that are told, and the end of the run."""
    events: list[dict[str, Any]] = [
        {"kind": "message", "body": message.model_dump(mode="json")} for message in told
    ]
    if closed:
        events.append({"kind": "closed", "body": closed.model_dump(mode="json")})
    return {
        "messages": json.dumps([message.model_dump(mode="json") for message in kept]),
        "message_count": len(kept),
        "events": json.dumps(events),
        "event_count": len(events),
        "status": closed.stop_reason.status if closed else None,
        "stop_reason": closed.stop_reason if closed else None,
    }


async def commit_reply(connection: AsyncConnection, run: Run, reply: Reply) -> bool:
    """Commit a step with its reply, events and, when nothing is left to do, the end of the run.

    Calls that wait for an answer from outside make an approval request in the same statement.

    Returns:
        False, and nothing is written, when the step is committed already or the run is closed.
    """
    new = [reply.message, reply.heartbeat] if reply.heartbeat else [reply.message]
    stored = await connection.execute(
        _COMMIT_REPLY,
        {
            "run_id": run.id,
            "conversation_id": run.conversation_id,
            "agent_id": run.agent_id,
            "index": reply.index,
            "step_id": reply.step_id,
            "attempt": reply.attempt,
            "finish_reason": reply.finish_reason,
            "step_usage": reply.usage.model_dump_json(),
            "run_usage": reply.run_usage.model_dump_json(),
            "model_started_ns": reply.model_started_ns,
            "model_ns": reply.model_ns,
            "message_id": reply.message.id,
            "gated_calls": json.dumps([call.id for call in reply.gated]),
            "digest": digest_of(reply.gated) if reply.gated else None,
            "approval_timeout_s": reply.approval_timeout_s,
            **kept_and_told(new, new, reply.closed),
        },
    )
    return stored.one_or_none() is not None
