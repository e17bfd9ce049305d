"""Statements about agents and their conversations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Select,
    Text,
    and_,
    any_,
    bindparam,
    exists,
    func,
    insert,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.actors import Actor
from o.domain.agents import Agent, AgentState, Conversation, Thread
from o.errors import NotFound
from o.storage.agents.identity_links import AGENTS, identity_conditions
from o.storage.deleted_rows import deleted_by_time
from o.storage.history.context_windows import WINDOW_IDS
from o.storage.pages import Page, page_of_rows
from o.storage.rows import columns_of, model_of, model_of_json, readable, row_of
from o.storage.shared_reads import SharedReads
from o.storage.tables.core import agent_blocks, agents, conversations
from o.storage.tables.memory import agent_archives
from o.storage.tools.agent_tools import SHOWN_TOOLS

_SORT_KEYS: dict[str, ColumnElement[Any]] = {
    "created_at": agents.c.created_at,
    "updated_at": agents.c.updated_at,
    # Those that have never run come as the oldest.
    "last_run_completion": func.coalesce(agents.c.last_run_completion, func.to_timestamp(0)),
}

# An agent with what is shown beside it, as JSON that becomes a model without a detour.
_MESSAGE_IDS = f"""coalesce((
    SELECT {WINDOW_IDS}
    FROM conversations
    WHERE conversations.agent_id = agents.id AND conversations.is_default
), '[]')"""  # noqa: S608
_BLOCKS = """(
    SELECT coalesce(jsonb_agg(to_jsonb(blocks) ORDER BY held.position, held.label), '[]')
    FROM agent_blocks AS held JOIN blocks ON blocks.id = held.block_id
    WHERE held.agent_id = agents.id
)"""

SHOWN_REQUEST = """
    SELECT jsonb_build_object('message', to_jsonb(messages), 'decisions', approvals.decisions)
    FROM approvals JOIN messages ON messages.id = approvals.id
