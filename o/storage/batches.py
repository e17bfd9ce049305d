"""Statements about batches: each is made with all its runs, and stands as they do."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    Text,
    and_,
    any_,
    func,
    insert,
    literal,
    select,
    text,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.actors import Actor
from o.domain.agents import Thread
from o.domain.batches import Batch
from o.domain.messages import Message, Role
from o.domain.runs import Run, RunStatus
from o.errors import Conflict, InvalidInput, NotFound
from o.storage.agents.agents import thread_not_found
from o.storage.deleted_rows import places_of_deleted
from o.storage.history.messages import (
    AGE,
    CURSOR,
    DELETED_AGE,
    IN_A_LIVE_CONVERSATION,
    SHOWN_ID,
    named_by,
)
from o.storage.pages import Page, page_of_kept_rows, page_of_rows
from o.storage.rows import columns_of, model_of, models_of
from o.storage.tables.core import agents, batches, deleted_rows, messages, runs
from o.storage.turn.accepting import NewRun
from o.storage.turn.runs import RunOfAgent

_LOCK_EQUAL = text("SELECT pg_advisory_xact_lock(hashtextextended(:line, 0))")

_THREADS = text(
    """
    SELECT agents.id AS agent_id, agents.name, conversations.id AS conversation_id,
        coalesce(conversations.model, agents.model) AS model,
        coalesce(conversations.last_message_at > now() - interval '12 hours', false) AS is_warm,
        (SELECT count(*) FROM runs WHERE runs.conversation_id = conversations.id
            AND runs.status IN ('created', 'running')) AS open,
        approvals.id AS approval_id
    FROM agents
    JOIN conversations ON conversations.agent_id = agents.id AND conversations.is_default
    LEFT JOIN approvals
        ON approvals.conversation_id = conversations.id AND approvals.status = 'pending'
    WHERE agents.id = ANY(:agent_ids) AND agents.organization_id = :organization_id
        AND agents.deleted_at IS NULL AND conversations.deleted_at IS NULL
    """
)

# Microseconds apart, so that those of one conversation have their turns in order.
_STORE = text(
    """
    INSERT INTO runs (id, organization_id, agent_id, conversation_id, request_key, body_hash,
                      status, input, options, created_by_id, created_at)
    SELECT one.id, :organization_id, one.agent_id, one.conversation_id, one.request_key,
        :body_hash, 'created', one.input, one.options, :user_id,
        now() + one.place * interval '1 microsecond'
    FROM jsonb_to_recordset(CAST(:new AS jsonb)) AS one (
        place integer, id text, agent_id text, conversation_id text, request_key text,
        input jsonb, options jsonb
    )
    ON CONFLICT (conversation_id, request_key) DO NOTHING
    RETURNING *
    """
)

# In the order of their ids, as `o.storage.locks` has it.
_SPEAK = text(
    """
    UPDATE conversations SET last_message_at = now()
    FROM (
        SELECT id FROM conversations WHERE id = ANY(:ids) ORDER BY id FOR NO KEY UPDATE
    ) AS locked
    WHERE conversations.id = locked.id
    """
)

_SENT_AGAIN = timedelta(minutes=5)
_NOTHING = "Nothing of the batch was stored."


@dataclass(frozen=True)
class NewBatch:
    """A batch as it is asked for.

    Attributes:
        body_hash: Digest of the request's body, by which a client's own retry is known.
        runs: For each request its agent's id and its run.
        has_keys: Whether messages of it have `otid`s, so that it cannot be stored twice.
        callback_url: Where to tell of its end.
    """

    id: str
    body_hash: str
    runs: Sequence[tuple[str, NewRun]]
    has_keys: bool = False
    callback_url: str | None = None


async def lock_equal_batches(connection: AsyncConnection, actor: Actor, body_hash: str) -> None:
    """Have a batch of the same user and body wait until this transaction ends.

    Args:
        connection: In a transaction.
        actor: Who asks.
        body_hash: Of what is asked.
    """
    line = f"batch {actor.organization_id} {actor.user_id} {body_hash}"
    await connection.execute(_LOCK_EQUAL, {"line": line})


async def store_batch(
    connection: AsyncConnection, actor: Actor, new: NewBatch, *, most_open: int
) -> list[RunOfAgent]:
    """Store a batch with all its runs, in four statements however many they are.

    Args:
        connection: In a transaction, which stores all or nothing.
        actor: Whose agents they must be.
        new: The batch.
        most_open: How many runs of a conversation may be open with those of the batch. Requests
            that come at the same moment do not see each other, and may go a little beyond.

    Returns:
        The runs, in the order of their requests.

    Raises:
        NotFound: There is no such agent for this actor; like the others, it says which request.
        InvalidInput: One agent is named more often than its conversation takes.
        Conflict: An agent waits for approval or is busy, or an `otid` was used before.
    """
    threads = await _threads(connection, actor, [agent_id for agent_id, _ in new.runs])
    _check(new, threads, most_open)
    stored = await _store_runs(connection, actor, new, threads)
    await connection.execute(
        insert(batches).values(
            id=new.id,
            organization_id=actor.organization_id,
            run_ids=[run.id for _, run in new.runs],
            body_hash=new.body_hash,
            created_by_id=actor.user_id,
            created_at=func.now(),
            callback_url=new.callback_url,
        )
    )
    await connection.execute(_SPEAK, {"ids": [one.conversation_id for one in threads.values()]})
    return [
        RunOfAgent(
            stored[run.id],
            threads[agent_id].name,
            run.options.override_model or threads[agent_id].model,
            threads[agent_id].is_warm,
        )
        for agent_id, run in new.runs
    ]


async def _store_runs(
    connection: AsyncConnection, actor: Actor, new: NewBatch, threads: Mapping[str, Any]
) -> dict[str, Run]:
    """The runs by their ids, each of which is new."""
    rows = await connection.execute(
        _STORE,
        {
            "organization_id": actor.organization_id,
            "user_id": actor.user_id,
            "body_hash": new.body_hash,
            "new": json.dumps(
                [
                    _row(place, run, threads[agent_id])
                    for place, (agent_id, run) in enumerate(new.runs)
                ]
            ),
        },
    )
    stored = {row["id"]: model_of(Run, row) for row in rows.mappings()}
    for place, (_, run) in enumerate(new.runs):
        if run.id not in stored:
            raise Conflict(
                f"requests[{place}]: the otid was used before, for another message. {_NOTHING} "
                "Give each message an otid of its own"
            )
    return stored


async def _threads(
    connection: AsyncConnection, actor: Actor, agent_ids: Sequence[str]
) -> dict[str, Any]:
    """The own threads of agents, by the agents' ids."""
    given = {"agent_ids": list(set(agent_ids)), "organization_id": actor.organization_id}
    return {row.agent_id: row for row in await connection.execute(_THREADS, given)}


