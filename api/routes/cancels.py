"""Cancelling runs: of an agent, of a conversation, or those that are named."""

from fastapi import APIRouter

from api.deps import ActorDep, AgentId, PartsDep, ThreadDep
from api.wire.fields import RequestBody, Several, Text, with_example
from o.storage.turn.cancelling import Scope

router = APIRouter()


class CancelBody(RequestBody):
    """V1's `CancelAgentRunRequest`."""

    model_config = with_example()

    run_ids: Several[Text] | None = None


@router.post(
    "/agents/{agent_id}/messages/cancel",
    operation_id="cancel_message",
    summary="Cancel the runs of an agent",
    tags=["agents"],
)
async def cancel_agent_runs(
    agent_id: AgentId, actor: ActorDep, parts: PartsDep, body: CancelBody | None = None
) -> dict[str, str]:
    """Cancel what the agent does and what it waits for, in all its conversations.

    Run id to `cancelled`, or to `failed` where a run that was named is finished already. 409 when
    nothing is named and there is nothing to cancel.
    """
    run_ids = body.run_ids if body else None
    return await parts.turns.cancel(actor, Scope(agent_id=agent_id, run_ids=run_ids or None))


@router.post(
    "/conversations/{conversation_id}/cancel",
    operation_id="cancel_conversation",
    summary="Cancel the runs of a conversation",
    tags=["conversations"],
)
async def cancel_conversation_runs(
    thread: ThreadDep, actor: ActorDep, parts: PartsDep
) -> dict[str, str]:
    """Cancel what is under way in a conversation and what waits. 409 when nothing does."""
    return await parts.turns.cancel(actor, Scope(thread=thread))
