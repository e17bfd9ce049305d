"""Statements about messages."""

from collections.abc import Sequence

from sqlalchemy import (
    ColumnElement,
    and_,
    case,
    exists,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.actors import Actor
from o.domain.messages import Message
from o.storage.deleted_rows import places_of_deleted
from o.storage.history.message_types import is_shown
from o.storage.pages import Page, page_of_rows
from o.storage.rows import columns_of, model_of, models_of, row_of
from o.storage.tables.core import conversations, deleted_rows, messages

AGE = (messages.c.created_at, messages.c.position, messages.c.id)
"""What orders messages of several conversations."""

DELETED_AGE = (deleted_rows.c.created_at, deleted_rows.c.position, deleted_rows.c.id)
"""The same of deleted messages."""

CURSOR = "Message with id"
"""What a cursor of a list of messages is called where there is none."""

IN_A_LIVE_CONVERSATION = ~exists().where(
    conversations.c.id == messages.c.conversation_id, conversations.c.deleted_at.is_not(None)
)
"""Holds for messages whose conversation was not deleted; what was is purged a little later."""

_first = messages.alias("first")
_first_lives = ~exists().where(
    conversations.c.id == _first.c.conversation_id, conversations.c.deleted_at.is_not(None)
)
# Each part goes by an index of its own, for the few messages that are copies.
_original = select(_first.c.id).where(_first.c.id == messages.c.copy_of, _first_lives)
_copy = select(func.min(_first.c.id)).where(_first.c.copy_of == messages.c.copy_of, _first_lives)
NOT_SHARED = or_(
    messages.c.copy_of.is_(None),
    messages.c.id
    == func.coalesce(
        _original.correlate(messages).scalar_subquery(), _copy.correlate(messages).scalar_subquery()
    ),
)
"""Holds for one message of those that a conversation and its forks share: the original while it is
there. Lists of several conversations show it once, as V1 does."""


def is_system_message_of(conversation_id: str) -> ColumnElement[bool]:
    """Holds for the system message of a conversation.

    Its place alone would do, but PostgreSQL multiplies the part of the table that a conversation
    has by the part that stands at position 0. Of an agent with most of the messages it expects
    thousands there, and reads the whole table.
    """
    oldest = (
        select(_first.c.id)
        .where(_first.c.conversation_id == conversation_id)
        .order_by(_first.c.position)
        .limit(1)
    )
    return and_(messages.c.id == oldest.scalar_subquery(), messages.c.position == 0)


SHOWN_LAST = (NOT_SHARED.nulls_first(), messages.c.id)
"""An order in which, of messages by one shown id, the one that lists show comes last. None of them
is shown where all are in deleted conversations, and one is a cursor all the same."""

SHOWN_ID = func.coalesce(messages.c.copy_of, messages.c.id)
"""The id by which clients know a message, and name it in cursors."""


def named_by(page: Page) -> ColumnElement[bool]:
    """Holds for messages whose shown id a page names; unlike `SHOWN_ID` it has its indexes."""
    return shown_as([cursor for cursor in (page.before, page.after) if cursor is not None])


def shown_as(ids: Sequence[str]) -> ColumnElement[bool]:
    """Holds for messages that clients know by these ids."""
    of_copies = select(_first.c.id).where(_first.c.copy_of.in_(ids))
    return messages.c.id.in_(select(_first.c.id).where(_first.c.id.in_(ids)).union_all(of_copies))


def place_of_deleted(forward: str | None) -> ColumnElement[int]:
    """The position in its conversation of a message that was deleted, by which a list goes on.

    A reset deletes messages, and all that it leaves or that follows it is newer, whatever their
    positions, but for the system message, which is older. So a deleted message stands between
    position 0 and 1.

    Args:
        forward: The cursor that asks for what is newer; another asks for what is older.
    """
    return case((deleted_rows.c.shown_id == forward, 0), else_=1)


async def add_first_messages(connection: AsyncConnection, first: Sequence[Message]) -> None:
    """Store what a conversation begins with, at the time of the database, as what follows has it.

    Args:
        connection: In the transaction that makes the conversation, or has locked it: the time is
            that of this statement, so nothing that was said before the lock is newer.
        first: With their positions.
    """
    now = {"created_at": func.statement_timestamp()}
    rows = [row_of(messages, message) | now for message in first]
    await connection.execute(insert(messages).values(rows))


async def add_message(connection: AsyncConnection, message: Message) -> None:
    """Store a message; storing the same id again changes nothing (activities are retried)."""
    row = row_of(messages, message)
    await connection.execute(
        insert(messages).values(row).on_conflict_do_nothing(index_elements=["id"])
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
    # The conversation is locked before the message, as by whoever holds it for a change: the
    # message is looked for with what the first statement returns.
    noted = (
        update(conversations)
        .where(conversations.c.id == conversation_id)
        .values(prompt_key=prompt_key)
        .returning(conversations.c.id)
        .cte("noted")
    )
    await connection.execute(
        update(messages)
        .where(is_system_message_of(conversation_id), messages.c.conversation_id == noted.c.id)
        .values(parts=[{"type": "text", "text": text}])
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
    return await _list_of(connection, actor, {"run_id": run_id}, page, says, types)


async def list_step_messages(
    connection: AsyncConnection, actor: Actor, step_id: str, page: Page, *, says: str | None = None
) -> list[Message]:
    """A step's reply and the returns of its tool calls, in the order asked for.

    With `says`, the returns of that tool are left out: see `is_shown`.

    Raises:
        NotFound: A cursor names no message of the step.
    """
    return await _list_of(connection, actor, {"step_id": step_id}, page, says)


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
    of = {"conversation_id": conversation_id}
    return await _list_of(connection, actor, of, page, says, types)


async def _list_of(
    connection: AsyncConnection,
    actor: Actor,
    of: dict[str, str],
    page: Page,
    says: str | None,
    types: Sequence[str] | None = None,
) -> list[Message]:
    """The messages are of one conversation, so their positions are their order."""
    within = [messages.c[column] == value for column, value in of.items()]
    owned = and_(*within, messages.c.organization_id == actor.organization_id)
    place = place_of_deleted(page.after if page.ascending else page.before)
    statement = await page_of_rows(
        connection,
        select(*columns_of(messages, Message)).where(owned, is_shown(types, says=says)),
        page,
        [messages.c.position],
        id_=SHOWN_ID,
        among=and_(owned, named_by(page)),
        deleted=lambda: places_of_deleted(messages, actor, place).where(
            *(deleted_rows.c[column] == value for column, value in of.items())
        ),
        what=CURSOR,
    )
    return models_of(Message, (await connection.execute(statement)).mappings().all())
