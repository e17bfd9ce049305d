"""The log of a run: every commit appends to it, and a trigger notifies whoever listens."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.llm import ReplyDelta
from o.domain.messages import Message, Role
from o.domain.runs import EventKind, Run, RunClosed, RunEvent, RunStatus
from o.storage.rows import columns_of, model_of, models_of
from o.storage.tables.core import messages, run_events

_SHOWN = (Role.ASSISTANT, Role.TOOL, Role.SUMMARY)

_APPEND_DELTAS = text(
    """
    WITH run AS (
        UPDATE runs SET next_seq = next_seq + :count,
            first_token_at = coalesce(first_token_at, now())
        WHERE id = :run_id AND status = 'running' AND EXISTS (
            SELECT FROM steps
            WHERE steps.id = :step_id AND steps.status = 'pending' AND steps.attempts = :attempt
        )
        RETURNING next_seq - :count AS first_seq
    )
    INSERT INTO run_events (run_id, seq, attempt, kind, body, created_at)
    SELECT :run_id, run.first_seq + delta.place - 1, :attempt, 'delta', delta.body, now()
    FROM run, jsonb_array_elements(CAST(:bodies AS jsonb)) WITH ORDINALITY AS delta (body, place)
    """
)

# One statement for all the runs that a process follows: each is a look at its row, by its id.
_BEHIND = text(
    """
    SELECT known.run_id
    FROM unnest(CAST(:run_ids AS text[]), CAST(:after_seqs AS bigint[])) AS known (run_id, seq)
    LEFT JOIN runs ON runs.id = known.run_id
    WHERE runs.id IS NULL OR runs.next_seq > known.seq + 1
    """
)

_READ_LOGS = text(
    """
    SELECT asked.run_id, asked.after_seq, runs.status, event.seq, event.attempt, event.kind,
        event.body
    FROM unnest(CAST(:run_ids AS text[]), CAST(:after_seqs AS bigint[]))
        AS asked (run_id, after_seq)
    LEFT JOIN runs ON runs.id = asked.run_id
    LEFT JOIN LATERAL (
        SELECT * FROM run_events
        WHERE run_events.run_id = asked.run_id AND run_events.seq > asked.after_seq
        ORDER BY run_events.seq
        LIMIT :most
    ) AS event ON true
    ORDER BY asked.run_id, asked.after_seq, event.seq
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
    """Append pieces of a reply that is being written.

    Nothing happens once the run is closed, or the step is committed or begun anew: a worker that
    was taken for dead may still be at it, and its pieces would stand among those that count.
    """
    ids = {"message_id": message_id, "step_id": step_id}
    bodies = [delta.model_dump(mode="json") | ids for delta in deltas]
    await connection.execute(
        _APPEND_DELTAS,
        {
            "run_id": run_id,
            "step_id": step_id,
            "attempt": attempt,
            "count": len(bodies),
            "bodies": json.dumps(bodies),
        },
    )


async def find_behind(connection: AsyncConnection, known: Mapping[str, int]) -> set[str]:
    """Which runs have events behind the last one that is known of them, or are gone.

    Args:
        connection: Any.
        known: Run id to the number of the last event that is known, 0 for none.
    """
    rows = await connection.execute(
        _BEHIND, {"run_ids": list(known), "after_seqs": list(known.values())}
    )
    return set(rows.scalars())


@dataclass(frozen=True)
class LogPart:
    """What follows one event in a run's log.

    Attributes:
        status: The run's, None when it is gone.
        events: In order, the oldest that were asked for.
    """

    status: RunStatus | None
    events: list[RunEvent] = field(default_factory=list)


async def read_logs(
    connection: AsyncConnection, asked: Collection[tuple[str, int]], *, most: int
) -> dict[tuple[str, int], LogPart]:
    """What follows in the logs of several runs, at most `most` events of each.

    Args:
        connection: Any.
        asked: Ids of runs, each with the number of an event, 0 for the beginning.
        most: How many events of each; where so many are there, more may follow.
    """
    rows = await connection.execute(
        _READ_LOGS,
        {
            "run_ids": [run_id for run_id, _ in asked],
            "after_seqs": [after_seq for _, after_seq in asked],
            "most": most,
        },
    )
    parts: dict[tuple[str, int], LogPart] = {}
    for row in rows.mappings():
        key = (str(row["run_id"]), int(row["after_seq"]))
        status = row["status"]
        part = parts.setdefault(key, LogPart(RunStatus(status) if status else None))
        if row["seq"] is not None:
            part.events.append(model_of(RunEvent, row))
    return parts


async def list_events(connection: AsyncConnection, run_id: str) -> list[RunEvent]:
    """The whole log of a run, in order."""
    rows = await connection.execute(
        select(
            run_events.c.run_id,
            run_events.c.seq,
            run_events.c.attempt,
            run_events.c.kind,
            run_events.c.body,
        )
        .where(run_events.c.run_id == run_id)
        .order_by(run_events.c.seq)
    )
    return models_of(RunEvent, rows.mappings().all())


async def replay_events(connection: AsyncConnection, run: Run) -> list[RunEvent]:
    """What the log of a finished run held, made from the record, once the log itself is purged.

    Pieces of replies are gone, so the events are numbered anew.
    """
    if run.stop_reason is None:
        return []
    rows = await connection.execute(
        select(*columns_of(messages, Message))
        .where(messages.c.run_id == run.id, messages.c.role.in_(_SHOWN))
        .order_by(messages.c.position)
    )
    closed = RunClosed(stop_reason=run.stop_reason, usage=run.usage, error=run.error)
    bodies: list[Message | RunClosed] = [*models_of(Message, rows.mappings().all()), closed]
    return [
        RunEvent(run_id=run.id, seq=n, attempt=1, kind=_kind(body), body=body.model_dump())
        for n, body in enumerate(bodies, start=1)
    ]


def _kind(body: Message | RunClosed) -> EventKind:
    return EventKind.MESSAGE if isinstance(body, Message) else EventKind.CLOSED
