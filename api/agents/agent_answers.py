"""Agents as answers, with what V1's `AgentState` shows beside each."""

from collections.abc import Sequence
from functools import lru_cache

from fastapi import Response
from pydantic_core import to_json
from sqlalchemy.ext.asyncio import AsyncConnection

from api.bodies import answer
from api.deps import Parts
from api.wire.agents import EVERYTHING, AgentBody, Relations
from o.domain.actors import Actor
from o.domain.agents import AgentState
from o.domain.tool_variables import ToolVariable
from o.storage.agents.agents import AgentFilter, list_agent_states, state_of
from o.storage.agents.groups import groups_managed_by
from o.storage.agents.identity_links import identities_of_agents
from o.storage.files.agent_folders import folders_of_agents
from o.storage.pages import Page

_MOST_CHARS = 16_000
"""Of an agent as it is stored, whose answer is kept; so that all of them take a few megabytes."""


def stored_agent_answer(text: str, agent_id: str, shown: Relations) -> Response:
    """One agent with nothing but what is read of it in one statement.

    Agents are asked for far more often than they change, so the answer is kept by the text that it
    is made from, and made anew when that is another one.

    Raises:
        Unreadable: It is stored, and cannot be read.
    """
    made = _kept_body if len(text) <= _MOST_CHARS else _body
    return Response(made(text, agent_id, shown), media_type="application/json")


def _body(text: str, agent_id: str, shown: Relations) -> bytes:
    return to_json(AgentBody.of(state_of(text, agent_id), shown))


_kept_body = lru_cache(maxsize=256)(_body)


async def agent_answer(
    connection: AsyncConnection,
    state: AgentState,
    shown: Relations = EVERYTHING,
    variables: Sequence[ToolVariable] = (),
) -> Response:
    """One agent; `variables` are those of its tools, where they are to be shown."""
    bodies = await agent_bodies(connection, [state], shown, {state.agent.id: variables})
    return answer(bodies[0])


async def agents_answer(
    connection: AsyncConnection,
    parts: Parts,
    actor: Actor,
    wanted: AgentFilter,
    page: Page,
    shown: Relations,
    *,
    sort_by: str = "created_at",
) -> Response:
    """A page of agents; see `list_agent_states`."""
    states = await list_agent_states(
        connection,
        actor,
        wanted,
        page,
        sort_by=sort_by,
        with_blocks=shown.blocks,
        with_tools=shown.tools,
    )
    variables: dict[str, list[ToolVariable]] = {}
    if shown.secrets and states:
        variables = await parts.variables.of_agents(connection, [one.agent.id for one in states])
    return answer(await agent_bodies(connection, states, shown, variables))


async def agent_bodies(
    connection: AsyncConnection,
    states: Sequence[AgentState],
    shown: Relations,
    variables: dict[str, Sequence[ToolVariable]] | dict[str, list[ToolVariable]],
) -> list[AgentBody]:
    """Each agent as V1 shows it: one question for each kind of thing that is to be shown."""
    ids = [state.agent.id for state in states]
    identities = await identities_of_agents(connection, ids) if ids and shown.identities else {}
    groups = await groups_managed_by(connection, ids) if ids and shown.groups else {}
    folders = await folders_of_agents(connection, ids) if ids and shown.sources else {}
    return [
        AgentBody.of(
            state,
            shown,
            variables.get(state.agent.id, ()),
            identities=identities.get(state.agent.id, ()),
            group=groups.get(state.agent.id),
            folders=folders.get(state.agent.id, ()),
        )
        for state in states
    ]
