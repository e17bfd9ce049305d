"""Questions about messages."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    ScalarSelect,
    Select,
    String,
    and_,
    cast,
    func,
    literal,
    not_,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import JSONPATH, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.actors import Actor
from o.domain.messages import Message, Role
from o.storage.agents import agent_not_found
from o.storage.message_types import shown_as_any
from o.storage.paging import Keys, Page, Places, is_newer, is_older, ordered, page_of, places_of
from o.storage.rows import columns_of, model_of, models_of, row_of
from o.storage.tables import agents, conversations, messages

_AGE = (messages.c.created_at, messages.c.position, messages.c.id)


async def add_messages(connection: AsyncConnection, new: Sequence[Message]) -> None:
    """Store messages; storing the same id again changes nothing (activities are retried)."""
    rows = [row_of(messages, message) for message in new]
    await connection.execute(
        insert(messages).values(rows).on_conflict_do_nothing(index_elements=["id"])
    )


async def get_message(connection: AsyncConnection, message_id: str) -> Message | None:
    """The message by that id, None when there is none."""
    row = await connection.execute(
        select(*columns_of(messages, Message)).where(messages.c.id == message_id)
    )
    found = row.mappings().one_or_none()
    return model_of(Message, found) if found else None


async def rewrite_system_message(
    connection: AsyncConnection, conversation_id: str, text: str
) -> None:
    """Put a newly compiled prompt in the place of the old one; id and position stay."""
    await connection.execute(
        update(messages)
        .where(messages.c.conversation_id == conversation_id, messages.c.role == Role.SYSTEM)
        .values(parts=[{"type": "text", "text": text}])
    )


async def list_agent_messages(
    connection: AsyncConnection,
    actor: Actor,
    agent_id: str,
    page: Page,
    *,
    conversation_id: str | None = None,
    types: Sequence[str] | None = None,
) -> list[Message]:
    """A page of an agent's history, oldest first in both orders, as V1 lists it.

    Ascending, `before` and `after` are older and newer. Descending, the page is the newest there
    is, `before` moves it to what is older than that message, and `after` with `before` keeps it
    newer than the one. `after` alone continues: official clients page by the last message that
    they were shown, so it means the page before the one that ends there.

    Args:
        connection: Any; one statement is sent, two with a cursor.
        actor: Whose agent it must be.
        agent_id: Which agent.
        page: Which page. Its cursors are ids of the agent's messages, in that conversation.
        conversation_id: Only this conversation; `default` is the agent's own thread.
        types: Only what V1 shows as one of these.

    Raises:
        NotFound: There is no such agent for this actor, or a cursor names none of its messages.
    """
    keys = _AGE if conversation_id is None else (messages.c.position,)
    mine = messages.c.agent_id == agent_id
    if conversation_id is not None:
        mine = and_(mine, messages.c.conversation_id == _thread(agent_id, conversation_id))
    places: Places = {}
    if page.cursors:
        cursors = select(messages.c.id, *keys).where(mine)
        places = await places_of(connection, cursors, page.cursors)
    question = _part_of_history(select(messages).where(mine), keys, places, page)
    if types is not None:
        question = question.where(shown_as_any(types))
    part = question.lateral("part")
    rows = await connection.execute(
        select(*(part.c[name] for name in Message.model_fields))
        .select_from(agents.outerjoin(part, true()))
        .where(
            agents.c.id == agent_id,
            agents.c.organization_id == actor.organization_id,
            agents.c.deleted_at.is_(None),
        )
        .order_by(*(part.c[key.name] for key in keys))
    )
    found = rows.mappings().all()
    if not found:
        raise agent_not_found(agent_id)
    return models_of(Message, [row for row in found if row["id"] is not None])


async def list_run_messages(
    connection: AsyncConnection, actor: Actor, run_id: str, page: Page
) -> list[Message]:
    """What a run added to history, its input included, in the order asked for.

    Raises:
        NotFound: A cursor names no message of the run.
    """
    return await _list_of(connection, actor, messages.c.run_id == run_id, page)


async def list_step_messages(
    connection: AsyncConnection, actor: Actor, step_id: str, page: Page
) -> list[Message]:
    """A step's reply and the returns of its tool calls, in the order asked for.

    Raises:
        NotFound: A cursor names no message of the step.
    """
    return await _list_of(connection, actor, messages.c.step_id == step_id, page)


async def search_messages(
    connection: AsyncConnection,
    agent_id: str,
    *,
    query: str | None,
    roles: Sequence[Role],
    since: datetime | None,
    until: datetime | None,
    limit: int,
) -> list[Message]:
    """The newest messages whose text holds `query`, upper and lower case alike."""
    question = select(*columns_of(messages, Message)).where(
        messages.c.agent_id == agent_id, messages.c.role.in_(roles)
    )
    if query:
        said = cast(
            func.jsonb_path_query_array(messages.c.parts, cast("$[*].text", JSONPATH)), String
        )
        returned = messages.c.tool_return["content"].astext
        question = question.where(
            or_(
                said.icontains(_as_json_text(query), autoescape=True),
                returned.icontains(query, autoescape=True),
            )
        )
    if since is not None:
        question = question.where(messages.c.created_at >= since)
    if until is not None:
        question = question.where(messages.c.created_at < until)
    rows = await connection.execute(question.order_by(messages.c.position.desc()).limit(limit))
    return models_of(Message, rows.mappings().all())


def _as_json_text(query: str) -> str:
    """`query` as PostgreSQL spells it inside the text of a JSON string."""
    escaped = query.replace("\\", "\\\\").replace('"', '\\"')
    return escaped.replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")


def _thread(agent_id: str, conversation_id: str) -> ColumnElement[str] | ScalarSelect[str]:
    if conversation_id != "default":
        return literal(conversation_id)
    return (
        select(conversations.c.id)
        .where(conversations.c.agent_id == agent_id, conversations.c.is_default)
        .scalar_subquery()
    )


def _part_of_history(question: Select[Any], keys: Keys, places: Places, page: Page) -> Select[Any]:
    """See `list_agent_messages`. The caller puts what is found in order."""
    question = ordered(question, keys, ascending=page.ascending).limit(page.limit)
    if page.after is not None and page.before is None and not page.ascending:
        return question.where(not_(is_newer(keys, places[page.after]))).offset(page.limit)
    if page.after is not None:
        question = question.where(is_newer(keys, places[page.after]))
    if page.before is not None:
        question = question.where(is_older(keys, places[page.before]))
    return question


async def _list_of(
    connection: AsyncConnection, actor: Actor, of: ColumnElement[bool], page: Page
) -> list[Message]:
    """A run and its steps have one conversation, whose positions are their order."""
    keys = (messages.c.position,)
    owned = and_(of, messages.c.organization_id == actor.organization_id)
    question = await page_of(
        connection,
        select(*columns_of(messages, Message)).where(owned),
        select(messages.c.id, *keys).where(owned),
        keys,
        page,
    )
    rows = await connection.execute(question)
    return models_of(Message, rows.mappings().all())