"""
"""The beginning of a question for a `PendingApproval`, as JSON."""

_PENDING = f"""({SHOWN_REQUEST}
    JOIN conversations ON conversations.id = approvals.conversation_id
    WHERE approvals.agent_id = agents.id AND approvals.status = 'pending'
      AND conversations.deleted_at IS NULL
    ORDER BY conversations.is_default DESC, approvals.created_at LIMIT 1
)"""


def _states(*, with_blocks: bool, with_tools: bool) -> Select[Any]:
    blocks = _BLOCKS if with_blocks else "'[]'::jsonb"
    tools = SHOWN_TOOLS if with_tools else "'[]'::json"
    state: ColumnElement[str] = literal_column(  # `json`, because it keeps the order of schemas
        "json_build_object('agent', to_jsonb(agents), 'message_ids', "
        f"{_MESSAGE_IDS}, 'blocks', {blocks}, 'tools', {tools}, 'pending', {_PENDING})::text"
    )
    statement = select(state.label("state"), agents.c.id).select_from(agents)
    return statement.where(agents.c.deleted_at.is_(None))


# Made once: to put a statement together costs more than to read the answer.
_STATES = {
    (with_blocks, with_tools): _states(with_blocks=with_blocks, with_tools=with_tools)
    for with_blocks in (True, False)
    for with_tools in (True, False)
}
_STATE = {
    shown: statement.where(
        agents.c.id == any_(bindparam("ids", type_=ARRAY(Text))),
        agents.c.organization_id == bindparam("organization_id"),
    )
    for shown, statement in _STATES.items()
}


@dataclass(frozen=True)
class AgentFilter:
    """Which agents a list or a count is about; None leaves a criterion out.

    Attributes:
        query_text: What the name must hold, upper and lower case alike.
        identity_id: Only agents that have this identity.
        identifier_keys: Only agents that have an identity by one of these keys.
        with_hidden: Whether hidden agents are among them.
        block_id: Only agents that have this block.
        archive_id: Only agents that have this archive.
    """

    name: str | None = None
    tags: Sequence[str] | None = None
    match_all_tags: bool = False
    query_text: str | None = None
    project_id: str | None = None
    template_id: str | None = None
    base_template_id: str | None = None
    last_stop_reason: str | None = None
    created_by_id: str | None = None
    identity_id: str | None = None
    identifier_keys: Sequence[str] | None = None
    with_hidden: bool = False
    block_id: str | None = None
    archive_id: str | None = None


@dataclass(frozen=True)
class NamedAgent:
    """What a list needs that only offers agents."""

    id: str
    name: str
    created_at: datetime


async def add_agent(connection: AsyncConnection, agent: Agent) -> None:
    """Store a new agent."""
    await connection.execute(insert(agents).values(row_of(agents, agent)))


async def add_conversation(connection: AsyncConnection, conversation: Conversation) -> None:
    """Store a new conversation."""
    await connection.execute(insert(conversations).values(row_of(conversations, conversation)))


async def get_agent(
    connection: AsyncConnection, actor: Actor, agent_id: str, *, lock: bool = False
) -> Agent:
    """The agent by that id; with `lock`, nobody else changes it in this transaction.

    Raises:
        NotFound: There is none for this actor.
    """
    statement = select(*columns_of(agents, Agent)).where(_visible(actor), agents.c.id == agent_id)
    rows = await connection.execute(
        statement.with_for_update(key_share=True) if lock else statement
    )
    row = rows.mappings().one_or_none()
    if row is None:
        raise agent_not_found(agent_id)
    return model_of(Agent, row)


async def lock_agents(
    connection: AsyncConnection, actor: Actor, agent_ids: Sequence[str]
) -> list[str]:
    """See that these agents are there; nobody else changes them in this transaction.

    Returns:
        Their ids in the order given, each once.

    Raises:
        NotFound: One of them is not there for this actor.
    """
    ids = list(dict.fromkeys(agent_ids))
    if not ids:
        return []
    rows = await connection.execute(
        select(agents.c.id)
        .where(_visible(actor), agents.c.id.in_(ids))
        .order_by(agents.c.id)
        .with_for_update(key_share=True)
    )
    found = set(rows.scalars())
    for agent_id in ids:
        if agent_id not in found:
            raise agent_not_found(agent_id)
    return ids


async def get_agent_state(connection: AsyncConnection, actor: Actor, agent_id: str) -> AgentState:
    """The agent by that id, with what is shown beside it, in one statement.

    Raises:
        NotFound: There is none for this actor.
    """
    rows = await connection.execute(
        _STATE[True, True], {"ids": [agent_id], "organization_id": actor.organization_id}
    )
    return state_of(_text_of(rows.one_or_none(), agent_id), agent_id)


async def read_agent_state(
    reads: SharedReads, actor: Actor, agent_id: str, *, with_blocks: bool, with_tools: bool
) -> str:
    """The same outside of a transaction, in a statement that others may share.

    Returns:
        What `state_of` reads: equal texts are equal agents.

    Raises:
        NotFound: There is none for this actor.
    """
    statement = _STATE[with_blocks, with_tools]
    return _text_of(await reads.row(statement, actor.organization_id, agent_id), agent_id)


def state_of(text: str, agent_id: str) -> AgentState:
    """The agent by that id, as it was read.

    Raises:
        Unreadable: It is stored, and cannot be read.
    """
    return model_of_json(AgentState, text, agent_id)


def _text_of(row: Any, agent_id: str) -> str:
    if row is None:
        raise agent_not_found(agent_id)
    text: str = row.state
    return text


async def list_agent_states(
    connection: AsyncConnection,
    actor: Actor,
    wanted: AgentFilter,
    page: Page,
    *,
    sort_by: str = "created_at",
    with_blocks: bool = True,
    with_tools: bool = True,
) -> list[AgentState]:
    """A page of agents, with what is shown beside each.

    Args:
        connection: Any.
        actor: Whose agents.
        wanted: Which of them.
        page: Which part of the list.
        sort_by: `created_at`, `updated_at` or `last_run_completion`.
        with_blocks: Whether their blocks are read.
        with_tools: Whether those of their tools are read that are rows.

    Raises:
        NotFound: A cursor names no agent of this actor.
    """
    statement = await page_of_rows(
        connection,
        _STATES[with_blocks, with_tools].where(_visible(actor), *_conditions(wanted)),
        page,
        (_SORT_KEYS[sort_by], agents.c.id),
        id_=agents.c.id,
        among=agents.c.organization_id == actor.organization_id,
        deleted=lambda: deleted_by_time(agents, actor, sort_by),
    )
    found = await connection.execute(statement)
    return readable(found, lambda row: model_of_json(AgentState, row.state, row.id))


async def list_named_agents(
    connection: AsyncConnection, actor: Actor, *, limit: int
) -> list[NamedAgent]:
    """The newest agents that are not hidden."""
    rows = await connection.execute(
        select(agents.c.id, agents.c.name, agents.c.created_at)
        .where(_visible(actor), *_conditions(AgentFilter()))
        .order_by(agents.c.created_at.desc(), agents.c.id.desc())
        .limit(limit)
    )
    return [NamedAgent(*row) for row in rows]


async def count_agents(connection: AsyncConnection, actor: Actor, wanted: AgentFilter) -> int:
    """How many agents there are of those wanted."""
    statement = select(func.count()).select_from(agents)
    return int(await connection.scalar(statement.where(_visible(actor), *_conditions(wanted))) or 0)


async def change_agent(
    connection: AsyncConnection, actor: Actor, agent_id: str, changes: Mapping[str, Any]
) -> None:
    """Apply `changes` (column to value) to an agent that the caller has locked (`get_agent`)."""
    await connection.execute(
        update(agents)
        .where(_visible(actor), agents.c.id == agent_id)
        .values(**changes, last_updated_by_id=actor.user_id, updated_at=func.now())
    )


async def mark_agent_deleted(connection: AsyncConnection, actor: Actor, agent_id: str) -> None:
    """Hide the agent from every question; the sweeper closes its workflows and purges its rows.

    Raises:
        NotFound: There is none for this actor.
    """
    row = await connection.execute(
        update(agents)
        .where(_visible(actor), agents.c.id == agent_id)
        .values(deleted_at=func.now())
        .returning(agents.c.id)
    )
    if row.scalar_one_or_none() is None:
        raise agent_not_found(agent_id)


async def actor_of(connection: AsyncConnection, conversation_id: str) -> Actor:
    """Who acts when a conversation is spoken to through Temporal: its organization, no user.

    Raises:
        NotFound: There is no such conversation.
    """
    organization_id = await connection.scalar(
        select(conversations.c.organization_id).where(conversations.c.id == conversation_id)
    )
    if organization_id is None:
        raise thread_not_found(Thread(conversation_id=conversation_id))
    return Actor(organization_id=organization_id)


def agent_not_found(agent_id: str) -> NotFound:
    """What every question says about an agent that this actor does not have."""
    return NotFound(f"Agent with id {agent_id} not found")


def thread_not_found(thread: Thread) -> NotFound:
    """What every question says about a thread that this actor does not have."""
    if thread.agent_id is not None:
        return agent_not_found(thread.agent_id)
    return NotFound(f"Conversation not found with id='{thread.conversation_id}'")


def is_thread(thread: Thread) -> ColumnElement[bool]:
    """Holds for the row of `conversations` that is named, unless it was deleted."""
    is_it = conversations.c.id == thread.conversation_id
    if thread.agent_id is not None:
        is_it = and_(conversations.c.agent_id == thread.agent_id, conversations.c.is_default)
    return and_(is_it, conversations.c.deleted_at.is_(None))


def agents_wanted(actor: Actor, wanted: AgentFilter) -> list[ColumnElement[bool]]:
    """Conditions that hold for the rows of `agents` that are the actor's and wanted."""
    return [_visible(actor), *_conditions(wanted)]


