"""Questions about runs."""

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import RowMapping, Select, and_, func, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.actors import Actor
from o.domain.agents import Thread
from o.domain.messages import InputMessage
from o.domain.runs import OPEN_STATUSES, Run, RunClosed, RunOptions, RunStatus
from o.storage.agents import is_meant, thread_not_found
from o.storage.rows import columns_of, model_of
from o.storage.tables import agents, conversations, runs


@dataclass(frozen=True)
class RunOfAgent:
    """A run with what its workflow shows of its agent.

    Attributes:
        is_warm: Whether the conversation was spoken to lately, so that its workflow is likely to
            be there.
    """

    run: Run
    agent_name: str
    model: str
    is_warm: bool = False


@dataclass(frozen=True)
class NewRun:
    """A run as it is asked for.

    Attributes:
        request_key: Equal for requests that are the same one repeated.
        body_hash: Digest of the request's body.
    """

    id: str
    request_key: str
    body_hash: str
    input: list[InputMessage]
    options: RunOptions


_ACCEPT = text(
    """
    WITH thread AS (
        SELECT conversations.id, agents.id AS agent_id, agents.organization_id, agents.name,
            coalesce(conversations.model, agents.model) AS model,
            coalesce(conversations.last_message_at > now() - interval '12 hours', false) AS is_warm
        FROM conversations JOIN agents ON agents.id = conversations.agent_id
        WHERE (conversations.id = :conversation_id
               OR conversations.agent_id = :agent_id AND conversations.is_default)
          AND conversations.deleted_at IS NULL
          AND agents.organization_id = :organization_id AND agents.deleted_at IS NULL
    ), stored AS (
        INSERT INTO runs (id, organization_id, agent_id, conversation_id, request_key, body_hash,
                          status, input, options, created_by_id)
        SELECT :id, organization_id, agent_id, thread.id, :request_key, :body_hash,
               'created', CAST(:input AS jsonb), CAST(:options AS jsonb), :user_id
        FROM thread
        ON CONFLICT (conversation_id, request_key) DO NOTHING
        RETURNING *
    ), spoken AS (
        UPDATE conversations SET last_message_at = now()
        FROM stored WHERE conversations.id = stored.conversation_id
    )
    SELECT thread.name, thread.model, thread.is_warm, to_jsonb(stored) AS run
    FROM thread LEFT JOIN stored ON true
    """
)


async def accept_run(
    connection: AsyncConnection, actor: Actor, thread: Thread, new: NewRun
) -> RunOfAgent:
    """Store a run of the thread, or find the one that the same request made before.

    Raises:
        NotFound: There is no such agent or conversation for this actor.
    """
    stored = await connection.execute(
        _ACCEPT,
        {
            "id": new.id,
            "agent_id": thread.agent_id,
            "conversation_id": thread.conversation_id,
            "organization_id": actor.organization_id,
            "user_id": actor.user_id,
            "request_key": new.request_key,
            "body_hash": new.body_hash,
            "input": json.dumps([message.model_dump(mode="json") for message in new.input]),
            "options": new.options.model_dump_json(),
        },
    )
    row = stored.one_or_none()
    if row is None:
        raise thread_not_found(thread)
    if row.run is not None:
        run = Run.model_validate(row.run)
        return RunOfAgent(run, row.name, run.options.override_model or row.model, row.is_warm)
    existing = await connection.execute(
        _runs_of(actor, thread).where(runs.c.request_key == new.request_key)
    )
    return _with_agent(existing.mappings().one())


async def find_repeated_run(
    connection: AsyncConnection, actor: Actor, thread: Thread, body_hash: str
) -> RunOfAgent | None:
    """The run that this user's same body made, for a POST that a client says it re-sends.

    Open, or at rest for less than a minute: an older one is a message of the same words that was
    answered, and what is sent now never arrived before.
    """
    rows = await connection.execute(
        _runs_of(actor, thread)
        .where(
            runs.c.created_by_id == actor.user_id,
            runs.c.body_hash == body_hash,
            or_(
                runs.c.status.in_(OPEN_STATUSES),
                runs.c.completed_at > func.now() - timedelta(minutes=1),
            ),
        )
        .order_by(runs.c.created_at.desc())
        .limit(1)
    )
    row = rows.mappings().one_or_none()
    return _with_agent(row) if row else None


