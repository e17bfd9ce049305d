"""Messages: send one and wait, send one and stream, list them."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from fastapi.responses import JSONResponse

from api.bodies import messages_answer
from api.deps import ActorDep, AgentId, CurrentClientDep, PartsDep, ReadsDep
from api.documentation import ANSWER, REFUSED, STREAM
from api.pagination import page_query
from api.turns.preview import preview_request
from api.turns.sending import accept_send, answer_send
from api.wire.callbacks import AsyncBody
from api.wire.messages import MessageView
from api.wire.runs import RunBody
from api.wire.shown import ShownMessage
from api.wire.turns import SendBody
from o.domain.agents import Thread
from o.errors import InvalidInput
from o.storage.history.pages import list_agent_messages
from o.storage.pages import Page

router = APIRouter(prefix="/agents/{agent_id}/messages", tags=["agents"])

_OLD_CLIENT = (
    "streaming: true is taken here from Letta's clients of release 1.0 or later alone. Send the "
    "same body to /v1/agents/{agent_id}/messages/stream instead"
)


@router.post(
    "",
    operation_id="send_message",
    summary="Send messages to an agent",
    response_model=None,
    responses=ANSWER,
)
async def send(
    agent_id: AgentId,
    body: SendBody,
    request: Request,
    actor: ActorDep,
    parts: PartsDep,
    current_client: CurrentClientDep,
) -> Response:
    """Send messages and answer when the run is finished, or stream it with `streaming`."""
    if body.streaming and not current_client:
        raise InvalidInput(_OLD_CLIENT)
    if not body.streaming and (body.stream_tokens or body.background or not body.include_pings):
        raise InvalidInput("stream_tokens, background and include_pings need streaming")
    thread = Thread(agent_id=agent_id)
    return await answer_send(request, parts, actor, thread, body, streams=body.streaming)


@router.post(
    "/stream",
    operation_id="create_agent_message_stream",
    summary="Send messages to an agent and stream the answer",
    response_model=None,
    responses=STREAM,
)
async def stream(
    agent_id: AgentId, body: SendBody, request: Request, actor: ActorDep, parts: PartsDep
) -> Response:
    """Send messages and stream what comes of them: whole messages, or tokens."""
    thread = Thread(agent_id=agent_id)
    return await answer_send(request, parts, actor, thread, body, streams=True)


@router.post(
    "/async",
    operation_id="create_agent_message_async",
    summary="Send messages to an agent and answer at once",
)
async def send_async(
    agent_id: AgentId, body: AsyncBody, request: Request, actor: ActorDep, parts: PartsDep
) -> RunBody:
    """Send messages and answer with the run at once; `callback_url` is told how it ended."""
    run = await accept_send(request, parts, actor, Thread(agent_id=agent_id), body)
    return RunBody.of(run)


@router.post(
    "/preview-raw-payload",
    operation_id="preview_model_request",
    summary="Show what a message would ask of the model",
    response_model=dict[str, Any],
)
async def preview(
    agent_id: AgentId, body: SendBody, connection: ReadsDep, actor: ActorDep, parts: PartsDep
) -> JSONResponse:
    """The request that this send would make of the model first; nothing is sent or stored."""
    thread = Thread(agent_id=agent_id)
    return JSONResponse(await preview_request(connection, parts, actor, thread, body))


@router.get(
    "",
    operation_id="list_messages",
    summary="List the messages of an agent",
    response_model=list[ShownMessage],
)
async def index(
    agent_id: AgentId,
    connection: ReadsDep,
    actor: ActorDep,
    page: Annotated[Page, Depends(page_query(limit=100))],
    conversation_id: str | None = None,
    group_id: str | None = None,
    include_return_message_types: Annotated[list[str] | None, Query()] = None,
    use_assistant_message: bool = True,
    assistant_message_tool_name: str = "send_message",
    assistant_message_tool_kwarg: str = "message",
) -> Response:
    """The agent's messages. With `desc` the newest `limit`, oldest first, as V1 answers."""
    view = MessageView(
        use_assistant_message, assistant_message_tool_name, assistant_message_tool_kwarg
    )
    found = await list_agent_messages(
        connection,
        actor,
        agent_id,
        page,
        conversation_id=conversation_id,
        # No message belongs to a group: nothing runs groups.
        types=[] if group_id is not None else include_return_message_types,
        says=view.speaking_tool,
    )
    return messages_answer(found, view=view, types=include_return_message_types)


@router.patch(
    "/{message_id}",
    operation_id="modify_message",
    summary="Change a message (always refused)",
    status_code=405,
    responses=REFUSED,
)
async def modify(agent_id: AgentId, message_id: str) -> None:
    """V1 keeps this route and refuses every change: messages are immutable."""
    raise HTTPException(405, "Messages cannot be modified", headers={"allow": "GET, POST"})
