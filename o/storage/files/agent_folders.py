"""Statements about which agent has which folders, and which of their files it has open.

All files of an agent's folders are its own; `agent_files` has a row only for those that it has or
had open. Whoever changes which folders it has holds the lock of its open files (`lock_open_files`),
and then has locked the agent (`get_agent`). With its first folder an agent gets the tools that read
files, and with the last one they go, as in V1.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ARRAY, Select, Text, any_, delete, func, literal, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.actors import Actor
from o.domain.agents import Agent
from o.domain.files.folders import AgentFile, Folder, file_meant
from o.storage.files.files import IS_THERE
from o.storage.files.folders import is_folder_of
from o.storage.files.open_files import lock_open_files_of, open_up_to_budget
from o.storage.locks import lock_rows
from o.storage.pages import Page, page_by_time
from o.storage.rows import all_models_of, columns_of, models_of
from o.storage.tables.core import agents
from o.storage.tables.folders import agent_files, agent_folders, files, folders
from o.tools.files import with_file_tools, without_file_tools

# Lists of lists are no arrays unless all are as long, so that each agent's is JSON.
_CHANGE_TOOLS = text(
    """
    UPDATE agents SET tool_names = ARRAY(
        SELECT jsonb_array_elements_text(CAST(changed.names AS jsonb))
    )
    FROM unnest(CAST(:ids AS text[]), CAST(:names AS text[])) AS changed (id, names)
    WHERE agents.id = changed.id
    """
)


@dataclass(frozen=True)
class HeldFile:
    """A file of one of an agent's folders, as the agent has it.

    Attributes:
        file: Whether it is open, and where it is looked at.
        file_name: With the name of its folder before it.
    """

    file: AgentFile
    file_name: str
    folder_name: str


async def attach_folder(connection: AsyncConnection, agent: Agent, folder: Folder) -> bool:
    """Give an agent a folder; its newest files are opened, as many as there is room for.

    Args:
        connection: In a transaction.
        agent: The caller has locked it.
        folder: The caller has found it for the same actor.

    Returns:
        Whether the agent did not have it before; giving it again changes nothing.
    """
    added = await connection.execute(
        insert(agent_folders)
        .values(agent_id=agent.id, folder_id=folder.id, created_at=datetime.now(UTC))
        .on_conflict_do_nothing()
        .returning(agent_folders.c.folder_id)
    )
    if added.one_or_none() is None:
        return False
    await open_up_to_budget(connection, agent, folder.id)
    await _set_tools(connection, [agent.id])
    return True


async def detach_folder(connection: AsyncConnection, agent_id: str, folder_id: str) -> None:
    """Take a folder from an agent, which need not have it; its files are open no longer.

    Args:
        connection: In a transaction.
        agent_id: The caller has locked it.
        folder_id: Which.
    """
    await connection.execute(
        delete(agent_files).where(
            agent_files.c.agent_id == agent_id, agent_files.c.folder_id == folder_id
        )
    )
    taken = await connection.execute(
        delete(agent_folders).where(
            agent_folders.c.agent_id == agent_id, agent_folders.c.folder_id == folder_id
        )
    )
    if taken.rowcount:
        await _set_tools(connection, [agent_id])


async def take_from_agents(connection: AsyncConnection, folder_id: str) -> None:
    """Take a folder, which the caller has locked, from all agents that have it.

    Args:
        connection: In a transaction.
        folder_id: Which; it is deleted.
    """
    await lock_open_files_of(connection, folder_id)
    held = select(agent_folders.c.agent_id).where(agent_folders.c.folder_id == folder_id)
    await lock_rows(connection, agents.c.id.in_(held), agents.c.id, key_share=True)
    await connection.execute(delete(agent_files).where(agent_files.c.folder_id == folder_id))
    gone = await connection.execute(
        delete(agent_folders)
        .where(agent_folders.c.folder_id == folder_id)
        .returning(agent_folders.c.agent_id)
    )
    await _set_tools(connection, gone.scalars().all())


async def set_folders(connection: AsyncConnection, agent: Agent, wanted: Sequence[Folder]) -> None:
    """Have an agent, which the caller has locked or just made, have these folders and no others."""
    kept = [folder.id for folder in wanted]
    for links in (agent_files, agent_folders):
        await connection.execute(
            delete(links).where(links.c.agent_id == agent.id, links.c.folder_id.not_in(kept))
        )
    for folder in wanted:
        await attach_folder(connection, agent, folder)
    if not wanted:
        await _set_tools(connection, [agent.id])


async def folders_of_agents(
    connection: AsyncConnection, agent_ids: Sequence[str], *, all_or_none: bool = False
) -> dict[str, list[Folder]]:
    """The folders of each of these agents that has any, by the time they were attached.

    Args:
        connection: Any.
        agent_ids: The caller has found them for an actor.
        all_or_none: Whether one that cannot be read is an error; it is left out otherwise.

    Raises:
        Unreadable: One of them cannot be read, and all are wanted.
    """
    rows = await connection.execute(
        select(agent_folders.c.agent_id, *columns_of(folders, Folder))
        .join(folders, folders.c.id == agent_folders.c.folder_id)
        .where(agent_folders.c.agent_id.in_(agent_ids), folders.c.deleted_at.is_(None))
        .order_by(agent_folders.c.created_at, folders.c.id)
    )
    found: dict[str, list[Folder]] = {}
    read = all_models_of if all_or_none else models_of
    for row in rows.mappings():
        found.setdefault(row["agent_id"], []).extend(read(Folder, [row]))
    return found


async def list_agent_ids(
    connection: AsyncConnection, actor: Actor, folder_id: str, page: Page
) -> list[str]:
    """A page of the agents that have a folder, by the time they were made.

    Raises:
        NotFound: A cursor names no agent of this actor.
    """
    statement = await page_by_time(
        connection,
        select(agents.c.id)
        .join(agent_folders, agent_folders.c.agent_id == agents.c.id)
        .where(
            agent_folders.c.folder_id == folder_id,
            agents.c.organization_id == actor.organization_id,
            agents.c.deleted_at.is_(None),
        ),
        page,
        agents,
        actor,
    )
    return list((await connection.execute(statement)).scalars())


async def list_agent_files(
    connection: AsyncConnection,
    actor: Actor,
    agent_id: str,
    page: Page,
    *,
    is_open: bool | None = None,
) -> list[HeldFile]:
    """A page of the files of an agent's folders, by the time the files came.

    Args:
        connection: Any.
        actor: Whose agent it is: the caller has found it.
        agent_id: Whose files.
        page: Its cursors are ids of files, or V1's of how the agent stands to them.
        is_open: None for open ones and closed ones.

    Raises:
        NotFound: A cursor names no file of this actor.
    """
    statement = _files_of(agent_id).where(is_folder_of(actor), IS_THERE)
    if is_open is not None:
        statement = statement.where(func.coalesce(agent_files.c.is_open, False) == is_open)
    paged = await page_by_time(connection, statement, _by_file(agent_id, page), files, actor)
    rows = (await connection.execute(paged)).mappings()
    return [_held(agent_id, row) for row in rows]


def _files_of(agent_id: str) -> Select[Any]:
    """All files of an agent's folders, and how it stands to each: `_held` reads them."""
    return (
        select(
            files.c.id.label("file_id"),
            files.c.folder_id,
            files.c.file_name,
            folders.c.name.label("folder_name"),
            func.coalesce(agent_files.c.is_open, False).label("is_open"),
            agent_files.c.view_start,
            agent_files.c.view_end,
            agent_files.c.last_accessed_at,
        )
        .select_from(
            agent_folders.join(folders, folders.c.id == agent_folders.c.folder_id)
            .join(files, files.c.folder_id == folders.c.id)
            .outerjoin(
                agent_files,
                (agent_files.c.file_id == files.c.id) & (agent_files.c.agent_id == agent_id),
            )
        )
        .where(agent_folders.c.agent_id == agent_id)
    )