async def get_run(connection: AsyncConnection, run_id: str, *, lock: bool = False) -> Run | None:
    """The run by that id, None when it was deleted meanwhile."""
    question = select(*columns_of(runs, Run)).where(runs.c.id == run_id)
    if lock:
        question = question.with_for_update()
    row = (await connection.execute(question)).mappings().one_or_none()
    return model_of(Run, row) if row else None


async def list_open_runs(connection: AsyncConnection, *, older_than_s: float) -> list[RunOfAgent]:
    """Open runs of a certain age, in the order they were made."""
    rows = await connection.execute(
        _open_runs()
        .where(runs.c.created_at < func.now() - timedelta(seconds=older_than_s))
        .order_by(runs.c.created_at)
    )
    return [_with_agent(row) for row in rows.mappings()]


async def open_conversations(connection: AsyncConnection) -> list[str]:
    """Ids of the conversations, and so of the workflows, that have an open run."""
    rows = await connection.execute(
        select(runs.c.conversation_id).where(runs.c.status.in_(OPEN_STATUSES)).distinct()
    )
    return list(rows.scalars())


async def first_open_run(connection: AsyncConnection, conversation_id: str) -> RunOfAgent | None:
    """The run whose turn it is: the one that has begun, else the oldest. None when none is open."""
    rows = await connection.execute(
        _open_runs()
        .where(runs.c.conversation_id == conversation_id)
        .order_by((runs.c.status == RunStatus.RUNNING).desc(), runs.c.created_at, runs.c.id)
        .limit(1)
    )
    row = rows.mappings().one_or_none()
    return _with_agent(row) if row else None


def _runs() -> Select[Any]:
    return (
        select(
            *columns_of(runs, Run),
            agents.c.name.label("agent_name"),
            func.coalesce(conversations.c.model, agents.c.model).label("agent_model"),
        )
        .join(agents, agents.c.id == runs.c.agent_id)
        .join(conversations, conversations.c.id == runs.c.conversation_id)
        .where(agents.c.deleted_at.is_(None))
    )


def _runs_of(actor: Actor, thread: Thread) -> Select[Any]:
    return _runs().where(is_meant(thread), runs.c.organization_id == actor.organization_id)


def _open_runs() -> Select[Any]:
    return _runs().where(runs.c.status.in_(OPEN_STATUSES))


def _with_agent(row: RowMapping) -> RunOfAgent:
    run = model_of(Run, row)
    return RunOfAgent(run, row["agent_name"], run.options.override_model or row["agent_model"])


async def advance_run(
    connection: AsyncConnection,
    run_id: str,
    *,
    events: int,
    closed: RunClosed | None = None,
) -> int | None:
    """Take numbers for `events` more events of an open run, lock it, and close it if told to.

    Returns:
        The first number, or None when the run is closed or gone, so that nothing may be added.
    """
    question = (
        update(runs)
        .where(runs.c.id == run_id, runs.c.status.in_(OPEN_STATUSES))
        .values(next_seq=runs.c.next_seq + events)
        .returning(runs.c.next_seq - events)
    )
    if closed is not None:
        question = question.values(
            status=closed.stop_reason.status,
            stop_reason=closed.stop_reason,
            usage=closed.usage.model_dump(mode="json"),
            error=closed.error.model_dump(mode="json") if closed.error else None,
            completed_at=func.now(),
        ).add_cte(
            update(agents)
            .where(and_(runs.c.id == run_id, agents.c.id == runs.c.agent_id))
            .values(last_run_completion=func.now(), last_stop_reason=closed.stop_reason)
            .cte("agent")
        )
    first: int | None = await connection.scalar(question)
    return first