def _visible(actor: Actor) -> ColumnElement[bool]:
    return (agents.c.organization_id == actor.organization_id) & agents.c.deleted_at.is_(None)


def _conditions(wanted: AgentFilter) -> list[ColumnElement[bool]]:
    equal = {
        agents.c.name: wanted.name,
        agents.c.project_id: wanted.project_id,
        agents.c.template_id: wanted.template_id,
        agents.c.base_template_id: wanted.base_template_id,
        agents.c.last_stop_reason: wanted.last_stop_reason,
        agents.c.created_by_id: wanted.created_by_id,
    }
    found = [column == value for column, value in equal.items() if value is not None]
    if wanted.query_text:
        found.append(agents.c.name.icontains(wanted.query_text, autoescape=True))
    if wanted.tags:
        held = agents.c.tags.contains if wanted.match_all_tags else agents.c.tags.overlap
        found.append(held(wanted.tags))
    if wanted.block_id is not None:
        has_it = (agent_blocks.c.agent_id == agents.c.id) & (
            agent_blocks.c.block_id == wanted.block_id
        )
        found.append(exists().where(has_it))
    if wanted.archive_id is not None:
        has_it = (agent_archives.c.agent_id == agents.c.id) & (
            agent_archives.c.archive_id == wanted.archive_id
        )
        found.append(exists().where(has_it))
    if not wanted.with_hidden:
        found.append(or_(agents.c.hidden.is_(None), agents.c.hidden.is_(False)))
    return found + identity_conditions(AGENTS, wanted.identity_id, wanted.identifier_keys)
