"""Messages of a conversation: send, list, preview."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse

from api.bodies import messages_answer
from api.deps import ActorDep, PartsDep, ReadsDep, ThreadDep, ThreadId, thread_of
from api.documentation import ANSWER
from api.pagination import page_query
from api.turns.preview import preview_request
from api.turns.sending import answer_send
from api.wire.messages import V1_VIEW
from api.wire.shown import ShownMessage
from api.wire.turns import ConversationSendBody
from o.storage.agents.conversations import get_thread
from o.storage.history.messages import list_thread_messages
from o.storage.pages import Page

router = APIRouter(prefix="/conversations/{conversation_id}", tags=["conversations"])


@router.post(
    "/messages",
    operation_id="send_conversation_message",
    summary="Send messages to a conversation",
    response_model=None,
    responses=ANSWER,
)
async def send(
    thread_id: ThreadId,
    body: ConversationSendBody,
    request: Request,
    actor: ActorDep,
    parts: PartsDep,
) -> Response:
    """Send messages and stream what comes of them, or answer at the end without `streaming`."""
    thread = thread_of(thread_id, body.agent_id)
    return await answer_send(request, parts, actor, thread, body, streams=body.streaming)


@router.get(
    "/messages",
    operation_id="list_conversation_messages",
    summary="List the messages of a conversation",
    response_model=list[ShownMessage],
)
async def index(
    thread: ThreadDep,
    connection: ReadsDep,
    actor: ActorDep,
    page: Annotated[Page, Depends(page_query(limit=100))],
    group_id: str | None = None,
    include_return_message_types: Annotated[list[str] | None, Query()] = None,
) -> Response:
    """The conversation's messages, truly the newest first unless asked otherwise."""
    conversation = await get_thread(connection, actor, thread)
    found = await list_thread_messages(
        connection,
        actor,
        conversation.id,
        page,
        # No message belongs to a group: nothing runs groups.
        types=[] if group_id is not None else include_return_message_types,
        says=V1_VIEW.speaking_tool,
    )
    return messages_answer(
        found, types=include_return_message_types, newest_part_first=not page.ascending
    )


@router.post(
    "/messages/preview-raw-payload",
    operation_id="preview_conversation_model_request",
    summary="Show what a message would ask of a conversation's model",
    response_model=dict[str, Any],
)
async def preview(
    thread_id: ThreadId,
    body: ConversationSendBody,
    connection: ReadsDep,
    actor: ActorDep,
    parts: PartsDep,
) -> JSONResponse:
    """The request that this send would make of the model first; nothing is sent or stored."""
    thread = thread_of(thread_id, body.agent_id)
    return JSONResponse(await preview_request(connection, parts, actor, thread, body))
