"""A thread's history as it is to stand here, piece by piece, and the window that it has then."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from o.domain.messages import Message, Role, TextPart
from o.ids import derived_id
from o.letta.drafts import Home
from o.letta.messages import History, map_messages
from o.letta.notes import Notes
from server.letta_import.kinds.table_kind import stamps
from server.letta_import.source import Row, Source, UnreadableJson
from server.letta_import.threads import Order, Thread, pieces, read_rows, with_good_id

_UNREADABLE = "A message whose JSON cannot be read says so, and nothing else"
_LOST_HEAD = "A system message is made of the agent's instructions, as V1 has none in the context"
ONE_WITH_ANOTHER = "told by another message of the same reply"


@dataclass
class Window:
    """What of a history stands in the prompt, as far as the history is known.

    What V1 did not have in context is ahead of the window, or, behind its beginning, aside.

    Attributes:
        start: The position behind which it begins; None while nothing of it was met.
        summary_id: The message that tells of what was before.
        end: The position that the next message takes.
        pending: What waits for approval.
        last_at: The time of the newest message.
    """

    start: int | None = None
    summary_id: str | None = None
    end: int = 0
    pending: Message | None = None
    last_at: Any = None
    _with_call: bool = True

    def place(self, message: Message, *, is_listed: bool) -> tuple[Message, bool]:
        """Give a message the next place; tells whether it is aside."""
        placed = message.model_copy(update={"position": self.end})
        self.end += 1
        if self.last_at is None or placed.created_at > self.last_at:
            self.last_at = placed.created_at
        if placed.position == 0 or placed.role is Role.SUMMARY:
            return placed, False
        if placed.role not in (Role.TOOL, Role.APPROVAL):
            self._with_call = is_listed
        stays = is_listed or self._with_call  # an answer and a return go with their call
        if stays and is_listed and self.start is None:
            self.start = placed.position - 1
        return placed, self.start is not None and not stays


@dataclass
class Reading:
    """What is learnt while a history is read.

    Attributes:
        window: As it is so far.
        notes: What was mended.
        lost: Rows that have no message of their own.
    """

    window: Window = field(default_factory=Window)
    notes: Notes = field(default_factory=Notes)
    lost: int = 0


def read_history(
    source: Source, thread: Thread, order: Order, home: Home, reading: Reading
) -> Iterator[list[dict[str, Any]]]:
    """Rows for `messages`, oldest first and in pieces; `reading` is whole at the end.

    The ids are V1's, of copies too: see `as_copies`.
    """
    head = _head(source, thread, order, home, reading)
    yield [_stored(*reading.window.place(head, is_listed=True), order)]
    for rows in pieces(source, order):
        yield [_stored(*one, order) for one in _piece(rows, order, home, reading)]


def _head(source: Source, thread: Thread, order: Order, home: Home, reading: Reading) -> Message:
    if order.system is not None:
        (row,) = read_rows(source, [order.system])
        mapped = map_messages([_whole(row, reading)], home, reading.notes, where=thread.id)
        return mapped.messages[0]
    if thread.listed:
        reading.notes.tell(_LOST_HEAD, thread.id)
    return Message(
        id=derived_id("message", thread.id, "system"),
        organization_id=thread.organization_id,
        agent_id=thread.agent_id,
        conversation_id=thread.id,
        position=0,
        role=Role.SYSTEM,
        parts=[TextPart(text=thread.row.get("system") or "")],
        created_at=stamps(thread.row)["created_at"],
    )


def _piece(
    rows: Sequence[Row], order: Order, home: Home, reading: Reading
) -> list[tuple[Message, bool]]:
    known = [_whole(row, reading) for row in rows]
    mapped = map_messages(known, home, reading.notes, waiting=order.waiting, where=rows[0]["id"])
    lost = {row["id"] for row in known} - _with_own(mapped)
    reading.lost += len(lost - order.copies)
    placed = []
    for message, row_id in zip(mapped.messages, mapped.sources, strict=True):
        is_listed = row_id in order.in_context
        shown = message
        if message.role is Role.SUMMARY and is_listed:
            if row_id == order.summary:
                reading.window.summary_id = message.id
            else:  # a window has one summary: this one stays what the model was told
                shown = message.model_copy(update={"role": Role.USER})
        one, is_aside = reading.window.place(shown, is_listed=is_listed)
        placed.append((one, is_aside))
        if mapped.pending is not None and message.id == mapped.pending.id:
            reading.window.pending = one
    return placed


def _with_own(mapped: History) -> set[str]:
    """The ids of rows that have a message which bears them."""
    return {row_id for row_id, id_ in mapped.ids.items() if row_id == id_}


def _whole(row: Row, reading: Reading) -> Row:
    """The row with an id of the usual form, and without JSON that nobody can read."""
    bad = [name for name, value in row.items() if isinstance(value, UnreadableJson)]
    if bad:
        reading.notes.tell(_UNREADABLE, row["id"])
        row = row | dict.fromkeys(bad) | {"text": row.get("text") or "(unreadable)"}
    return with_good_id(row)


def _stored(message: Message, is_aside: bool, order: Order) -> dict[str, Any]:
    return message.model_dump(mode="json") | {"is_aside": is_aside}


def as_copies(rows: list[dict[str, Any]], thread: Thread, shared: set[str]) -> list[dict[str, Any]]:
    """The rows, those of messages that another thread has too as copies with ids of their own.

    Args:
        rows: For `messages`.
        thread: Whose they are to be.
        shared: The ids of those that are at home elsewhere.
    """
    return [_copy(row, thread) if row["id"] in shared else row for row in rows]


def copy_id(thread: Thread, message_id: str) -> str:
    """The id that a thread's copy of a message has."""
    return derived_id("message", thread.id, message_id)


def _copy(row: dict[str, Any], thread: Thread) -> dict[str, Any]:
    own = {"id": copy_id(thread, row["id"]), "copy_of": row["copy_of"] or row["id"]}
    return row | own | dict.fromkeys(("run_id", "step_id", "otid"))
