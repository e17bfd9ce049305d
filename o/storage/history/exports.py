"""What exports read: whole histories, and whole archives, in order."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from sqlalchemy import select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.actors import Actor
from o.domain.agents import Conversation
from o.domain.archives import Archive, Passage
from o.domain.files.folders import AgentFile, File
from o.domain.groups import Group
from o.domain.identities import Identity
from o.domain.messages import Message
from o.storage.agents.groups import get_group
from o.storage.rows import columns_of, model_of, models_of, readable
from o.storage.tables.core import conversations, messages
from o.storage.tables.folders import agent_files, file_contents, files
from o.storage.tables.identities import agent_identities, block_identities, groups, identities
from o.storage.tables.memory import agent_archives, archives, passages

AT_ONCE = 1_000
"""Messages or passages that are read in one statement."""

_ONE_MOMENT = text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")


@dataclass(frozen=True)
class HeldArchive:
    """An archive, and of each agent in question that has it, whether it was made for it."""

    archive: Archive
    agents: dict[str, bool]


@dataclass(frozen=True)
class WholeFile:
    """A file, and its text if it has been read."""

    file: File
    text: str | None


async def see_one_moment(connection: AsyncConnection) -> None:
    """Have all that follows in this transaction, which has just begun, see the same moment."""
    await connection.execute(_ONE_MOMENT)


async def list_threads(connection: AsyncConnection, agent_id: str) -> list[Conversation]:
    """All conversations of an agent, its own thread first, the others by age."""
    rows = await connection.execute(
        select(*columns_of(conversations, Conversation))
        .where(conversations.c.agent_id == agent_id, conversations.c.deleted_at.is_(None))
        .order_by(conversations.c.is_default.desc(), conversations.c.created_at, conversations.c.id)
    )
    return models_of(Conversation, rows.mappings().all())


async def pages_of_messages(
    connection: AsyncConnection, conversation: Conversation
) -> AsyncIterator[list[tuple[Message, bool]]]:
    """All messages of a conversation in order, each with whether it is in no window.

    What cannot be read is left out.
    """
    after = -1
    while True:
        rows = await connection.execute(
            select(*columns_of(messages, Message), messages.c.is_aside)
            .where(
                messages.c.conversation_id == conversation.id,
                messages.c.position > after,
                messages.c.position < conversation.next_position,
            )
            .order_by(messages.c.position)
            .limit(AT_ONCE)
        )
        page = rows.mappings().all()
        yield readable(page, lambda row: (model_of(Message, row), row["is_aside"]))
        if len(page) < AT_ONCE:
            return
        after = page[-1]["position"]


async def list_held_archives(
    connection: AsyncConnection, agent_ids: Sequence[str]
) -> list[HeldArchive]:
    """The archives that these agents have, in the order in which the agents got them."""
    rows = await connection.execute(
        select(
            *columns_of(archives, Archive),
            agent_archives.c.agent_id,
            agent_archives.c.is_owner,
        )
        .join(agent_archives, agent_archives.c.archive_id == archives.c.id)
        .where(agent_archives.c.agent_id.in_(agent_ids), archives.c.deleted_at.is_(None))
        .order_by(agent_archives.c.created_at, archives.c.id, agent_archives.c.agent_id)
    )
    found: dict[str, HeldArchive] = {}
    for row in rows.mappings().all():
        archive = model_of(Archive, row)
        held = found.setdefault(archive.id, HeldArchive(archive, {}))
        held.agents[row["agent_id"]] = row["is_owner"]
    return list(found.values())


async def list_managed_groups(
    connection: AsyncConnection, actor: Actor, agent_id: str
) -> list[Group]:
    """The groups that an agent leads, the oldest first."""
    rows = await connection.execute(
        select(groups.c.id)
        .where(groups.c.manager_agent_id == agent_id)
        .order_by(groups.c.created_at, groups.c.id)
    )
    ids = list(rows.scalars())
    return [await get_group(connection, actor, id_) for id_ in ids]


async def list_folder_files(
    connection: AsyncConnection, folder_ids: Sequence[str]
) -> list[WholeFile]:
    """The files of folders with their texts, in the order in which they came."""
    rows = await connection.execute(
        select(*columns_of(files, File), file_contents.c.text)
        .outerjoin(file_contents, file_contents.c.file_id == files.c.id)
        .where(files.c.folder_id.in_(folder_ids), files.c.deleted_at.is_(None))
        .order_by(files.c.created_at, files.c.id)
    )
    return [WholeFile(model_of(File, row), row["text"]) for row in rows.mappings().all()]


async def list_views(connection: AsyncConnection, agent_id: str) -> dict[str, AgentFile]:
    """How an agent stands to the files that it has or had open, by file."""
    rows = await connection.execute(
        select(*columns_of(agent_files, AgentFile)).where(agent_files.c.agent_id == agent_id)
    )
    return {row["file_id"]: model_of(AgentFile, row) for row in rows.mappings()}


async def list_held_identities(
    connection: AsyncConnection, agent_ids: Sequence[str], block_ids: Sequence[str]
) -> list[Identity]:
    """The identities of these agents and blocks, with those of these that have each."""
    of_agents = select(
        agent_identities.c.identity_id,
        agent_identities.c.agent_id.label("holder_id"),
    ).where(agent_identities.c.agent_id.in_(agent_ids))
    of_blocks = select(block_identities.c.identity_id, block_identities.c.block_id).where(
        block_identities.c.block_id.in_(block_ids)
    )
    held: dict[str, list[str]] = {}
    for identity_id, holder_id in await connection.execute(of_agents.union_all(of_blocks)):
        held.setdefault(identity_id, []).append(holder_id)
    rows = await connection.execute(
        select(*columns_of(identities, Identity))
        .where(identities.c.id.in_(list(held)))
        .order_by(identities.c.identifier_key, identities.c.id)
    )
    found = models_of(Identity, rows.mappings().all())
    agents, blocks = set(agent_ids), set(block_ids)
    return [
        one.model_copy(
            update={
                "agent_ids": [id_ for id_ in held[one.id] if id_ in agents],
                "block_ids": [id_ for id_ in held[one.id] if id_ in blocks],
            }
        )
        for one in found
    ]


async def pages_of_passages(
    connection: AsyncConnection, archive_id: str
) -> AsyncIterator[list[Passage]]:
    """All passages of an archive by their time."""
    keys = (passages.c.created_at, passages.c.id)
    wanted = select(*columns_of(passages, Passage)).where(passages.c.archive_id == archive_id)
    wanted = wanted.order_by(*keys).limit(AT_ONCE)
    behind = wanted
    while True:
        page = (await connection.execute(behind)).mappings().all()
        yield models_of(Passage, page)
        if len(page) < AT_ONCE:
            return
        last = page[-1]
        behind = wanted.where(tuple_(*keys) > tuple_(last["created_at"], last["id"]))
