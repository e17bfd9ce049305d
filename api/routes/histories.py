"""An agent's own history: its prompt compiled anew, its messages reset or summed up."""

from datetime import UTC, datetime

from fastapi import APIRouter, Response

from api.bodies import answer
from api.deps import ActorDep, AgentId, PartsDep, ReadsDep, TransactionDep
from api.prompts import recompile_prompt
from api.wire.agent_requests import ResetMessagesBody
from api.wire.agents import AgentBody
from o.domain.agents import Thread
from o.domain.messages import InputMessage
from o.errors import InvalidArgument
from o.memory.initial_messages import first_messages
from o.memory.prompt import prompt_key
from o.storage.agents import get_agent, get_agent_state
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
    own = Thread(agent_id=agent_id)
    initial: list[InputMessage] | None = None if body.add_default_initial_messages else []
    async with parts.database.begin() as connection:
        cancelled = await cancel_requests(connection, actor, Scope(thread=own))
        thread = await get_thread(connection, actor, own, lock=True)
        # A request may have come up while the lock was waited for; now none can.
        late = await cancel_requests(connection, actor, Scope(thread=own))
        state = await get_agent_state(connection, actor, agent_id)
        first = first_messages(state.agent, thread, state.blocks, initial, datetime.now(UTC))
        key = prompt_key(state.agent, state.blocks)
        await reset_history(connection, thread, first, prompt_key=key)
        state = await get_agent_state(connection, actor, agent_id)
    parts.turns.stop(cancelled)
    parts.turns.stop(late)
    return answer(AgentBody.of(state))


@router.post(
    "/summarize",
    operation_id="summarize_messages",
    summary="Compact the messages of an agent (not yet)",
    response_model=None,
)
async def summarize(agent_id: AgentId, connection: ReadsDep, actor: ActorDep) -> None:
    """Nothing can be compacted yet: 400, as V1 answers when a summary saves nothing."""
    await get_agent(connection, actor, agent_id)
    raise InvalidArgument("INVALID_ARGUMENT: there is nothing to compact in this agent's thread")