def _check(new: NewBatch, threads: Mapping[str, Any], most_open: int) -> None:
    asked: Counter[str] = Counter()
    for place, (agent_id, _) in enumerate(new.runs):
        where = f"requests[{place}]:"
        thread = threads.get(agent_id)
        if thread is None:
            found_not = thread_not_found(Thread(agent_id=agent_id)).message
            raise NotFound(f"{where} {found_not}. {_NOTHING}")
        if thread.approval_id is not None:
            raise Conflict(
                f"{where} {agent_id} waits for approval on a tool call. Answer the approval "
                f"request, or cancel it. {_NOTHING}"
            )
        asked[agent_id] += 1
        if asked[agent_id] > most_open:
            raise InvalidInput(
                f"{where} one batch may name {agent_id} {most_open} times (O_QUEUE_LIMIT). "
                f"{_NOTHING}"
            )
        if thread.open + asked[agent_id] > most_open:
            raise Conflict(
                f"{where} {agent_id} is at work, and {thread.open} of its messages are open; with "
                f"those of the batch there may be {most_open} (O_QUEUE_LIMIT). {_NOTHING}"
            )


def _row(place: int, run: NewRun, thread: Any) -> dict[str, Any]:
    return {
        "place": place,
        "id": run.id,
        "agent_id": thread.agent_id,
        "conversation_id": thread.conversation_id,
        "request_key": run.request_key,
        "input": [message.model_dump(mode="json") for message in run.input],
        "options": run.options.model_dump(mode="json"),
    }


async def find_batch(connection: AsyncConnection, actor: Actor, batch_id: str) -> Batch:
    """The batch by that id.

    Raises:
        NotFound: There is none for this actor.
    """
    rows = await connection.execute(_batches().where(batches.c.id == batch_id, _is_of(actor)))
    row = rows.mappings().one_or_none()
    if row is None:
        raise NotFound(f"Batch with id {batch_id} not found")
    return model_of(Batch, row)


