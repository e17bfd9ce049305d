"""Questions about runs whose stream somebody wants to read again."""

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.actors import Actor
from o.domain.runs import OPEN_STATUSES, Run
from o.errors import NotFound
from o.storage.rows import columns_of, model_of
from o.storage.tables import agents, conversations, runs


async def find_newest_run(
    connection: AsyncConnection, actor: Actor, thread_id: str, *, otid: str | None = None
) -> Run | None:
    """The newest open run of a conversation, or the newest one that a message's `otid` made.

    Args:
        connection: Any.
        actor: Who asks.
        thread_id: A conversation's id, or an agent's for its own thread.
        otid: What the client called a message of the run's input.

    Raises:
        NotFound: There is no such conversation or agent for this actor.
    """
    conversation_id = await connection.scalar(
        select(conversations.c.id)
        .join(agents, agents.c.id == conversations.c.agent_id)
        .where(
            conversations.c.organization_id == actor.organization_id,
            conversations.c.deleted_at.is_(None),
            agents.c.deleted_at.is_(None),
            or_(
                conversations.c.id == thread_id,
                conversations.c.is_default & (conversations.c.agent_id == thread_id),
            ),
        )
    )
    if conversation_id is None:
        raise NotFound(f"Conversation with id {thread_id} not found")
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
