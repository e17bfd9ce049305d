"""Batches: many sends that are accepted together or not at all, and cancelled together."""

import hashlib

from fastapi import Request

from api.deps import Parts
from api.turns.sending import check_callback, is_retry
from api.turns.turns import refuse_more
from api.wire.batches import CreateBatchBody
from o.domain.actors import Actor
from o.domain.batches import Batch
from o.errors import InvalidInput, NotFound
from o.ids import derived_id, new_id, request_key
from o.storage.batches import (
    NewBatch,
    find_batch,
    find_repeated_batch,
    lock_equal_batches,
    note_cancelled,
    store_batch,
)
from o.storage.database import with_patience
from o.storage.turn.accepting import NewRun, has_open_runs
from o.storage.turn.cancelling import Scope, cancel_runs
from o.storage.turn.runs import RunOfAgent


async def accept_batch(
    request: Request, parts: Parts, actor: Actor, body: CreateBatchBody
) -> Batch:
    """Store a run for each request, all of them or none, and answer with the batch at once.

    From the moment it is stored, each run is carried out whatever dies, as with `Turns.send`.

    Raises:
        HTTPException: 403, a tool names an address.
        NotFound: There is no such agent or model; like the others, it says in which request.
        InvalidInput: There are more requests than may be, or O may not post to `callback_url`.
        Conflict: An agent waits for approval or is busy, or an `otid` was used before.
        TooMany: With these, more runs of this user would be open than may be.
        Unavailable: There is no room on the disk for what would come of it.
    """
    most = parts.settings.user_queue_limit
    if most is not None and len(body.requests) > most:
        raise InvalidInput(f"a batch has at most {most} requests here (O_USER_QUEUE_LIMIT)")
    await check_callback(request, parts, body.callback_url)
    new = await _new_batch(parts, actor, body, await request.body())
    parts.database.check_room()
    batch, accepted = await with_patience(
        lambda: _store(parts, actor, new, is_retry=is_retry(request)),
        patience_s=parts.settings.database_patience_s,
    )
    parts.turns.hand_over(accepted)
    return batch


async def cancel_batch(parts: Parts, actor: Actor, batch_id: str) -> Batch:
    """Cancel what is open of a batch; where nothing is, the batch stays as it is.

    Raises:
        NotFound: There is no such batch for this actor.
    """
    async with parts.database.begin() as connection:
        batch = await find_batch(connection, actor, batch_id)
        cancelled = await cancel_runs(connection, actor, Scope(among=batch.run_ids))
        if cancelled.results:
            await note_cancelled(connection, batch_id)
            batch = await find_batch(connection, actor, batch_id)
    parts.turns.stop(cancelled)
    return batch


async def _new_batch(parts: Parts, actor: Actor, body: CreateBatchBody, content: bytes) -> NewBatch:
    batch_id, body_hash = new_id("job"), hashlib.sha256(content).hexdigest()
    models: dict[str, str] = {}
    asked: list[tuple[str, NewRun]] = []
    for place, one in enumerate(body.requests):
        run_id, otids = derived_id("run", batch_id, place), one.otids()
        options = one.to_options(streams=False)
        if (handle := one.override_model) is not None:
            if handle not in models:
                models[handle] = await _known_model(parts, actor, handle, place)
            options = options.model_copy(update={"override_model": models[handle]})
        key = request_key(otids) if otids else run_id
        asked.append((one.agent_id, NewRun(run_id, key, body_hash, one.to_input(), options)))
    has_keys = any(one.otids() for one in body.requests)
    return NewBatch(batch_id, body_hash, asked, has_keys, body.callback_url)


async def _known_model(parts: Parts, actor: Actor, handle: str, place: int) -> str:
    """The handle of a model that is there, for the request at a place of a batch."""
    try:
        return (await parts.catalogue.get(handle, actor.organization_id)).handle
    except NotFound as error:
        raise NotFound(f"requests[{place}]: {error.message}") from None


async def _store(
    parts: Parts, actor: Actor, new: NewBatch, *, is_retry: bool
) -> tuple[Batch, list[RunOfAgent]]:
    """The batch, with its runs where it is stored now, and is not the repeat of one that was."""
    most = parts.settings.user_queue_limit
    async with parts.database.begin() as connection:
        await lock_equal_batches(connection, actor, new.body_hash)
        repeated = await find_repeated_batch(connection, actor, new, is_retry=is_retry)
        if repeated is not None:
            return repeated, []
        if most is not None and await has_open_runs(connection, actor, most - len(new.runs) + 1):
            refuse_more(most)
        most_open = parts.settings.queue_limit + 1  # one at work, and those that wait
        accepted = await store_batch(connection, actor, new, most_open=most_open)
        return await find_batch(connection, actor, new.id), accepted
