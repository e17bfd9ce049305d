"""The statement that accepts a run, or says why the conversation takes none now."""

import json
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.actors import Actor
from o.domain.agents import Thread
from o.domain.messages import InputMessage
from o.domain.runs import Run, RunOptions
from o.errors import ApprovalPending, ConversationBusy
from o.storage.agents.agents import is_thread, thread_not_found
from o.storage.conditions import IS_OPEN
from o.storage.quick import QuickConnection
from o.storage.rows import model_of_json
from o.storage.tables.core import agents, conversations, runs
from o.storage.turn.order import turn_order
from o.storage.turn.runs import RunOfAgent, runs_of, with_agent


@dataclass(frozen=True)
class NewRun:
    """A run as it is asked for.

    Attributes:
        request_key: Equal for requests that are the same one repeated.
        body_hash: Digest of the request's body.
        created_by_id: The user who asks, None for nobody in particular.
        callback_url: Where to tell of its end.
    """

    id: str
    request_key: str
    body_hash: str
    input: list[InputMessage]
    options: RunOptions
    created_by_id: str | None = None
    callback_url: str | None = None


@dataclass(frozen=True)
class Refused:
    """Why no run was stored."""

    reason: ApprovalPending | ConversationBusy


# Requests of one body, which a client's own retry has to find while they are still being stored.
_LINE = (
    "hashtextextended(concat_ws(' ', CAST(:thread AS text), CAST(:user_id AS text), "
    "CAST(:body_hash AS text)), 0)"
)

# The conditions stand in texts of their own, so that each is planned by its index.
_NAMED = {
    True: "conversations.agent_id = :thread AND conversations.is_default",
    False: "conversations.id = :thread",
}
_ACCEPT = {
    is_own: text(
        f"""
        WITH line AS MATERIALIZED (
            SELECT pg_advisory_xact_lock_shared({_LINE})
        ), thread AS (
            SELECT conversations.id, agents.id AS agent_id, agents.organization_id, agents.name,
                coalesce(conversations.model, agents.model) AS model,
                coalesce(conversations.last_message_at > now() - interval '12 hours', false)
                    AS is_warm
            FROM line CROSS JOIN conversations
            JOIN agents ON agents.id = conversations.agent_id
            WHERE {named} AND conversations.deleted_at IS NULL
              AND agents.organization_id = :organization_id AND agents.deleted_at IS NULL
        ), open AS (
            SELECT count(*) AS runs,
                (array_agg(runs.id ORDER BY {turn_order("runs")}))[1] AS first
            FROM runs JOIN thread ON runs.conversation_id = thread.id
            WHERE runs.status IN ('created', 'running')
        ), stored AS (
            INSERT INTO runs (id, organization_id, agent_id, conversation_id, request_key,
                              body_hash, status, input, options, created_by_id, callback_url)
            SELECT :id, organization_id, agent_id, thread.id, :request_key, :body_hash,
                   'created', CAST(:input AS jsonb), CAST(:options AS jsonb), :user_id,
                   :callback_url
            FROM thread, open
            WHERE open.runs < :most_open AND NOT EXISTS (
                SELECT FROM approvals
                WHERE approvals.conversation_id = thread.id AND approvals.status = 'pending'
            )
            ON CONFLICT (conversation_id, request_key) DO NOTHING
            RETURNING *
        ), spoken AS (
            UPDATE conversations SET last_message_at = now()
            FROM stored WHERE conversations.id = stored.conversation_id
        )
        SELECT thread.name, thread.model, thread.is_warm, to_jsonb(stored) AS run, open.first,
            approvals.id AS approval_id, approvals.run_id AS approval_run_id
        FROM thread CROSS JOIN open LEFT JOIN stored ON true
        LEFT JOIN approvals
            ON approvals.conversation_id = thread.id AND approvals.status = 'pending'
        """  # noqa: S608
    )
    for is_own, named in _NAMED.items()
}
_WAIT_FOR_LINE = text(f"SELECT pg_advisory_xact_lock({_LINE})")


async def store_run(
    connection: AsyncConnection | QuickConnection,
    actor: Actor,
    thread: Thread,
    new: NewRun,
    *,
    most_open: int,
) -> RunOfAgent | Refused:
    """Store a run of the thread, by one statement.

    Args:
        connection: Any.
        actor: Whose thread it must be.
        thread: Where the run belongs.
        new: The run.
        most_open: How many runs of the conversation may be open with it. Requests that come at
            the same moment do not see each other and may go beyond it; see `lock_thread`.

    Returns:
        The run, or why nothing was stored: the same request may have made one before.

    Raises:
        NotFound: There is no such agent or conversation for this actor.
    """
    stored = await connection.execute(
        _ACCEPT[thread.agent_id is not None],
        {
            "id": new.id,
            "thread": thread.agent_id or thread.conversation_id,
            "organization_id": actor.organization_id,
            "user_id": new.created_by_id,
            "request_key": new.request_key,
            "body_hash": new.body_hash,
            "input": json.dumps([message.model_dump(mode="json") for message in new.input]),
            "options": new.options.model_dump_json(),
            "callback_url": new.callback_url,
            "most_open": most_open,
        },
    )
    row = stored.one_or_none()
    if row is None:
        raise thread_not_found(thread)
    if row.run is not None:
        run = model_of_json(Run, row.run, new.id)
        return RunOfAgent(run, row.name, run.options.override_model or row.model, row.is_warm)
    if row.approval_id is not None:
        return Refused(ApprovalPending(row.approval_id, row.approval_run_id))
    return Refused(ConversationBusy(row.first))


