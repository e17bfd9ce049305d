"""Searching messages by what they say."""

from fastapi import APIRouter, Response

from api.bodies import answer
from api.deps import ActorDep, Parts, PartsDep
from api.search_headers import with_search_headers
from api.wire.searches import (
    MessageListResultBody,
    MessageSearchResultBody,
    SearchAllMessagesBody,
    SearchMessagesBody,
    mode_of,
)
from o.domain.actors import Actor
from o.storage.search.messages import FoundMessage
from o.storage.search.recall import MessageQuery
from o.storage.search.results import Results

router = APIRouter()


@router.post(
    "/messages/search",
    operation_id="search_all_messages",
    summary="Search messages",
    tags=["messages"],
    response_model=list[MessageListResultBody],
)
async def search_all(body: SearchAllMessagesBody, parts: PartsDep, actor: ActorDep) -> Response:
    """What users and agents said in all conversations, the best first."""
    results = await _results(parts, actor, body)
    found = answer([MessageListResultBody.of(one.message) for one in results.found])
    return with_search_headers(found, results)


@router.post(
    "/agents/messages/search",
    operation_id="search_messages",
    summary="Search messages, with their ranks",
    tags=["agents"],
    response_model=list[MessageSearchResultBody],
)
async def search(body: SearchMessagesBody, parts: PartsDep, actor: ActorDep) -> Response:
    """The same by role, and without a query too; each result says where the search had it."""
    results = await _results(parts, actor, body)
    return with_search_headers(
        answer([MessageSearchResultBody.of(one) for one in results.found]), results
    )


async def _results(
    parts: Parts, actor: Actor, body: SearchAllMessagesBody
) -> Results[FoundMessage]:
    asked = MessageQuery(body.query or "", body.limit, body.wanted(), mode_of(body.search_mode))
    return await parts.message_search.search(actor.organization_id, asked)
