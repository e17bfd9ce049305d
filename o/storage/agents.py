"""Questions about agents and their conversations."""

from typing import Any

from sqlalchemy import Select, and_, delete, func, insert, or_, select, update
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.actors import Actor
from o.domain.agents import Agent, Conversation
from o.errors import NotFound
from o.storage.rows import columns_of, model_of, models_of, row_of
from o.storage.tables import agents, conversations, messages


async def add_agent(connection: AsyncConnection, agent: Agent) -> None:
    """Store a new agent."""
    await connection.execute(insert(agents).values(row_of(agents, agent)))


async def add_conversation(connection: AsyncConnection, conversation: Conversation) -> None:
    """Store a new conversation."""
    await connection.execute(insert(conversations).values(row_of(conversations, conversation)))


async def get_agent(connection: AsyncConnection, actor: Actor, agent_id: str) -> Agent:
    """The agent by that id.

    Raises:
        NotFound: There is none for this actor.
    """
    rows = await connection.execute(_visible(actor).where(agents.c.id == agent_id))
    row = rows.mappings().one_or_none()
    if row is None:
        raise agent_not_found(agent_id)
    return model_of(Agent, row)


async def list_agents(
    connection: AsyncConnection,
    actor: Actor,
    *,
    name: str | None = None,
    tags: list[str] | None = None,
    match_all_tags: bool = False,
    query_text: str | None = None,
    before: str | None = None,
    after: str | None = None,
    limit: int = 50,
    ascending: bool = False,
) -> list[Agent]:
    """Agents by creation time; `after` continues behind that id in the order asked for.

    Raises:
        NotFound: The cursor names no agent of this actor.
    """
    question = _visible(actor)
    if name is not None:
        question = question.where(agents.c.name == name)
    if query_text:
        question = question.where(agents.c.name.icontains(query_text, autoescape=True))
    if tags:
        held = agents.c.tags.contains(tags) if match_all_tags else agents.c.tags.overlap(tags)
        question = question.where(held)
    for cursor, forward in ((after, ascending), (before, not ascending)):
        if cursor is not None:
            question = question.where(await _beyond(connection, actor, cursor, forward))
    keys = (agents.c.created_at, agents.c.id)
    if not ascending:
        question = question.order_by(*(key.desc() for key in keys))
    else:
        question = question.order_by(*keys)
    rows = await connection.execute(question.limit(limit))
    return models_of(Agent, rows.mappings().all())


async def context_message_ids(
    connection: AsyncConnection, agent_ids: list[str]
) -> dict[str, list[str]]:
    """For each agent, the ids of the messages in its own thread's context, oldest first."""
    rows = await connection.execute(
        select(
            conversations.c.agent_id,
            func.array_agg(aggregate_order_by(messages.c.id, messages.c.position)).label("ids"),
        )
        .join(messages, messages.c.conversation_id == conversations.c.id)
        .where(conversations.c.agent_id.in_(agent_ids), conversations.c.is_default)
        .group_by(conversations.c.agent_id)
    )
    return {row.agent_id: list(row.ids) for row in rows}


async def get_conversation(connection: AsyncConnection, conversation_id: str) -> Conversation:
    """The conversation by that id, for those who have it from a run.

    Raises:
        NotFound: It was deleted meanwhile.
    """
    rows = await connection.execute(
        select(*columns_of(conversations, Conversation)).where(
            conversations.c.id == conversation_id
        )
    )
    row = rows.mappings().one_or_none()
    if row is None:
        raise NotFound(f"Conversation with id {conversation_id} not found")
    return model_of(Conversation, row)


async def mark_agent_deleted(connection: AsyncConnection, actor: Actor, agent_id: str) -> None:
    """Hide the agent from every question; the sweeper closes its workflows and purges its rows.

    Raises:
        NotFound: There is none for this actor.
    """
    row = await connection.execute(
        update(agents)
        .where(
            agents.c.id == agent_id,
            agents.c.organization_id == actor.organization_id,
            agents.c.deleted_at.is_(None),
        )
        .values(deleted_at=func.now())
        .returning(agents.c.id)
    )
    if row.scalar_one_or_none() is None:
        raise agent_not_found(agent_id)


async def list_deleted_conversations(connection: AsyncConnection) -> list[tuple[str, str]]:
    """(agent id, conversation id) of agents that are marked deleted and still to be purged."""
    rows = await connection.execute(
        select(agents.c.id, conversations.c.id)
        .join(conversations, conversations.c.agent_id == agents.c.id)
        .where(agents.c.deleted_at.is_not(None))
    )
    return [(agent_id, conversation_id) for agent_id, conversation_id in rows]


async def purge_agent(connection: AsyncConnection, agent_id: str) -> None:
    """Remove a deleted agent with all that hangs on it; its blocks stay."""
    await connection.execute(
        delete(agents).where(agents.c.id == agent_id, agents.c.deleted_at.is_not(None))
    )


def _visible(actor: Actor) -> Select[Any]:
    return select(*columns_of(agents, Agent)).where(
        agents.c.organization_id == actor.organization_id, agents.c.deleted_at.is_(None)
    )


async def _beyond(connection: AsyncConnection, actor: Actor, cursor: str, forward: bool) -> Any:
    """The condition that an agent was created after the cursor's, or before it."""
    at = (await get_agent(connection, actor, cursor)).created_at
    created, tie = agents.c.created_at, agents.c.id
    if forward:
        return or_(created > at, and_(created == at, tie > cursor))
    return or_(created < at, and_(created == at, tie < cursor))


def agent_not_found(agent_id: str) -> NotFound:
    """What every question says about an agent that this actor does not have."""
    return NotFound(f"Agent with id {agent_id} not found")
