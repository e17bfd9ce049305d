"""Questions about runs whose stream somebody wants to read again."""

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.actors import Actor
from o.domain.agents import Thread
from o.domain.runs import OPEN_STATUSES, Run
from o.storage.agents import is_meant, thread_not_found
from o.storage.rows import columns_of, model_of
from o.storage.tables import agents, conversations, runs


async def find_newest_run(
    connection: AsyncConnection, actor: Actor, thread: Thread, *, otid: str | None = None
) -> Run | None:
    """The newest open run of a thread, or the newest one that a message's `otid` made.

    Raises:
        NotFound: There is no such conversation or agent for this actor.
    """
    conversation_id = await connection.scalar(
        select(conversations.c.id)
        .join(agents, agents.c.id == conversations.c.agent_id)
        .where(
            is_meant(thread),
            agents.c.organization_id == actor.organization_id,
            agents.c.deleted_at.is_(None),
        )
    )
    if conversation_id is None:
        raise thread_not_found(thread)
    question = select(*columns_of(runs, Run)).where(runs.c.conversation_id == conversation_id)
    if otid is None:
        question = question.where(runs.c.status.in_(OPEN_STATUSES))
    else:
        question = question.where(
            or_(
                runs.c.request_key == f"otid:{otid}",
                runs.c.input.contains(
                    func.jsonb_build_array(func.jsonb_build_object("otid", otid))
                ),
            )
        )
    rows = await connection.execute(question.order_by(runs.c.created_at.desc(), runs.c.id).limit(1))
    row = rows.mappings().one_or_none()
    return model_of(Run, row) if row else None
