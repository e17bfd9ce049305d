"""Histories that come whole from elsewhere: all their messages, in one transaction."""

from collections.abc import Collection, Sequence

from pydantic_core import to_json
from sqlalchemy import Text, any_, literal, text, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.messages import Message
from o.storage.tables.core import messages

_AT_ONCE = 2_000
_COLUMNS = ", ".join(Message.model_fields)
# One parameter, however many there are.
_ADD = text(
    f"INSERT INTO messages ({_COLUMNS}) "  # noqa: S608
    f"SELECT {_COLUMNS} FROM jsonb_populate_recordset(NULL::messages, CAST(:rows AS jsonb)) "
    "ON CONFLICT (id) DO NOTHING"
)


async def add_history(
    connection: AsyncConnection, history: Sequence[Message], aside: Collection[str] = ()
) -> None:
    """Store the messages of a conversation that has none; a repeat changes nothing.

    Args:
        connection: In a transaction.
        history: With their positions.
        aside: The ids of those that are in no window.
    """
    for start in range(0, len(history), _AT_ONCE):
        rows = to_json(history[start : start + _AT_ONCE]).decode()
        await connection.execute(_ADD, {"rows": rows})
    if aside:
        is_aside = messages.c.id == any_(literal(sorted(aside), ARRAY(Text)))
        await connection.execute(update(messages).where(is_aside).values(is_aside=True))