async def get_batch(connection: AsyncConnection, batch_id: str) -> Batch | None:
    """The batch by that id, whosever it is; None when it is gone."""
    rows = await connection.execute(_batches().where(batches.c.id == batch_id))
    row = rows.mappings().one_or_none()
    return model_of(Batch, row) if row else None


async def find_repeated_batch(
    connection: AsyncConnection, actor: Actor, new: NewBatch, *, is_retry: bool
) -> Batch | None:
    """The batch that the same request made before, None where it made none.

    What this process repeats, because the database went away before it answered, has the same id.
    Requests with `otid`s find each other by their bodies; a client without them says that it sends
    again, which is believed for some minutes.
    """
    found = await connection.scalar(select(batches.c.id).where(batches.c.id == new.id))
    if found is None and (is_retry or new.has_keys):
        found = await connection.scalar(_equal_to(actor, new))
    return None if found is None else await find_batch(connection, actor, found)


def _equal_to(actor: Actor, new: NewBatch) -> Select[tuple[str]]:
    """The newest batch of the same user and body: by an index, whoever else has how many."""
    equal = and_(
        _is_of(actor),
        batches.c.created_by_id == actor.user_id,
        batches.c.body_hash == new.body_hash,
    )
    if not new.has_keys:
        equal = and_(equal, batches.c.created_at > func.now() - _SENT_AGAIN)
    newest = batches.c.created_at.desc(), batches.c.id.desc()
    return select(batches.c.id).where(equal).order_by(*newest).limit(1)


async def list_batches(connection: AsyncConnection, actor: Actor, page: Page) -> list[Batch]:
    """Batches by the time they were asked for: one statement, two with a cursor.

    Raises:
        NotFound: A cursor names no batch of this actor.
    """
    statement = await page_of_kept_rows(
        connection, _batches().where(_is_of(actor)), page, batches, among=_is_of(actor)
    )
    return models_of(Batch, (await connection.execute(statement)).mappings().all())


async def list_batch_messages(
    connection: AsyncConnection, actor: Actor, batch: Batch, page: Page, agent_id: str | None = None
) -> list[Message]:
    """What was answered in a batch, replies and tools' returns, by age in the order asked for.

    Raises:
        NotFound: A cursor names no message of the batch.
    """
    run_ids = any_(literal(batch.run_ids, ARRAY(Text)))
    owned = and_(messages.c.run_id == run_ids, messages.c.organization_id == actor.organization_id)
    statement = (
        select(*columns_of(messages, Message))
        .join(agents, agents.c.id == messages.c.agent_id)
        .where(
            owned,
            messages.c.role.in_((Role.ASSISTANT, Role.TOOL)),
            agents.c.deleted_at.is_(None),
            IN_A_LIVE_CONVERSATION,
        )
    )
    if agent_id is not None:
        statement = statement.where(messages.c.agent_id == agent_id)
    statement = await page_of_rows(
        connection,
        statement,
        page,
        AGE,
        id_=SHOWN_ID,
        among=and_(owned, named_by(page)),
        deleted=lambda: places_of_deleted(messages, actor, *DELETED_AGE).where(
            deleted_rows.c.run_id == run_ids
        ),
        what=CURSOR,
    )
    return models_of(Message, (await connection.execute(statement)).mappings().all())


async def note_cancelled(connection: AsyncConnection, batch_id: str) -> None:
    """Note that a batch was cancelled while something of it was open."""
    await connection.execute(
        update(batches)
        .where(batches.c.id == batch_id, batches.c.cancelled_at.is_(None))
        .values(cancelled_at=func.now())
    )


def _batches() -> Select[Any]:
    tally = (
        select(
            *(
                func.count().filter(runs.c.status == status.value).label(status.value)
                for status in RunStatus
            ),
            func.max(runs.c.completed_at).label("last_completed_at"),
        )
        .where(runs.c.id == any_(batches.c.run_ids))
        .correlate(batches)
        .lateral("tally")
    )
    return select(*columns_of(batches, Batch), *tally.c).join(tally, true())


def _is_of(actor: Actor) -> ColumnElement[bool]:
    is_of: ColumnElement[bool] = batches.c.organization_id == actor.organization_id
    return is_of
