"""Questions about messages."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any

from sqlalchemy import (
    ColumnElement,
    String,
    and_,
    cast,
    exists,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONPATH, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.actors import Actor
from o.domain.messages import Message, Role
from o.errors import NotFound
from o.storage.message_types import is_shown
from o.storage.pages import Page
from o.storage.rows import columns_of, model_of, models_of, row_of
from o.storage.tables import conversations, messages

AGE = (messages.c.created_at, messages.c.position, messages.c.id)
"""What orders messages of several conversations."""

IN_A_LIVE_CONVERSATION = ~exists().where(
    conversations.c.id == messages.c.conversation_id, conversations.c.deleted_at.is_not(None)
)
"""Holds for messages whose conversation was not deleted; what was is purged a little later."""

_first = messages.alias("first")
NOT_SHARED = ~exists().where(
    messages.c.copy_of.is_not(None),
    or_(
        _first.c.id == messages.c.copy_of,
        and_(_first.c.copy_of == messages.c.copy_of, _first.c.id < messages.c.id),
    ),
    ~exists().where(
        conversations.c.id == _first.c.conversation_id, conversations.c.deleted_at.is_not(None)
    ),
)
"""Holds for one message of those that a conversation and its forks share: the original while it is
there. Lists of several conversations show it once, as V1 does."""


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


async def list_run_messages(
    connection: AsyncConnection,
    actor: Actor,
    run_id: str,
    page: Page,
    *,
    types: Sequence[str] | None = None,
    says: str | None = None,
) -> list[Message]:
    """What a run added to history, its input included, in the order asked for.

    Only what V1 shows as one of `types`; with `says`, see `is_shown`.

    Raises:
        NotFound: A cursor names no message of the run.
    """
    return await _list_of(connection, actor, messages.c.run_id == run_id, page, says, types)


async def list_step_messages(
    connection: AsyncConnection, actor: Actor, step_id: str, page: Page, *, says: str | None = None
) -> list[Message]:
    """A step's reply and the returns of its tool calls, in the order asked for.

    With `says`, the returns of that tool are left out: see `is_shown`.

    Raises:
        NotFound: A cursor names no message of the step.
    """
    return await _list_of(connection, actor, messages.c.step_id == step_id, page, says)


async def list_thread_messages(
    connection: AsyncConnection,
    actor: Actor,
    conversation_id: str,
    page: Page,
    *,
    types: Sequence[str] | None = None,
    says: str | None = None,
) -> list[Message]:
    """The messages of one conversation, in the order asked for.

    Only what V1 shows as one of `types`; with `says`, see `is_shown`.

    Raises:
        NotFound: A cursor names no message of the conversation.
    """
    of = messages.c.conversation_id == conversation_id
    return await _list_of(connection, actor, of, page, says, types)


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
    """The newest messages whose text holds `query`, upper and lower case alike.

    They are of all conversations, each of which counts its positions by itself, so that only the
    time tells which are the newest.
    """
    statement = select(*columns_of(messages, Message)).where(
        messages.c.agent_id == agent_id,
        messages.c.role.in_(roles),
        IN_A_LIVE_CONVERSATION,
        NOT_SHARED,
    )
    if query:
        said = _texts_at(messages.c.parts, "$[*].text")
        sent = _texts_at(messages.c.tool_calls, '$[*] ? (@.name == "send_message").arguments')
        returned = messages.c.tool_return["content"].astext
        statement = statement.where(
            or_(
                said.icontains(_as_json_text(query), autoescape=True),
                sent.icontains(_as_json_text(_as_json_text(query)), autoescape=True),
                returned.icontains(query, autoescape=True),
            )
        )
    if since is not None:
        statement = statement.where(messages.c.created_at >= since)
    if until is not None:
        statement = statement.where(messages.c.created_at < until)
    newest = (key.desc() for key in AGE)
    rows = await connection.execute(statement.order_by(*newest).limit(limit))
    return models_of(Message, rows.mappings().all())


def _texts_at(column: Any, path: str) -> ColumnElement[str]:
    """The strings at a JSON path of the column, as the text of a JSON list."""
    return cast(func.jsonb_path_query_array(column, cast(path, JSONPATH)), String)


def _as_json_text(query: str) -> str:
    """`query` as PostgreSQL spells it inside the text of a JSON string."""
    escaped = query.replace("\\", "\\\\").replace('"', '\\"')
    return escaped.replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")


async def _list_of(
    connection: AsyncConnection,
    actor: Actor,
    of: ColumnElement[bool],
    page: Page,
    says: str | None,
    types: Sequence[str] | None = None,
) -> list[Message]:
    """The messages are of one conversation, so their positions are their order."""
    owned = and_(of, messages.c.organization_id == actor.organization_id)
    position = messages.c.position
    places = await cursor_places(connection, owned, [position], page)
    question = select(*columns_of(messages, Message)).where(owned, is_shown(types, says=says))
    for cursor, forward in ((page.after, page.ascending), (page.before, not page.ascending)):
        if cursor is not None:
            (place,) = places[cursor]
            question = question.where(position > place if forward else position < place)
    order = position if page.ascending else position.desc()
    rows = await connection.execute(question.order_by(order).limit(page.limit))
    return models_of(Message, rows.mappings().all())


async def cursor_places(
    connection: AsyncConnection,
    of: ColumnElement[bool],
    keys: Sequence[ColumnElement[Any]],
    page: Page,
    given: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, tuple[Any, ...]]:
    """The keys of the messages that the page names, in one statement if it names any.

    Args:
        connection: Any.
        of: Holds for the messages that may be named; `given` has the values it needs.
        keys: What the list is ordered by.
        page: Whose cursors are looked up.
        given: Values by name.

    Raises:
        NotFound: A cursor names no message of this list.
    """
    cursors = [cursor for cursor in (page.before, page.after) if cursor is not None]
    if not cursors:
        return {}
    named = or_(messages.c.id.in_(cursors), messages.c.copy_of.in_(cursors))
    question = select(func.coalesce(messages.c.copy_of, messages.c.id), *keys).where(of, named)
    found = {row[0]: tuple(row)[1:] for row in await connection.execute(question, dict(given))}
    for cursor in cursors:
        if cursor not in found:
            raise NotFound(f"Message with id {cursor[:100]} not found")
    return found