async def _set_tools(connection: AsyncConnection, agent_ids: Sequence[str]) -> None:
    """Have agents that are locked have the tools that read files exactly if they have a folder."""
    theirs = any_(literal(agent_ids, ARRAY(Text)))
    with_one = (
        select(agent_folders.c.agent_id)
        .join(folders, folders.c.id == agent_folders.c.folder_id)
        .where(agent_folders.c.agent_id == theirs, folders.c.deleted_at.is_(None))
    )
    rows = await connection.execute(
        select(agents.c.id, agents.c.tool_names, agents.c.id.in_(with_one)).where(
            agents.c.id == theirs
        )
    )
    changed = {}
    for id_, names, has_folder in rows:
        wanted = with_file_tools(names) if has_folder else without_file_tools(names)
        if wanted != names:
            changed[id_] = json.dumps(wanted)
    if changed:
        given = {"ids": list(changed), "names": list(changed.values())}
        await connection.execute(_CHANGE_TOOLS, given)


def _held(agent_id: str, row: Any) -> HeldFile:
    file = AgentFile.model_validate({**row, "agent_id": agent_id})
    return HeldFile(file, file_name=row["file_name"], folder_name=row["folder_name"])


def _by_file(agent_id: str, page: Page) -> Page:
    """The page with the ids of files for its cursors."""
    before, after = (
        None if cursor is None else file_meant(agent_id, cursor)
        for cursor in (page.before, page.after)
    )
    return Page(before, after, page.limit, ascending=page.ascending)
