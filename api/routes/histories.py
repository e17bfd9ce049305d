"""An agent's own history: its prompt compiled anew, its messages reset."""

from collections.abc import Sequence
from datetime import UTC, datetime

from fastapi import APIRouter, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from api.bodies import answer
from api.deps import ActorDep, AgentId, PartsDep, TransactionDep
from api.prompts import recompile_prompt
from api.wire.agent_requests import ResetMessagesBody
from api.wire.agents import AgentBody
from o.domain.actors import Actor
from o.domain.agents import AgentState, Thread
from o.domain.messages import InputMessage
from o.memory.initial_messages import first_messages
from o.memory.prompt import prompt_key
from o.storage.agents import get_agent_state
from o.storage.approvals import conversations_that_wait
from o.storage.conversations import get_thread
from o.storage.history_changes import reset_history
from o.storage.turn.cancelling import Scope, cancel_requests

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
    initial: list[InputMessage] | None = None if body.add_default_initial_messages else []
    state: AgentState | None = None
    while state is None:
        async with parts.database.begin() as connection:
            own = Scope(thread=Thread(agent_id=agent_id))
            cancelled = await cancel_requests(connection, actor, own)
            state = await _begin_anew(connection, actor, agent_id, initial)
        parts.turns.stop(cancelled)
    return answer(AgentBody.of(state))


async def _begin_anew(
    connection: AsyncConnection,
    actor: Actor,
    agent_id: str,
    initial: Sequence[InputMessage] | None,
) -> AgentState | None:
    """Reset the agent's own thread, unless a request came up while its lock was waited for.

    Requests are locked before conversations, so that one is to be cancelled in a transaction of
    its own.
    """
    thread = await get_thread(connection, actor, Thread(agent_id=agent_id), lock=True)
    if await conversations_that_wait(connection, [thread.id]):
        return None
    state = await get_agent_state(connection, actor, agent_id)
    first = first_messages(state.agent, thread, state.blocks, initial, datetime.now(UTC))
    key = prompt_key(state.agent, state.blocks)
    await reset_history(connection, thread, first, prompt_key=key)
    return await get_agent_state(connection, actor, agent_id)
