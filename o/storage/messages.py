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
    or_,
    select,
    true,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import JSONPATH, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.actors import Actor
from o.domain.messages import Message, Role
from o.errors import NotFound
from o.storage.agents import agent_not_found
from o.storage.message_types import is_shown
from o.storage.pages import Page
from o.storage.rows import columns_of, model_of, models_of, row_of
from o.storage.tables import agents, conversations, messages

_Keys = Sequence[ColumnElement[Any]]
_Places = dict[str, tuple[Any, ...]]

_AGE: _Keys = (messages.c.created_at, messages.c.position, messages.c.id)
_PLACE: _Keys = (messages.c.position,)  # within one conversation


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


async def list_agent_messages(
    connection: AsyncConnection,
    actor: Actor,
    agent_id: str,
    page: Page,
    *,
    conversation_id: str | None = None,
    types: Sequence[str] | None = None,
    says: str | None = None,
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
        says: The tool whose calls are shown as assistant messages, None when none is.

    Raises:
        NotFound: There is no such agent for this actor, or a cursor names none of its messages.
    """
    keys = _AGE if conversation_id is None else _PLACE
    mine = messages.c.agent_id == agent_id
    if conversation_id is not None:  # alone, so that the index by place is the one that fits
        mine = messages.c.conversation_id == _thread(agent_id, conversation_id)
    places = await _places(connection, mine, keys, page)
    shown = and_(mine, is_shown(types, says=says))
    part = _part_of_history(select(messages).where(shown), keys, places, page).lateral("part")
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
    connection: AsyncConnection, actor: Actor, run_id: str, page: Page, *, says: str | None = None
) -> list[Message]:
    """What a run added to history, its input included, in the order asked for.

    With `says`, the returns of that tool are left out: see `is_shown`.

    Raises:
        NotFound: A cursor names no message of the run.
    """
    return await _list_of(connection, actor, messages.c.run_id == run_id, page, says)


async def list_step_messages(
    connection: AsyncConnection, actor: Actor, step_id: str, page: Page, *, says: str | None = None
) -> list[Message]:
    """A step's reply and the returns of its tool calls, in the order asked for.

    With `says`, the returns of that tool are left out: see `is_shown`.

    Raises:
        NotFound: A cursor names no message of the step.
    """
    return await _list_of(connection, actor, messages.c.step_id == step_id, page, says)


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


def _thread(agent_id: str, conversation_id: str) -> ScalarSelect[str]:
    """The conversation's id, if it is one of the agent's."""
    is_meant = conversations.c.id == conversation_id
    if conversation_id == "default":
        is_meant = conversations.c.is_default
    return (
        select(conversations.c.id)
        .where(conversations.c.agent_id == agent_id, is_meant)
        .scalar_subquery()
    )


def _part_of_history(
    question: Select[Any], keys: _Keys, places: _Places, page: Page
) -> Select[Any]:
    """See `list_agent_messages`. The caller puts what is found in order."""
    here = tuple_(*keys)
    if page.after is not None and page.before is None and not page.ascending:
        until = here <= tuple_(*places[page.after])
        return _cut(question.where(until), keys, page).offset(page.limit)
    if page.after is not None:
        question = question.where(here > tuple_(*places[page.after]))
    if page.before is not None:
        question = question.where(here < tuple_(*places[page.before]))
    return _cut(question, keys, page)


async def _list_of(
    connection: AsyncConnection, actor: Actor, of: ColumnElement[bool], page: Page, says: str | None
) -> list[Message]:
    """A run and its steps have one conversation, whose positions are their order."""
    owned = and_(of, messages.c.organization_id == actor.organization_id)
    places = await _places(connection, owned, _PLACE, page)
    question = select(*columns_of(messages, Message)).where(owned, is_shown(None, says=says))
    position = messages.c.position
    for cursor, forward in ((page.after, page.ascending), (page.before, not page.ascending)):
        if cursor is not None:
            (place,) = places[cursor]
            question = question.where(position > place if forward else position < place)
    rows = await connection.execute(_cut(question, _PLACE, page))
    return models_of(Message, rows.mappings().all())


def _cut(question: Select[Any], keys: _Keys, page: Page) -> Select[Any]:
    order = keys if page.ascending else [key.desc() for key in keys]
    return question.order_by(*order).limit(page.limit)


async def _places(
    connection: AsyncConnection, of: ColumnElement[bool], keys: _Keys, page: Page
) -> _Places:
    """The keys of the messages that the page names, in one statement if it names any.

    Raises:
        NotFound: A cursor names no message of this list.
    """
    cursors = [cursor for cursor in (page.before, page.after) if cursor is not None]
    if not cursors:
        return {}
    question = select(messages.c.id, *keys).where(of, messages.c.id.in_(cursors))
    found = {row[0]: tuple(row)[1:] for row in await connection.execute(question)}
    for cursor in cursors:
        if cursor not in found:
            raise NotFound(f"Message with id {cursor[:100]} not found")
    return found