async def accept_run(
    connection: AsyncConnection, actor: Actor, thread: Thread, new: NewRun, *, most_open: int
) -> RunOfAgent:
    """Store a run of the thread, or find the one that the same request made before.

    Args:
        connection: Any; one statement is sent, two when nothing was stored.
        actor: Whose thread it must be.
        thread: Where the run belongs.
        new: The run.
        most_open: How many runs of the conversation may be open with it; see `store_run`.

    Raises:
        NotFound: There is no such agent or conversation for this actor.
        ApprovalPending: The conversation waits for an answer first.
        ConversationBusy: As many runs are open as may be.
    """
    stored = await store_run(connection, actor, thread, new, most_open=most_open)
    if isinstance(stored, Refused):
        return await accepted_before(connection, actor, thread, new, stored)
    return stored


async def accepted_before(
    connection: AsyncConnection,
    actor: Actor,
    thread: Thread,
    new: NewRun,
    refused: Refused,
) -> RunOfAgent:
    """The run that the same request made before, where `store_run` has stored none.

    Raises:
        ApprovalPending: There is none: the conversation waits for an answer first.
        ConversationBusy: There is none: as many runs are open as may be.
    """
    existing = await find_run_by_key(connection, actor, thread, new.request_key)
    if existing is None:
        raise refused.reason
    return existing


async def has_open_runs(connection: AsyncConnection, actor: Actor, many: int) -> bool:
    """Whether so many runs of this user are open, in whatever conversations.

    Requests at the same moment do not see each other, and may go a little beyond.
    """
    some = (
        select(runs.c.id)
        .where(
            IS_OPEN,
            runs.c.organization_id == actor.organization_id,
            runs.c.created_by_id == actor.user_id,
        )
        .limit(many)
        .subquery()
    )
    return (await connection.scalar(select(func.count()).select_from(some)) or 0) >= many


async def lock_thread(connection: AsyncConnection, thread: Thread) -> None:
    """Let requests that must see each other's runs come in one after the other.

    Args:
        connection: In the transaction that keeps the others waiting.
        thread: As it was named: by its agent or by its own id.
    """
    name = thread.agent_id or thread.conversation_id
    await connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))


async def lock_repeats(
    connection: AsyncConnection, actor: Actor, thread: Thread, body_hash: str
) -> None:
    """Wait until what was sent with the same body is stored, and keep its repeats waiting.

    Args:
        connection: In the transaction that looks for the run of the first request after this.
        actor: Who sends.
        thread: Where to.
        body_hash: Of what is sent.
    """
    await connection.execute(
        _WAIT_FOR_LINE,
        {
            "thread": thread.agent_id or thread.conversation_id,
            "user_id": actor.user_id,
            "body_hash": body_hash,
        },
    )


async def find_conversation(
    connection: AsyncConnection, actor: Actor, thread: Thread
) -> tuple[str, str, str]:
    """The id of the conversation that is named, its agent's name and its model.

    Raises:
        NotFound: There is no such agent or conversation for this actor.
    """
    rows = await connection.execute(
        select(
            conversations.c.id,
            agents.c.name,
            func.coalesce(conversations.c.model, agents.c.model),
        )
        .join(agents, agents.c.id == conversations.c.agent_id)
        .where(
            is_thread(thread),
            agents.c.organization_id == actor.organization_id,
            agents.c.deleted_at.is_(None),
        )
    )
    row = rows.one_or_none()
    if row is None:
        raise thread_not_found(thread)
    return row[0], row[1], row[2]


async def find_run_by_key(
    connection: AsyncConnection, actor: Actor, thread: Thread, request_key: str
) -> RunOfAgent | None:
    """The run that the same request made before, None when it made none."""
    rows = await connection.execute(runs_of(actor, thread).where(runs.c.request_key == request_key))
    row = rows.mappings().one_or_none()
    return with_agent(row) if row else None


async def find_repeated_run(
    connection: AsyncConnection, actor: Actor, thread: Thread, body_hash: str
) -> RunOfAgent | None:
    """The run that this user's same body made, for a POST that a client says it re-sends.

    Open, or finished less than a minute ago: an older one is a message of the same words that was
    answered, and what is sent now never arrived before.
    """
    rows = await connection.execute(
        runs_of(actor, thread)
        .where(
            runs.c.created_by_id == actor.user_id,
            runs.c.body_hash == body_hash,
            or_(
                IS_OPEN,
                runs.c.completed_at > func.now() - timedelta(minutes=1),
            ),
        )
        .order_by(runs.c.created_at.desc())
        .limit(1)
    )
    row = rows.mappings().one_or_none()
    return with_agent(row) if row else None
