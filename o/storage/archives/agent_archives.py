"""Statements about which agent has which archives.

The archive that an agent's own tool adds to is the one that was made for it, at its first insert,
else the one that it has had for longest.
"""

from datetime import UTC, datetime

from sqlalchemy import delete, exists, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.actors import Actor
from o.domain.agents import Agent
from o.domain.archives import ArchivalSummary, Archive, name_of_own
from o.ids import new_id
from o.storage.archives.archives import add_archive
from o.storage.rows import columns_of, model_of
from o.storage.tables.memory import agent_archives, archive_tags, archives

_SHOWN_TAGS = 50
_OWN_FIRST = (
    agent_archives.c.is_owner.desc(),
    agent_archives.c.created_at,
    agent_archives.c.archive_id,
)
_ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtextextended('archive of ' || :id, 0))")


async def list_archive_ids(connection: AsyncConnection, agent_id: str) -> list[str]:
    """The archives that an agent has, its own first."""
    rows = await connection.execute(
        select(agent_archives.c.archive_id)
        .join(archives, archives.c.id == agent_archives.c.archive_id)
        .where(agent_archives.c.agent_id == agent_id, archives.c.deleted_at.is_(None))
        .order_by(*_OWN_FIRST)
    )
    return list(rows.scalars())


async def attach_archive(connection: AsyncConnection, agent_id: str, archive_id: str) -> None:
    """Give an agent an archive; giving it again changes nothing.

    Args:
        connection: In a transaction.
        agent_id: The caller has found it for an actor.
        archive_id: The caller has locked it (`get_archive`).
    """
    await connection.execute(
        insert(agent_archives)
        .values(agent_id=agent_id, archive_id=archive_id, created_at=datetime.now(UTC))
        .on_conflict_do_nothing()
    )


async def detach_archive(connection: AsyncConnection, agent_id: str, archive_id: str) -> None:
    """Take an archive from an agent, which need not have it; the archive stays."""
    await connection.execute(
        delete(agent_archives).where(
            agent_archives.c.agent_id == agent_id, agent_archives.c.archive_id == archive_id
        )
    )


async def own_archive(connection: AsyncConnection, actor: Actor, agent: Agent) -> Archive:
    """The archive that what the agent keeps goes to, locked; it is made when the agent has none.

    Args:
        connection: In a transaction.
        actor: Who made it, if it is made.
        agent: The caller has found it for this actor.
    """
    if (found := await _own_archive(connection, agent.id)) is not None:
        return found
    await connection.execute(_ONE_AT_A_TIME, {"id": agent.id})
    if (found := await _own_archive(connection, agent.id)) is not None:
        return found
    now = datetime.now(UTC)
    archive = Archive(
        id=new_id("archive"),
        organization_id=agent.organization_id,
        name=name_of_own(agent.name),
        description="Default archive created automatically",
        embedding=agent.embedding,
        embedding_config=agent.embedding_config,
        created_by_id=actor.user_id,
        last_updated_by_id=actor.user_id,
        created_at=now,
        updated_at=now,
    )
    await add_archive(connection, archive)
    await connection.execute(
        insert(agent_archives).values(
            agent_id=agent.id, archive_id=archive.id, is_owner=True, created_at=now
        )
    )
    return archive


async def mark_own_archives_deleted(connection: AsyncConnection, agent_id: str) -> None:
    """Of an agent that is deleted: hide the archives that were made for it and nobody else has.

    Before the agent is locked (`o.storage.locks`), in the transaction that deletes it for an actor.
    The other ones stay as they are.
    """
    others = agent_archives.alias()
    is_shared = exists().where(others.c.archive_id == archives.c.id, others.c.agent_id != agent_id)
    is_own = exists().where(
        agent_archives.c.archive_id == archives.c.id,
        agent_archives.c.agent_id == agent_id,
        agent_archives.c.is_owner,
    )
    locked = select(archives.c.id).where(is_own).order_by(archives.c.id).with_for_update()
    await connection.execute(locked)
    await connection.execute(
        update(archives)
        .where(is_own, ~is_shared, archives.c.deleted_at.is_(None))
        .values(deleted_at=func.now())
    )


async def sum_up_archives(connection: AsyncConnection, agent_id: str) -> ArchivalSummary:
    """How many passages an agent has and by which tags; the cost does not grow with them."""
    mine = (
        select(archives.c.id)
        .join(agent_archives, agent_archives.c.archive_id == archives.c.id)
        .where(agent_archives.c.agent_id == agent_id, archives.c.deleted_at.is_(None))
    )
    count = select(func.coalesce(func.sum(archives.c.passage_count), 0)).where(
        archives.c.id.in_(mine)
    )
    total = int(await connection.scalar(count) or 0)
    if not total:
        return ArchivalSummary()
    tags = await connection.execute(
        select(archive_tags.c.tag, func.count().over())
        .where(archive_tags.c.archive_id.in_(mine))
        .group_by(archive_tags.c.tag)
        .order_by(func.sum(archive_tags.c.passage_count).desc(), archive_tags.c.tag)
        .limit(_SHOWN_TAGS)
    )
    found = tags.all()
    more = found[0][1] - len(found) if found else 0
    return ArchivalSummary(
        passage_count=total, tags=sorted(tag for tag, _ in found), more_tags=more
    )


async def _own_archive(connection: AsyncConnection, agent_id: str) -> Archive | None:
    rows = await connection.execute(
        select(*columns_of(archives, Archive))
        .join(agent_archives, agent_archives.c.archive_id == archives.c.id)
        .where(agent_archives.c.agent_id == agent_id, archives.c.deleted_at.is_(None))
        .order_by(*_OWN_FIRST)
        .limit(1)
        .with_for_update(of=archives, key_share=True)  # one that is just being deleted is none
    )
    row = rows.mappings().one_or_none()
    return None if row is None else model_of(Archive, row)
