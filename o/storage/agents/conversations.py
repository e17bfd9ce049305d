"""Statements about the conversations of agents. The agent's own thread is one of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, func, literal_column, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.actors import Actor
from o.domain.agents import Conversation, ConversationState, Thread
from o.errors import Conflict
from o.storage.agents.agents import SHOWN_REQUEST, is_thread, thread_not_found
from o.storage.deleted_rows import deleted_by_time
from o.storage.history.context_windows import WINDOW_IDS
from o.storage.pages import Page, page_of_rows
from o.storage.rows import columns_of, model_of, model_of_json, readable
from o.storage.tables.core import agents, conversations, runs

_NEVER = func.to_timestamp(0)
_SORT_KEYS: dict[str, ColumnElement[Any]] = {
    "created_at": conversations.c.created_at,
    # Those in which nothing has happened yet come as the oldest.
    "last_message_at": func.coalesce(conversations.c.last_message_at, _NEVER),
    "last_run_completion": func.coalesce(
        select(func.max(runs.c.completed_at))
        .where(runs.c.conversation_id == conversations.c.id)
        .scalar_subquery(),
        _NEVER,
    ),
}

_STATE: ColumnElement[str] = literal_column(
    f"""jsonb_build_object(
        'conversation', to_jsonb(conversations),
        'message_ids', {WINDOW_IDS},
        'isolated_block_ids', (
            SELECT coalesce(jsonb_agg(isolated.block_id ORDER BY isolated.label), '[]')
            FROM conversation_blocks AS isolated
            WHERE isolated.conversation_id = conversations.id
        ),
        'pending', (
            {SHOWN_REQUEST}
            WHERE approvals.conversation_id = conversations.id AND approvals.status = 'pending'
        )
    )::text"""  # noqa: S608
)


@dataclass(frozen=True)
class ConversationFilter:
    """Which conversations a list shows; None leaves a criterion out.

    Attributes:
        summary_search: What the summary must hold, upper and lower case alike.
    """

    agent_id: str | None = None
    summary_search: str | None = None


async def get_thread(
    connection: AsyncConnection, actor: Actor, thread: Thread, *, lock: bool = False
) -> Conversation:
    """The conversation that is named; with `lock`, nobody appends to it in this transaction.

    Raises:
        NotFound: There is no such agent or conversation for this actor.
    """
    statement = _of(actor, columns_of(conversations, Conversation)).where(is_thread(thread))
    if lock:
        statement = statement.with_for_update(of=conversations, key_share=True)
    row = (await connection.execute(statement)).mappings().one_or_none()
    if row is None:
        raise thread_not_found(thread)
    return model_of(Conversation, row)


async def get_conversation_state(
    connection: AsyncConnection, actor: Actor, conversation_id: str
) -> ConversationState:
    """The conversation by that id, with what is shown beside it.

    Raises:
        NotFound: There is none for this actor.
    """
    thread = Thread(conversation_id=conversation_id)
    found = await connection.scalar(_of(actor, [_STATE]).where(is_thread(thread)))
    if found is None:
        raise thread_not_found(thread)
    return model_of_json(ConversationState, found, conversation_id)


async def list_conversation_states(
    connection: AsyncConnection,
    actor: Actor,
    wanted: ConversationFilter,
    page: Page,
    *,
    sort_by: str,
) -> list[ConversationState]:
    """A page of conversations, without the agents' own threads, which V1 does not list either.

    Args:
        connection: Any.
        actor: Whose conversations.
        wanted: Which of them.
        page: Which part of the list.
        sort_by: `created_at`, `last_message_at` or `last_run_completion`.

    Raises:
        NotFound: A cursor names no conversation of this actor.
    """
    statement = _of(actor, [_STATE.label("state"), conversations.c.id]).where(
        ~conversations.c.is_default, conversations.c.deleted_at.is_(None)
    )
    if wanted.agent_id is not None:
        statement = statement.where(conversations.c.agent_id == wanted.agent_id)
    if wanted.summary_search:
        statement = statement.where(
            conversations.c.summary.icontains(wanted.summary_search, autoescape=True)
        )
    statement = await page_of_rows(
        connection,
        statement,
        page,
        (_SORT_KEYS[sort_by], conversations.c.id),
        id_=conversations.c.id,
        among=conversations.c.organization_id == actor.organization_id,
        deleted=lambda: deleted_by_time(conversations, actor, sort_by),
    )
    found = await connection.execute(statement)
    return readable(found, lambda row: model_of_json(ConversationState, row.state, row.id))


async def change_conversation(
    connection: AsyncConnection, actor: Actor, conversation_id: str, changes: Mapping[str, Any]
) -> None:
    """Apply `changes` (column to value) to a conversation that is not the agent's own thread.

    Raises:
        NotFound: There is none for this actor.
        Conflict: It is the agent's own thread, whose model and settings are the agent's.
    """
    await _must_stand_beside(connection, actor, conversation_id)
    await connection.execute(
        update(conversations)
        .where(conversations.c.id == conversation_id)
        .values(**changes, last_updated_by_id=actor.user_id, updated_at=func.now())
    )


async def mark_conversation_deleted(
    connection: AsyncConnection, actor: Actor, conversation_id: str
) -> None:
    """Hide a conversation from every statement.

    The sweeper closes its workflow and purges its rows, with the blocks that it has to itself.

    Raises:
        NotFound: There is none for this actor.
        Conflict: It is the agent's own thread, which goes with the agent.
    """
    await _must_stand_beside(connection, actor, conversation_id)
    await connection.execute(
        update(conversations)
        .where(conversations.c.id == conversation_id)
        .values(deleted_at=func.now())
    )


async def _must_stand_beside(
    connection: AsyncConnection, actor: Actor, conversation_id: str
) -> None:
    """Lock the conversation, which must not be the agent's own thread."""
    thread = Thread(conversation_id=conversation_id)
    if (await get_thread(connection, actor, thread, lock=True)).is_default:
        raise Conflict(
            f"Conversation {conversation_id} is the agent's own thread: change the agent instead"
        )


def _of(actor: Actor, columns: Sequence[ColumnElement[Any]]) -> Select[Any]:
    return (
        select(*columns)
        .select_from(conversations.join(agents, agents.c.id == conversations.c.agent_id))
        .where(
            conversations.c.organization_id == actor.organization_id,
            agents.c.organization_id == actor.organization_id,
            agents.c.deleted_at.is_(None),
        )
    )
