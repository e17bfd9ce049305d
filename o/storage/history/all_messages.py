"""Messages wherever they are: one by its id, and those of all agents together."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, Text, and_, any_, exists, literal, select, true
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.actors import Actor
from o.domain.messages import Message
from o.errors import NotFound
from o.storage.deleted_rows import places_of_deleted
from o.storage.history.message_types import is_shown
from o.storage.history.messages import (
    AGE,
    CURSOR,
    DELETED_AGE,
    IN_A_LIVE_CONVERSATION,
    NOT_SHARED,
    SHOWN_ID,
    SHOWN_LAST,
    named_by,
    shown_as,
)
from o.storage.pages import Page, find_places, in_order, narrowed
from o.storage.rows import columns_of, model_of, models_of
from o.storage.tables.core import agents, conversations, deleted_rows, messages

_IN_AN_OWN_THREAD = exists().where(
    conversations.c.id == messages.c.conversation_id, conversations.c.is_default
)


async def find_message(connection: AsyncConnection, actor: Actor, message_id: str) -> Message:
    """The message by that id.

    Raises:
        NotFound: No agent of this actor has it.
    """
    rows = await connection.execute(
        select(*columns_of(messages, Message))
        .join(agents, agents.c.id == messages.c.agent_id)
        .where(
            shown_as([message_id]),
            _visible(actor),
            IN_A_LIVE_CONVERSATION,
        )
        .order_by((messages.c.id == message_id).desc(), messages.c.id)
        .limit(1)
    )
    row = rows.mappings().one_or_none()
    if row is None:
        raise NotFound(f"Message with id {message_id} not found")
    return model_of(Message, row)


async def list_all_messages(
    connection: AsyncConnection,
    actor: Actor,
    page: Page,
    *,
    conversation_id: str | None = None,
    own_threads_of: Sequence[str] | None = None,
    types: Sequence[str] | None = None,
    says: str | None = None,
) -> list[Message]:
    """Messages of all agents, by age in the order asked for.

    Each agent's newest (or oldest) are taken by its index and merged, so that the cost grows with
    the number of agents and not with the length of their histories.

    Args:
        connection: Any; one statement is sent, two with a cursor.
        actor: Whose agents.
        page: Which page; `before` and `after` mean the order asked for.
        conversation_id: Only this conversation.
        own_threads_of: Only the own threads of these agents.
        types: Only what V1 shows as one of these.
        says: The tool whose calls are shown as assistant messages, None when none is.

    Raises:
        NotFound: A cursor names no message of this actor.
    """
    only: list[ColumnElement[bool]] = []
    if conversation_id is not None:
        only = [messages.c.conversation_id == conversation_id]
    wanted = _visible(actor)
    if own_threads_of is not None:
        only.append(_IN_AN_OWN_THREAD)
        wanted = and_(wanted, agents.c.id == any_(literal(list(own_threads_of), ARRAY(Text))))
    owned = messages.c.organization_id == actor.organization_id
    alive = select(SHOWN_ID, *AGE).where(owned, named_by(page), *only).order_by(*SHOWN_LAST)

    def deleted() -> Select[Any]:
        found = places_of_deleted(messages, actor, *DELETED_AGE)
        if conversation_id is None:
            return found
        return found.where(deleted_rows.c.conversation_id == conversation_id)

    places = await find_places(connection, page, alive, deleted, what=CURSOR)
    of_agent = select(*columns_of(messages, Message)).where(
        messages.c.agent_id == agents.c.id,
        is_shown(types, says=says),
        IN_A_LIVE_CONVERSATION,
        *(only or [NOT_SHARED]),
    )
    part = (
        narrowed(of_agent, page, AGE, places)
        .order_by(*in_order(AGE, page))
        .limit(page.limit)
        .lateral("part")
    )
    merged = select(part).select_from(agents.join(part, true())).where(wanted)
    by_age = in_order([part.c[key.name] for key in AGE], page)
    rows = await connection.execute(merged.order_by(*by_age).limit(page.limit))
    return models_of(Message, rows.mappings().all())


def _visible(actor: Actor) -> ColumnElement[bool]:
    return and_(agents.c.organization_id == actor.organization_id, agents.c.deleted_at.is_(None))
