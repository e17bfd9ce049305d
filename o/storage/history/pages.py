"""Pages of an agent's history, as clients read it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Integer,
    ScalarSelect,
    Select,
    and_,
    bindparam,
    select,
    true,
    tuple_,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.actors import Actor
from o.domain.messages import Message
from o.storage.agents.agents import agent_not_found
from o.storage.deleted_rows import places_of_deleted
from o.storage.history.message_types import is_shown
from o.storage.history.messages import (
    AGE,
    CURSOR,
    DELETED_AGE,
    NOT_SHARED,
    SHOWN_ID,
    SHOWN_LAST,
    named_by,
    place_of_deleted,
)
from o.storage.pages import Keys, Page, find_places
from o.storage.rows import models_of
from o.storage.tables.core import agents, conversations, deleted_rows, messages

_PLACE: Keys = (messages.c.position,)  # within one conversation
_OF_AGENT: BindParameter[str] = bindparam("agent_id")


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
    shape = _Shape(
        thread=None if conversation_id is None else _thread(conversation_id),
        types=None if types is None else tuple(types),
        says=says,
        ascending=page.ascending,
        has_before=page.before is not None,
        has_after=page.after is not None,
    )
    given = {"agent_id": agent_id, "conversation_id": conversation_id, "limit": page.limit}
    if page.before is not None or page.after is not None:
        given |= await _places_of(connection, actor, shape, page, given)
    given["organization_id"] = actor.organization_id
    rows = await connection.execute(_history_page(shape), given)
    found = rows.mappings().all()
    if not found:
        raise agent_not_found(agent_id)
    return models_of(Message, [row for row in found if row["id"] is not None])


@dataclass(frozen=True)
class _Shape:
    """What a page of history is asked for by, apart from values: it makes the statement.

    Attributes:
        thread: Which conversation: the agent's own one, the one named, or all when None.
    """

    thread: Literal["own", "named"] | None
    types: tuple[str, ...] | None
    says: str | None
    ascending: bool
    has_before: bool
    has_after: bool

    @property
    def keys(self) -> Keys:
        """What the history is ordered by."""
        return AGE if self.thread is None else _PLACE

    @property
    def mine(self) -> ColumnElement[bool]:
        """Whose messages."""
        if self.thread is None:
            return and_(messages.c.agent_id == bindparam("agent_id"), NOT_SHARED)
        return messages.c.conversation_id == self.conversation

    @property
    def conversation(self) -> ScalarSelect[str]:
        """The id of the only conversation."""
        is_thread: ColumnElement[bool] = conversations.c.is_default
        if self.thread == "named":
            is_thread = conversations.c.id == bindparam("conversation_id")
        of_agent = conversations.c.agent_id == bindparam("agent_id")
        # By the conversation alone, so that the index by place is the one that fits.
        is_there = conversations.c.deleted_at.is_(None)
        return select(conversations.c.id).where(of_agent, is_thread, is_there).scalar_subquery()


def _thread(conversation_id: str) -> Literal["own", "named"]:
    return "own" if conversation_id == "default" else "named"


@lru_cache(maxsize=256)  # to make one takes three times as long as to run it
def _history_page(shape: _Shape) -> Select[Any]:
    """See `list_agent_messages`."""
    shown = and_(shape.mine, is_shown(shape.types, says=shape.says))
    part = _part_of_history(select(messages).where(shown), shape).lateral("part")
    return (
        select(*(part.c[name] for name in Message.model_fields))
        .select_from(agents.outerjoin(part, true()))
        .where(
            agents.c.id == bindparam("agent_id"),
            agents.c.organization_id == bindparam("organization_id"),
            agents.c.deleted_at.is_(None),
        )
        .order_by(*(part.c[key.name] for key in shape.keys))
    )


def _part_of_history(statement: Select[Any], shape: _Shape) -> Select[Any]:
    """The rows of a page. The caller puts them in order."""
    here, limit = tuple_(*shape.keys), bindparam("limit", type_=Integer)
    order = shape.keys if shape.ascending else [key.desc() for key in shape.keys]
    if shape.has_after and not shape.has_before and not shape.ascending:
        until = here <= _cursor("after", shape.keys)
        return statement.where(until).order_by(*order).limit(limit).offset(limit)
    if shape.has_after:
        statement = statement.where(here > _cursor("after", shape.keys))
    if shape.has_before:
        statement = statement.where(here < _cursor("before", shape.keys))
    return statement.order_by(*order).limit(limit)


def _cursor(name: str, keys: Keys) -> Any:
    return tuple_(*(bindparam(f"{name}_{key.name}", type_=key.type) for key in keys))


async def _places_of(
    connection: AsyncConnection, actor: Actor, shape: _Shape, page: Page, given: dict[str, Any]
) -> dict[str, Any]:
    """The values of the page's cursors."""
    named = {"before": page.before, "after": page.after}
    alive = select(SHOWN_ID, *shape.keys).where(named_by(page))
    if shape.thread is None:
        alive = alive.where(messages.c.agent_id == _OF_AGENT).order_by(*SHOWN_LAST)
    else:
        alive = alive.where(shape.mine)

    def deleted() -> Select[Any]:
        if shape.thread is None:
            ages = places_of_deleted(messages, actor, *DELETED_AGE)
            return ages.where(deleted_rows.c.agent_id == _OF_AGENT)
        found = places_of_deleted(messages, actor, place_of_deleted(page.after))
        return found.where(deleted_rows.c.conversation_id == shape.conversation)

    places = await find_places(connection, page, alive, deleted, what=CURSOR, given=given)
    return {
        f"{name}_{key.name}": value
        for name, cursor in named.items()
        if cursor is not None
        for key, value in zip(shape.keys, places[cursor], strict=True)
    }
