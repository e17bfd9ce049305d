"""Statements about a conversation's window: what of its history the prompt holds, and how it moves.

The window is what stands behind `Conversation.window_start`, with the summary ahead of it.
"""

from dataclasses import dataclass

from sqlalchemy import RowMapping, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.agents import Conversation
from o.domain.messages import Message, Role
from o.storage.history.context_windows import MOST_MESSAGES
from o.storage.history.messages import add_message, is_system_message_of, rewrite_system_message
from o.storage.rows import all_models_of, columns_of
from o.storage.tables.core import conversations, messages
from o.storage.turn.events import add_events
from o.storage.turn.runs import advance_run, get_run

_LAST = 2**62
_MOST_COUNTED = 10_000


@dataclass(frozen=True)
class Window:
    """What a prompt is made of.

    Attributes:
        system: The head, None where it is missing.
        summary: What tells of history ahead of the window; None while all of it is there.
        messages: The rest, oldest first.
    """

    system: Message | None
    summary: Message | None
    messages: list[Message]


@dataclass(frozen=True)
class Compaction:
    """A window that is to be made smaller.

    Attributes:
        epoch: The conversation's, when its window was read.
        window_start: The position of the last message that goes.
        summary: What stands for it, at position 0 until it has one.
        prompt: The system message, compiled anew.
        prompt_key: What that was compiled from.
        run_id: The run in whose log it is shown; None where it belongs to none.
    """

    epoch: int
    window_start: int
    summary: Message
    prompt: str
    prompt_key: str
    run_id: str | None = None


async def read_window(connection: AsyncConnection, conversation: Conversation) -> Window:
    """The window as the conversation says that it is.

    Raises:
        Unreadable: Some of it is stored, and cannot be read.
    """
    stored = select(*columns_of(messages, Message))
    of_thread = stored.where(messages.c.conversation_id == conversation.id)
    # The second end is there for PostgreSQL alone: see `WINDOW_IDS`.
    start = max(conversation.window_start, conversation.next_position - MOST_MESSAGES - 1)
    behind = messages.c.position.between(start + 1, _LAST)
    rows = await connection.execute(  # each part goes by an index of its own
        stored.where(is_system_message_of(conversation.id))
        .union_all(
            stored.where(messages.c.id == conversation.summary_id),
            of_thread.where(behind, messages.c.role != Role.SUMMARY, ~messages.c.is_aside),
        )
        .order_by("position")
    )
    found = all_models_of(Message, rows.mappings().all())
    return Window(
        system=next((one for one in found if one.position == 0), None),
        summary=next((one for one in found if one.role is Role.SUMMARY), None),
        messages=[one for one in found if one.position > 0 and one.role is not Role.SUMMARY],
    )


async def count_hidden(connection: AsyncConnection, conversation_id: str, until: int) -> int:
    """How many messages stand ahead of a window that begins behind the position `until`.

    Very many are not counted: the position says about how many they are.
    """
    some = (
        select(messages.c.id)
        .where(
            messages.c.conversation_id == conversation_id,
            messages.c.position > 0,
            messages.c.position <= until,
            messages.c.role != Role.SUMMARY,
        )
        .limit(_MOST_COUNTED + 1)
        .subquery()
    )
    counted = int(await connection.scalar(select(func.count()).select_from(some)) or 0)
    return counted if counted <= _MOST_COUNTED else until


async def is_compacted(connection: AsyncConnection, summary_id: str) -> bool:
    """Whether the compaction that this summary is of was committed."""
    found = await connection.scalar(select(messages.c.id).where(messages.c.id == summary_id))
    return found is not None


async def commit_compaction(connection: AsyncConnection, compaction: Compaction) -> bool:
    """Move the window, in one transaction with the summary and the system message.

    Args:
        connection: In a transaction.
        compaction: What was made of the window as it was.

    Returns:
        False, and nothing is written, when the history was changed meanwhile otherwise than at
        its end (another compaction, a reset), or its run is closed, or the conversation is gone.
    """
    if compaction.run_id is not None:  # runs are locked before conversations
        run = await get_run(connection, compaction.run_id, lock=True)
        if run is None or not run.status.is_open:
            return False
    place = await _move(connection, compaction)
    if place is None:
        return False
    stored = compaction.summary.model_copy(update=dict(place))
    await add_message(connection, stored)
    await rewrite_system_message(
        connection, stored.conversation_id, compaction.prompt, compaction.prompt_key
    )
    if compaction.run_id is not None:
        first_seq = await advance_run(connection, compaction.run_id, events=1)
        if first_seq is not None:
            await add_events(connection, compaction.run_id, first_seq, 1, [stored])
    return True


async def _move(connection: AsyncConnection, compaction: Compaction) -> RowMapping | None:
    """Move the window; answers the place in history that the summary gets, and the time."""
    summary = compaction.summary
    moved = await connection.execute(
        update(conversations)
        .where(
            conversations.c.id == summary.conversation_id,
            conversations.c.epoch == compaction.epoch,
            conversations.c.deleted_at.is_(None),
        )
        .values(
            epoch=conversations.c.epoch + 1,
            window_start=compaction.window_start,
            summary_id=summary.id,
            next_position=conversations.c.next_position + 1,
        )
        .returning(
            (conversations.c.next_position - 1).label("position"),
            func.clock_timestamp().label("created_at"),
        )
    )
    return moved.mappings().one_or_none()
