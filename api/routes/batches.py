"""Batches: many messages accepted at once, polled until their runs are finished, read together."""

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from api.deps import ActorDep, BatchId, PartsDep, ReadsDep
from api.pagination import page_query
from api.turns.batches import accept_batch, cancel_batch
from api.wire.batches import BatchBody, BatchMessagesBody, CreateBatchBody
from api.wire.context import ContextMessageBody
from o.storage.batches import find_batch, list_batch_messages, list_batches
from o.storage.pages import Page

router = APIRouter(prefix="/messages/batches", tags=["messages"])


@router.post("", operation_id="create_batch", summary="Send messages to many agents at once")
async def create(
    body: CreateBatchBody, request: Request, actor: ActorDep, parts: PartsDep
) -> BatchBody:
    """Each request becomes a run in the background of its agent: all of them, or none.

    Those of one agent have their turns in the order of the batch.
    """
    return BatchBody.of(await accept_batch(request, parts, actor, body))


@router.get("", operation_id="list_batches", summary="List batches")
async def index(
    connection: ReadsDep,
    actor: ActorDep,
    page: Annotated[Page, Depends(page_query(limit=100, most=1_000))],
) -> list[BatchBody]:
    """Batches by the time they were asked for, the newest first unless asked otherwise."""
    found = await list_batches(connection, actor, page)
    return [BatchBody.of(batch, names_runs=False) for batch in found]


@router.get("/{batch_id}", operation_id="retrieve_batch", summary="Retrieve a batch")
async def retrieve(batch_id: BatchId, connection: ReadsDep, actor: ActorDep) -> BatchBody:
    """How a batch stands: what its runs say, each of which is one of `/v1/runs`."""
    return BatchBody.of(await find_batch(connection, actor, batch_id))


@router.patch("/{batch_id}/cancel", operation_id="cancel_batch", summary="Cancel a batch")
async def cancel(batch_id: BatchId, actor: ActorDep, parts: PartsDep) -> BatchBody:
    """Cancel all its runs that are open, and what they wait for; what is finished stays.

    A repeat changes nothing.
    """
    return BatchBody.of(await cancel_batch(parts, actor, batch_id))


@router.get(
    "/{batch_id}/messages",
    operation_id="list_messages_for_batch",
    summary="List the messages of a batch",
)
async def messages(
    batch_id: BatchId,
    connection: ReadsDep,
    actor: ActorDep,
    page: Annotated[Page, Depends(page_query(limit=100, most=1_000))],
    agent_id: str | None = None,
    cursor: Annotated[str | None, Query(deprecated=True)] = None,
    sort_descending: Annotated[bool, Query(deprecated=True)] = True,
) -> BatchMessagesBody:
    """What was answered so far, replies and what tools returned, the newest first.

    Older clients say `cursor` for `after`, and `sort_descending` for the order.
    """
    page = replace(
        page, after=page.after or cursor, ascending=page.ascending or not sort_descending
    )
    batch = await find_batch(connection, actor, batch_id)
    found = await list_batch_messages(connection, actor, batch, page, agent_id)
    return BatchMessagesBody(messages=[ContextMessageBody.of(message) for message in found])
