"""Statements about runs whose stream somebody wants to read again."""

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.actors import Actor
from o.domain.agents import Thread
from o.domain.runs import Run
from o.ids import request_key
from o.storage.agents.conversations import get_thread
from o.storage.conditions import IS_OPEN
from o.storage.rows import columns_of, model_of
from o.storage.tables.core import runs


async def find_newest_run(
    connection: AsyncConnection, actor: Actor, thread: Thread, *, otid: str | None = None
) -> Run | None:
    """The newest open run of a thread, or the newest one that a message's `otid` made.

    Raises:
        NotFound: There is no such conversation or agent for this actor.
    """
    conversation = await get_thread(connection, actor, thread)
    statement = select(*columns_of(runs, Run)).where(runs.c.conversation_id == conversation.id)
    if otid is None:
        statement = statement.where(IS_OPEN)
    else:
        statement = statement.where(
            or_(
                runs.c.request_key == request_key([otid]),
                runs.c.input.contains(
                    func.jsonb_build_array(func.jsonb_build_object("otid", otid))
                ),
            )
        )
    rows = await connection.execute(
        statement.order_by(runs.c.created_at.desc(), runs.c.id).limit(1)
    )
    row = rows.mappings().one_or_none()
    return model_of(Run, row) if row else None
