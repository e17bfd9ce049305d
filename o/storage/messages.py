"""Questions about messages."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, String, cast, func, or_, select, update
from sqlalchemy.dialects.postgresql import JSONPATH, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.actors import Actor
from o.domain.messages import Message, Role
from o.errors import NotFound
from o.storage.rows import columns_of, model_of, models_of, row_of
from o.storage.tables import conversations, messages


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
    connection: AsyncConnection, conversation_id: str, text: str, prompt_key: str
) -> None:
    """Put a newly compiled prompt in the place of the old one; id and position stay.

    Args:
        connection: In a transaction, or committing by itself.
        conversation_id: Whose prompt it is.
        text: The prompt.
        prompt_key: What it was compiled from.
    """
    noted = (
        update(conversations)
        .where(conversations.c.id == conversation_id)
        .values(prompt_key=prompt_key)
        .cte("noted")
    )
    await connection.execute(
        update(messages)
        .where(messages.c.conversation_id == conversation_id, messages.c.position == 0)
        .values(parts=[{"type": "text", "text": text}])
        .add_cte(noted)
    )


async def list_messages(
    connection: AsyncConnection,
    actor: Actor,
    agent_id: str,
    *,
    conversation_id: str | None = None,
    before: str | None = None,
    after: str | None = None,
    limit: int = 100,
    ascending: bool = False,
) -> list[Message]:
    """Messages of an agent in the order asked for.

    Cursors are message ids and mean time in both orders: `before` is older, `after` is newer.

    Raises:
        NotFound: A cursor names no message of this agent.
    """
    question = _of_agent(actor, agent_id)
    if conversation_id is not None:
        question = question.where(messages.c.conversation_id == conversation_id)
    for cursor, forward in ((after, True), (before, False)):
        if cursor is not None:
            place = await _place(connection, actor, agent_id, cursor)
            key = func.row(messages.c.created_at, messages.c.position)
            question = question.where(key > place if forward else key < place)
    keys = (messages.c.created_at, messages.c.position)
    order = keys if ascending else tuple(key.desc() for key in keys)
    rows = await connection.execute(question.order_by(*order).limit(limit))
    return models_of(Message, rows.mappings().all())


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
        said = _texts_at(messages.c.parts, "$[*].text")
        sent = _texts_at(messages.c.tool_calls, '$[*] ? (@.name == "send_message").arguments')
        returned = messages.c.tool_return["content"].astext
        question = question.where(
            or_(
                said.icontains(_as_json_text(query), autoescape=True),
                sent.icontains(_as_json_text(_as_json_text(query)), autoescape=True),
                returned.icontains(query, autoescape=True),
            )
        )
    if since is not None:
        question = question.where(messages.c.created_at >= since)
    if until is not None:
        question = question.where(messages.c.created_at < until)
    rows = await connection.execute(question.order_by(messages.c.position.desc()).limit(limit))
    return models_of(Message, rows.mappings().all())


def _texts_at(column: Any, path: str) -> ColumnElement[str]:
    """The strings at a JSON path of the column, as the text of a JSON list."""
    return cast(func.jsonb_path_query_array(column, cast(path, JSONPATH)), String)


def _as_json_text(query: str) -> str:
    """`query` as PostgreSQL spells it inside the text of a JSON string."""
    escaped = query.replace("\\", "\\\\").replace('"', '\\"')
    return escaped.replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")


def _of_agent(actor: Actor, agent_id: str) -> Select[Any]:
    return select(*columns_of(messages, Message)).where(
        messages.c.agent_id == agent_id, messages.c.organization_id == actor.organization_id
    )


async def _place(connection: AsyncConnection, actor: Actor, agent_id: str, message_id: str) -> Any:
    row = (
        await connection.execute(
            select(messages.c.created_at, messages.c.position).where(
                messages.c.id == message_id,
                messages.c.agent_id == agent_id,
                messages.c.organization_id == actor.organization_id,
            )
        )
    ).one_or_none()
    if row is None:
        raise NotFound(f"Message with id {message_id} not found")
    return func.row(row.created_at, row.position)
