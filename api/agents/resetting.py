"""An agent's own thread, begun anew."""

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from api.deps import Parts
from o.domain.actors import Actor
from o.domain.agents import AgentState, Thread
from o.domain.messages import InputMessage
from o.memory.initial_messages import first_messages
from o.memory.prompt import prompt_key
from o.storage.agents.agents import get_agent_state
from o.storage.agents.conversations import get_thread
from o.storage.approvals import conversations_that_wait
from o.storage.files.directories import read_directories
from o.storage.history.changes import reset_history
from o.storage.organizations.audit import put_on_record
from o.storage.turn.cancelling import Scope, cancel_requests


async def reset_own_thread(
    parts: Parts, actor: Actor, agent_id: str, *, with_initial: bool = False
) -> AgentState:
    """Delete the messages of the agent's own thread; the system message is compiled anew.

    A run that is open keeps what it has said, and goes on; an approval request is cancelled.

    Args:
        parts: Whose database is meant, and whose workflows are told.
        actor: Whose agent it must be.
        agent_id: Which.
        with_initial: Whether the first messages of an agent of its type are put back.

    Raises:
        NotFound: There is no such agent for this actor.
    """
    initial: list[InputMessage] | None = None if with_initial else []
    state: AgentState | None = None
    while state is None:
        async with parts.database.begin() as connection:
            own = Scope(thread=Thread(agent_id=agent_id))
            cancelled = await cancel_requests(connection, actor, own)
            state = await _begin_anew(connection, actor, agent_id, initial)
        parts.turns.stop(cancelled)
    return state


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
    directories, files = await read_directories(connection, state.agent)
    now = datetime.now(UTC)
    first = first_messages(state.agent, thread, state.blocks, initial, now, directories)
    key = prompt_key(state.agent, state.blocks, files)
    await reset_history(connection, thread, first, prompt_key=key)
    await put_on_record(connection, actor, "reset_messages", agent_id)
    return await get_agent_state(connection, actor, agent_id)
