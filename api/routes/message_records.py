"""Messages wherever they are: one by its id, and those of all agents together."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from api.bodies import messages_answer
from api.deps import ActorDep, MessageId, ReadsDep
from api.pagination import page_query
from api.wire.messages import V1_VIEW
from api.wire.shown import ShownMessage
from o.storage.history.all_messages import find_message, list_all_messages
from o.storage.pages import Page

router = APIRouter(prefix="/messages", tags=["messages"])


@router.get(
    "/",
    operation_id="list_all_messages",
    summary="List the messages of all agents",
    response_model=list[ShownMessage],
)
async def index(
    connection: ReadsDep,
    actor: ActorDep,
    page: Annotated[Page, Depends(page_query(limit=100))],
    conversation_id: str | None = None,
    include_return_message_types: Annotated[list[str] | None, Query()] = None,
) -> Response:
    """The messages of all agents, the newest first unless asked otherwise."""
    found = await list_all_messages(
        connection,
        actor,
        page,
        conversation_id=conversation_id,
        types=include_return_message_types,
        says=V1_VIEW.speaking_tool,
    )
    return messages_answer(found, types=include_return_message_types)


@router.get(
    "/{message_id}",
    operation_id="retrieve_message",
    summary="Retrieve a message",
    response_model=list[ShownMessage],
)
async def retrieve(message_id: MessageId, connection: ReadsDep, actor: ActorDep) -> Response:
    """One stored message, as the list of messages that it is shown as."""
    return messages_answer([await find_message(connection, actor, message_id)])
