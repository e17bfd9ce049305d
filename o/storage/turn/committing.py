"""The statement that commits a step's reply, and what each commit to a history has in common.

It is one statement because a turn waits for it: reply, usage, events, an approval request and the
end of the run are stored together or not at all.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.approvals import digest_of
from o.domain.messages import Message, ToolCall
from o.domain.runs import Run, RunClosed, Usage
from o.metrics.measures import turn_ended
from o.storage.quick import QuickConnection

_COLUMNS = list(Message.model_fields)
_STORED_ONES_STAY = " ON CONFLICT (id) DO NOTHING"

LOCKED_AT = "clock_timestamp() AS at"
"""In SQL, behind the position that an UPDATE of a conversation returns: when it was given. Lists of
several conversations go by time, and by the clocks of several workers, or by when each began to
wait for the lock, they would tell another order than that of the history."""


def _insert_messages() -> str:
    """Insert JSON messages at place and time of the row `conversation`; a stored id stays."""
    given = {"position": "conversation.position + m.position", "created_at": "conversation.at"}
    values = [given.get(name, f"m.{name}") for name in _COLUMNS]
    return (
        f"INSERT INTO messages ({', '.join(_COLUMNS)}) SELECT {', '.join(values)} "  # noqa: S608
        "FROM conversation, jsonb_populate_recordset(NULL::messages, CAST(:messages AS jsonb)) AS m"
        f"{_STORED_ONES_STAY}"
    )


_APPEND = text(
    f"""
    WITH conversation AS (
        UPDATE conversations SET next_position = next_position + :count
        WHERE id = :conversation_id
        RETURNING next_position - :count AS position, {LOCKED_AT}
    ), stored AS ({_insert_messages()})
    SELECT
    """  # noqa: S608
)

STORE_AND_NOTIFY = f"""
    stored AS ({_insert_messages()}
    ), notified AS (
        INSERT INTO run_events (run_id, seq, attempt, kind, body, created_at)
        SELECT :run_id, run.first_seq + event.place - 1, :attempt, event.value ->> 'kind',
            CASE WHEN event.value ->> 'kind' = 'message'
                THEN (event.value -> 'body') || jsonb_build_object('created_at', at, 'position',
                    position + CAST(event.value #>> '{{body,position}}' AS bigint))
                ELSE event.value -> 'body' END,
            now()
        FROM run, conversation,
            jsonb_array_elements(CAST(:events AS jsonb)) WITH ORDINALITY AS event (value, place)
    ), agent AS (
        UPDATE agents SET last_run_completion = now(),
            last_stop_reason = CAST(:stop_reason AS text)
        FROM run, conversation
        WHERE agents.id = :agent_id AND CAST(:status AS text) IS NOT NULL
    )
"""  # noqa: S608
"""Stores `messages` and notes `events`, with positions and numbers that count from those of the
rows `conversation` and `run`, and with the time of the former; notes with the agent that the run
ends, if there is a `status`.

The agent's part reads that of the conversation, which is so locked before it: parts that nothing
reads are carried out last, and the last of them first."""

STORE_NEW_AND_NOTIFY = STORE_AND_NOTIFY.replace(_STORED_ONES_STAY, "")
"""The same, which fails as a whole where one of the messages is stored already."""

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
            AND NOT EXISTS (
                SELECT FROM steps WHERE steps.id = :step_id AND steps.attempts > :attempt
            )
        RETURNING next_seq - :event_count AS first_seq, organization_id
    ), asked AS (
        INSERT INTO approvals (id, organization_id, agent_id, conversation_id, run_id, step_id,
                               step_index, calls, digest, expires_at)
        SELECT CAST(:message_id AS text), organization_id, :agent_id, :conversation_id, :run_id,
            :step_id, :index, CAST(:gated_calls AS jsonb), CAST(:digest AS text),
            now() + make_interval(secs => CAST(:approval_timeout_s AS double precision))
        FROM run WHERE CAST(:digest AS text) IS NOT NULL
    ), step AS (
        UPDATE steps SET status = 'success', model = :model, finish_reason = :finish_reason,
            usage = CAST(:step_usage AS jsonb), completed_at = now(),
            model_started_ns = :model_started_ns, model_ns = :model_ns
        FROM run WHERE steps.id = :step_id
    ), conversation AS (
        UPDATE conversations SET next_position = next_position + :message_count
        FROM run WHERE conversations.id = :conversation_id
        RETURNING next_position - :message_count AS position, {LOCKED_AT}
    ), {STORE_AND_NOTIFY}
    SELECT first_seq FROM run
    """  # noqa: S608
)


async def append_messages(
    connection: AsyncConnection, conversation_id: str, new: Sequence[Message]
) -> None:
    """Give messages the next places in a conversation, which stays locked until the commit.

    Args:
        connection: In a transaction, or committing by itself.
        conversation_id: Whose history grows.
        new: In order, with positions that count from 0.
    """
    await connection.execute(
        _APPEND,
        {
            "conversation_id": conversation_id,
            "count": len(new),
            "messages": json.dumps([message.model_dump(mode="json") for message in new]),
        },
    )


@dataclass(frozen=True)
class Reply:
    """What a step commits: the message (at position 0), what it cost, and the end if it is one.

    Attributes:
        model: The handle of the model that answered.
        heartbeat: Sends the model on (at position 1); shown in the answer.
        model_started_ns: When the model was asked, in nanoseconds since 1970.
        model_ns: How long it took to answer.
        gated: The calls that wait for an answer from outside, none as a rule.
        approval_timeout_s: After how many seconds they are denied, None for never.
    """

    index: int
    step_id: str
    attempt: int
    model: str
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


def store_and_notify(
    kept: Sequence[Message], shown: Sequence[Message], closed: RunClosed | None
) -> dict[str, Any]:
    """Parameters of `STORE_AND_NOTIFY`: the messages, those that are events too, the run's end."""
    events: list[dict[str, Any]] = [
        {"kind": "message", "body": message.model_dump(mode="json", exclude={"extras"})}
        for message in shown  # clients have no use for what goes back to a provider
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


async def commit_reply(
    connection: AsyncConnection | QuickConnection, run: Run, reply: Reply
) -> bool:
    """Commit a step with its reply, events and, when nothing is left to do, the end of the run.

    Calls that wait for an answer from outside make an approval request in the same statement.

    Returns:
        False, and nothing is written, when the step is committed already or was begun anew
        since, so that the new attempt's reply is the one that is shown, or the run is closed.
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
            "model": reply.model,
            "finish_reason": reply.finish_reason,
            "step_usage": reply.usage.model_dump_json(),
            "run_usage": reply.run_usage.model_dump_json(),
            "model_started_ns": reply.model_started_ns,
            "model_ns": reply.model_ns,
            "message_id": reply.message.id,
            "gated_calls": json.dumps([call.id for call in reply.gated]),
            "digest": digest_of(reply.gated) if reply.gated else None,
            "approval_timeout_s": reply.approval_timeout_s,
            **store_and_notify(new, new, reply.closed),
        },
    )
    is_stored = stored.one_or_none() is not None
    if is_stored and reply.closed:
        turn_ended(reply.closed.stop_reason, run.created_at)
    return is_stored
