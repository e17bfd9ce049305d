"""Compacting histories: of an agent's own thread, and of conversations."""

from fastapi import APIRouter, Response

from api.agents.compacting import compact_thread
from api.bodies import answer
from api.deps import ActorDep, AgentId, PartsDep, ThreadId, thread_of
from api.wire.compaction import CompactionBody, CompactionRequestBody, ThreadCompactionBody
from o.domain.agents import Thread

router = APIRouter()


@router.post(
    "/agents/{agent_id}/summarize",
    operation_id="summarize_messages",
    summary="Compact an agent's history",
    response_model=CompactionBody,
    tags=["agents"],
)
async def summarize(
    agent_id: AgentId,
    actor: ActorDep,
    parts: PartsDep,
    body: CompactionRequestBody | None = None,
) -> Response:
    """Put a summary in the place of the older part of the agent's own thread.

    The messages stay where they are, in lists and for searches; the model is shown the summary.
    """
    return answer(await compact_thread(parts, actor, Thread(agent_id=agent_id), body))


@router.post(
    "/conversations/{conversation_id}/compact",
    operation_id="compact_conversation",
    summary="Compact a conversation's history",
    response_model=CompactionBody,
    tags=["conversations"],
)
async def compact(
    thread_id: ThreadId,
    actor: ActorDep,
    parts: PartsDep,
    body: ThreadCompactionBody | None = None,
) -> Response:
    """Put a summary in the place of the older part of a conversation."""
    thread = thread_of(thread_id, body.agent_id if body else None)
    return answer(await compact_thread(parts, actor, thread, body))
