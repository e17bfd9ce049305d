"""An agent's own history: its prompt compiled anew, its messages reset."""

from fastapi import APIRouter, Response

from api.agents.agent_answers import agent_answer
from api.agents.prompts import recompile_prompt
from api.agents.resetting import reset_own_thread
from api.bodies import answer
from api.deps import ActorDep, AgentId, PartsDep, TransactionDep
from api.wire.agent_requests import ResetMessagesBody
from api.wire.agents import AgentBody
from o.domain.agents import Thread

router = APIRouter(prefix="/agents/{agent_id}", tags=["agents"])


@router.post(
    "/recompile",
    operation_id="recompile_agent",
    summary="Compile an agent's system prompt",
    response_model=str,
)
@router.post(
    "/system-prompt/recompile",
    operation_id="recompile_system_prompt",
    summary="Compile an agent's system prompt, by its older address",
    deprecated=True,
    response_model=str,
)
async def recompile(
    agent_id: AgentId,
    connection: TransactionDep,
    actor: ActorDep,
    update_timestamp: bool = False,
    dry_run: bool = False,
) -> Response:
    """Compile the system prompt of the agent's own thread, and say it.

    A prompt that shows memory as it is stays as it is to the byte, unless `update_timestamp`
    asks for one with the time and the counts of now.
    """
    thread = Thread(agent_id=agent_id)
    return answer(
        await recompile_prompt(
            connection, actor, thread, is_due=update_timestamp, is_kept=not dry_run
        )
    )


@router.patch(
    "/reset-messages",
    operation_id="reset_messages",
    summary="Reset the messages of an agent",
    response_model=AgentBody,
)
async def reset(
    agent_id: AgentId, body: ResetMessagesBody, actor: ActorDep, parts: PartsDep
) -> Response:
    """Delete the messages of the agent's own thread; the system message is compiled anew.

    A run that is open keeps what it has said, and goes on; an approval request is cancelled.
    """
    state = await reset_own_thread(
        parts, actor, agent_id, with_initial=body.add_default_initial_messages
    )
    async with parts.database.connect() as connection:
        return await agent_answer(connection, state)
