"""Conversations: create, list, retrieve, change, delete, fork, compile the prompt anew."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Response

from api.agents.new_agents import check_fallbacks, find_model
from api.agents.new_conversations import fork_conversation, start_conversation
from api.agents.prompts import recompile_prompt
from api.bodies import answer
from api.deps import (
    ActorDep,
    ConversationId,
    PartsDep,
    ReadsDep,
    ThreadDep,
    ThreadId,
    TransactionDep,
    thread_of,
)
from api.pagination import page_query
from api.wire.conversations import (
    AgentOfThreadBody,
    ConversationBody,
    CreateConversationBody,
    UpdateConversationBody,
)
from api.wire.llm import fallbacks_named
from o.ids import pattern
from o.storage.agents import conversations as stored
from o.storage.pages import Page

router = APIRouter(prefix="/conversations", tags=["conversations"])

SortKey = Literal["created_at", "last_run_completion", "last_message_at"]
OfAgent = Annotated[str, Query(alias="agent_id", pattern=pattern("agent"))]


@router.post(
    "/",
    operation_id="create_conversation",
    summary="Start a conversation with an agent",
    response_model=ConversationBody,
)
async def create(
    agent_id: OfAgent, body: CreateConversationBody, actor: ActorDep, parts: PartsDep
) -> Response:
    """Start a conversation with an agent, beside its own thread and its other conversations."""
    await check_fallbacks(fallbacks_named(body.model_settings), actor, parts.catalogue)
    model = None
    if body.model is not None:
        model = (await find_model(body.model, actor, parts.catalogue)).handle
    async with parts.database.begin() as connection:
        new_id = await start_conversation(connection, actor, agent_id, body, model=model)
        state = await stored.get_conversation_state(connection, actor, new_id)
    return answer(ConversationBody.of(state))


@router.get(
    "/",
    operation_id="list_conversations",
    summary="List conversations",
    response_model=list[ConversationBody],
)
async def index(
    connection: ReadsDep,
    actor: ActorDep,
    page: Annotated[Page, Depends(page_query(limit=50))],
    agent_id: str | None = None,
    summary_search: str | None = None,
    order_by: SortKey = "created_at",
) -> Response:
    """Conversations, the newest first unless asked otherwise."""
    wanted = stored.ConversationFilter(agent_id=agent_id, summary_search=summary_search)
    found = await stored.list_conversation_states(connection, actor, wanted, page, sort_by=order_by)
    return answer([ConversationBody.of(state) for state in found])


@router.get(
    "/{conversation_id}",
    operation_id="retrieve_conversation",
    summary="Retrieve a conversation",
    response_model=ConversationBody,
)
async def retrieve(
    conversation_id: ConversationId, connection: ReadsDep, actor: ActorDep
) -> Response:
    """One conversation."""
    state = await stored.get_conversation_state(connection, actor, conversation_id)
    return answer(ConversationBody.of(state))


@router.patch(
    "/{conversation_id}",
    operation_id="update_conversation",
    summary="Change a conversation",
    response_model=ConversationBody,
)
async def update(
    conversation_id: ConversationId,
    body: UpdateConversationBody,
    actor: ActorDep,
    parts: PartsDep,
) -> Response:
    """Change a conversation. Its next turn goes by what it is then."""
    await check_fallbacks(fallbacks_named(body.model_settings), actor, parts.catalogue)
    changes = body.changes()
    if body.model is not None:
        changes["model"] = (await find_model(body.model, actor, parts.catalogue)).handle
    async with parts.database.begin() as connection:
        await stored.change_conversation(connection, actor, conversation_id, changes)
        state = await stored.get_conversation_state(connection, actor, conversation_id)
    return answer(ConversationBody.of(state))


@router.delete(
    "/{conversation_id}", operation_id="delete_conversation", summary="Delete a conversation"
)
async def delete(
    conversation_id: ConversationId, connection: TransactionDep, actor: ActorDep
) -> None:
    """Delete a conversation with its history. Its workflow is closed a moment later."""
    await stored.mark_conversation_deleted(connection, actor, conversation_id)


@router.post(
    "/{conversation_id}/fork",
    operation_id="fork_conversation",
    summary="Fork a conversation",
    response_model=ConversationBody,
)
async def fork(thread: ThreadDep, connection: TransactionDep, actor: ActorDep) -> Response:
    """Start a conversation with a copy of what was said in another one, up to its last turn."""
    forked_id = await fork_conversation(connection, actor, thread)
    state = await stored.get_conversation_state(connection, actor, forked_id)
    return answer(ConversationBody.of(state))


@router.post(
    "/{conversation_id}/recompile",
    operation_id="recompile_conversation",
    summary="Compile a conversation's system prompt",
    response_model=str,
)
async def recompile(
    thread_id: ThreadId,
    connection: TransactionDep,
    actor: ActorDep,
    body: AgentOfThreadBody | None = None,
    dry_run: bool = False,
) -> Response:
    """Compile the system prompt, unless it shows memory as it is, and say it."""
    thread = thread_of(thread_id, body.agent_id if body else None)
    return answer(await recompile_prompt(connection, actor, thread, is_kept=not dry_run))
