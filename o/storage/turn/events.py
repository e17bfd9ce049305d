"""The log of a run: every commit appends to it, and a trigger notifies whoever listens."""

import json
from collections.abc import Sequence

from sqlalchemy import func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.llm import ReplyDelta
from o.domain.messages import Message, Role
from o.domain.runs import EventKind, Run, RunClosed, RunEvent
from o.storage.rows import columns_of, models_of
from o.storage.tables import messages, run_events

_APPEND_DELTAS = text(
    """
    WITH run AS (
        UPDATE runs SET next_seq = next_seq + :count,
            first_token_at = coalesce(first_token_at, now())
        WHERE id = :run_id AND status = 'running'
        RETURNING next_seq - :count AS first_seq
    )
    INSERT INTO run_events (run_id, seq, attempt, kind, body, created_at)
    SELECT :run_id, run.first_seq + delta.place - 1, :attempt, 'delta', delta.body, now()
    FROM run, jsonb_array_elements(CAST(:bodies AS jsonb)) WITH ORDINALITY AS delta (body, place)
    """
)


async def add_events(
    connection: AsyncConnection,
    run_id: str,
    first_seq: int,
    attempt: int,
    bodies: Sequence[Message | RunClosed],
) -> None:
    """Append what was committed, numbered from `first_seq`, which the caller took under lock."""
    await connection.execute(
        insert(run_events).values(
            [
                {
                    "run_id": run_id,
                    "seq": first_seq + n,
                    "attempt": attempt,
                    "kind": _kind(body),
                    "body": body.model_dump(mode="json"),
                    "created_at": func.now(),
                }
                for n, body in enumerate(bodies)
            ]
        )
    )


async def add_deltas(
    connection: AsyncConnection,
    run_id: str,
    attempt: int,
    message_id: str,
    step_id: str,
    deltas: Sequence[ReplyDelta],
) -> None:
    """Append pieces of a reply that is being written; nothing happens once the run is closed."""
    ids = {"message_id": message_id, "step_id": step_id}
    bodies = [delta.model_dump(mode="json") | ids for delta in deltas]
    await connection.execute(
        _APPEND_DELTAS,
        {
            "run_id": run_id,
            "attempt": attempt,
            "count": len(bodies),
            "bodies": json.dumps(bodies),
        },
    )


async def list_events(
    connection: AsyncConnection, run_id: str, *, after_seq: int = 0
) -> list[RunEvent]:
    """Events of a run behind `after_seq`, in order."""
    rows = await connection.execute(
        select(
            run_events.c.run_id,
            run_events.c.seq,
            run_events.c.attempt,
            run_events.c.kind,
            run_events.c.body,
        )
        .where(run_events.c.run_id == run_id, run_events.c.seq > after_seq)
        .order_by(run_events.c.seq)
    )
    return models_of(RunEvent, rows.mappings().all())


async def replay_events(connection: AsyncConnection, run: Run) -> list[RunEvent]:
    """What the log of a run at rest told, made from the record, once the log itself is purged.

    Pieces of replies are gone, so the events are numbered anew.
    """
    if run.stop_reason is None:
        return []
    rows = await connection.execute(
        select(*columns_of(messages, Message))
        .where(messages.c.run_id == run.id, messages.c.role.in_((Role.ASSISTANT, Role.TOOL)))
        .order_by(messages.c.position)
    )
    closed = RunClosed(stop_reason=run.stop_reason, usage=run.usage, error=run.error)
    told: list[Message | RunClosed] = [*models_of(Message, rows.mappings().all()), closed]
    return [
        RunEvent(run_id=run.id, seq=n, attempt=1, kind=_kind(body), body=body.model_dump())
        for n, body in enumerate(told, start=1)
    ]


def _kind(body: Message | RunClosed) -> EventKind:
    return EventKind.MESSAGE if isinstance(body, Message) else EventKind.CLOSED
