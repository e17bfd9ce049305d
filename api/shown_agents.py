"""Agents as answers, with what V1's `AgentState` shows beside each."""

from collections.abc import Sequence

from fastapi import Response
from sqlalchemy.ext.asyncio import AsyncConnection

from api.bodies import answer
from api.deps import Parts
from api.wire.agents import EVERYTHING, AgentBody, Relations
from o.domain.agents import AgentState
from o.domain.tool_variables import ToolVariable
from o.storage.agent_folders import folders_of_agents
from o.storage.groups import groups_managed_by
from o.storage.identity_links import identities_of_agents


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
    connection: AsyncConnection, parts: Parts, states: Sequence[AgentState], shown: Relations
) -> Response:
    """A list of agents."""
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
