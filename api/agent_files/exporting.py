"""Exports: an agent and those of its groups as a file that V1 reads, and that loses nothing."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from api.agent_files.long_lists import LongLists
from api.agent_files.shown import (
    Kept,
    ShownHistory,
    show_agent,
    show_archive,
    show_block,
    show_passage,
    show_server,
    show_tool,
)
from api.agent_files.shown_related import (
    show_file,
    show_folder,
    show_group,
    show_identity,
    show_views,
)
from api.deps import Parts
from api.wire.tools import tool_bodies
from o.domain.actors import Actor
from o.domain.agents import Agent, AgentState, Conversation
from o.domain.blocks import Block
from o.domain.files.folders import AgentFile, Folder
from o.domain.groups import Group
from o.domain.identities import Identity
from o.domain.mcp import McpServer
from o.domain.messages import Message, Role
from o.domain.tools import StoredTool
from o.errors import NotFound
from o.letta.kept import FILE, MESSAGES
from o.letta.release import REVISION
from o.letta.shown_messages import HistoryRows, LocalIds
from o.storage.agents.agents import get_agent_state
from o.storage.agents.kept_parts import list_kept_parts
from o.storage.agents.thread_blocks import list_isolated_blocks
from o.storage.files.agent_folders import folders_of_agents
from o.storage.history.exports import (
    HeldArchive,
    WholeFile,
    list_folder_files,
    list_held_archives,
    list_held_identities,
    list_managed_groups,
    list_threads,
    list_views,
    pages_of_messages,
    pages_of_passages,
    see_one_moment,
)
from o.storage.tools.mcp_servers import list_mcp_servers


@dataclass(frozen=True)
class Export:
    """What an export is to hold.

    Attributes:
        conversation_id: Show this conversation's messages as the agent's, and no others.
        scrub_messages: Leave out all histories.
        skills: In the place of those that are kept with the agent; None for these.
    """

    conversation_id: str | None = None
    scrub_messages: bool = False
    skills: list[dict[str, Any]] | None = None


@dataclass(frozen=True)
class _Thread:
    """A conversation with what is its own."""

    conversation: Conversation
    history: ShownHistory
    isolated: list[Block]


@dataclass(frozen=True)
class _Found:
    """An agent with all that is exported of it."""

    state: AgentState
    own: ShownHistory
    threads: list[_Thread]
    variables: list[str]
    views: dict[str, AgentFile]


@dataclass
class _Read:
    """All that was read; messages and passages are in `lists` already, as they are shown."""

    lists: LongLists
    ids: LocalIds = field(default_factory=LocalIds)
    agents: list[_Found] = field(default_factory=list)
    archives: list[tuple[HeldArchive, str]] = field(default_factory=list)
    servers: dict[str, McpServer] = field(default_factory=dict)
    folders: dict[str, list[Folder]] = field(default_factory=dict)  # by agent
    files: list[WholeFile] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    identities: list[Identity] = field(default_factory=list)
    kept: Kept = field(default_factory=dict)


async def export_agent(
    agent_id: str, wanted: Export, actor: Actor, parts: Parts, lists: LongLists
) -> Iterator[bytes]:
    """The file, as JSON in pieces. All of it is of one moment, and read before the first piece.

    Args:
        agent_id: Whose.
        wanted: What of it.
        actor: Who asks.
        parts: Of the API.
        lists: New ones, which the caller closes behind the last piece, or when there is to be none.

    Raises:
        NotFound: There is no such agent for this actor, or no such conversation of it.
    """
    read = _Read(lists)
    async with parts.database.begin() as connection:
        await see_one_moment(connection)
        await _read(connection, agent_id, wanted, actor, parts, read)
    return await asyncio.to_thread(_written, read, wanted)


async def _read(
    connection: AsyncConnection,
    agent_id: str,
    wanted: Export,
    actor: Actor,
    parts: Parts,
    read: _Read,
) -> None:
    states = await _read_states(connection, actor, agent_id, read)
    ids = [state.agent.id for state in states]
    for id_ in ids:
        read.ids.of("agent", id_)
    read.folders = await folders_of_agents(connection, ids, all_or_none=True)
    folder_ids = {folder.id for some in read.folders.values() for folder in some}
    read.files = await list_folder_files(connection, sorted(folder_ids))
    block_ids = [block.id for state in states for block in state.blocks]
    read.identities = await list_held_identities(connection, ids, block_ids)
    read.servers = {one.id: one for one in await list_mcp_servers(connection, actor)}
    owners = [*_owners(states), *read.servers, *folder_ids]
    read.kept = await list_kept_parts(connection, owners)
    variables = await parts.variables.of_agents(connection, ids)
    for place, state in enumerate(states):
        of_it = wanted if place == 0 else replace(wanted, conversation_id=None)
        own, threads = await _read_threads(connection, state, of_it, read)
        keys = [one.key for one in variables.get(state.agent.id, ())]
        views = await list_views(connection, state.agent.id)
        read.agents.append(_Found(state, own, threads, keys, views))
    for held in await list_held_archives(connection, ids):
        read.archives.append((held, await _read_passages(connection, held.archive.id, read)))


async def _read_states(
    connection: AsyncConnection, actor: Actor, agent_id: str, read: _Read
) -> list[AgentState]:
    """The agent, and those of the groups that it leads, and so on; notes the groups."""
    states = [await get_agent_state(connection, actor, agent_id)]
    known = {agent_id}
    for state in states:  # grows
        for group in await list_managed_groups(connection, actor, state.agent.id):
            read.groups.append(group)
            for id_ in group.agent_ids:
                if id_ not in known:
                    known.add(id_)
                    states.append(await get_agent_state(connection, actor, id_))
    return states


def _owners(states: Sequence[AgentState]) -> list[str]:
    return [
        id_
        for state in states
        for id_ in (
            state.agent.id,
            *(block.id for block in state.blocks),
            *(tool.id for tool in state.tools),
        )
    ]


async def _read_threads(
    connection: AsyncConnection, state: AgentState, wanted: Export, read: _Read
) -> tuple[ShownHistory, list[_Thread]]:
    """The history that is shown as the agent's own, and the other ones."""
    found = await list_threads(connection, state.agent.id)
    if wanted.conversation_id is not None:
        named = [one for one in found if one.id == wanted.conversation_id]
        if not named:
            raise NotFound(f"Conversation not found with id='{wanted.conversation_id}'")
        found = named
    if wanted.scrub_messages or not found:
        return ShownHistory(), []
    own, *others = found
    history = await _read_history(connection, own, state.agent, read)
    return history, [
        _Thread(
            one,
            await _read_history(connection, one, state.agent, read),
            await list_isolated_blocks(connection, one.id),
        )
        for one in others
    ]


async def _read_history(
    connection: AsyncConnection, conversation: Conversation, agent: Agent, read: _Read
) -> ShownHistory:
    """Put a conversation's messages into the lists."""
    rows = HistoryRows(agent, read.ids, read.kept.get(agent.id, {}).get(MESSAGES, {}))
    stands_for_it = read.lists.begin()
    async for page in pages_of_messages(connection, conversation):
        some = (
            (one, _is_in_window(one, conversation, agent, is_aside=is_aside))
            for one, is_aside in page
        )
        await asyncio.to_thread(read.lists.add, rows.of(some))
    await asyncio.to_thread(read.lists.add, rows.rest())
    return ShownHistory(stands_for_it, rows.in_context)


async def _read_passages(connection: AsyncConnection, archive_id: str, read: _Read) -> str:
    """Put an archive's passages into the lists; returns what stands for them."""
    stands_for_them = read.lists.begin()
    async for page in pages_of_passages(connection, archive_id):
        await asyncio.to_thread(read.lists.add, map(show_passage, page))
    return stands_for_them


def _written(read: _Read, wanted: Export) -> Iterator[bytes]:
    ids = read.ids
    file: dict[str, Any] = {
        "agents": [],
        "groups": [],
        "blocks": [],
        "files": [],
        "sources": [],
        "tools": [],
        "mcp_servers": [],
        "skills": [],
        "metadata": {"revision_id": REVISION},
        "created_at": datetime.now(UTC).isoformat(),
        "o_archives": [show_archive(held, some, ids) for held, some in read.archives],
        "o_conversations": [],
    }
    folders = _all_folders(read)
    file["sources"] = [show_folder(folder, ids, read.kept) for folder in folders]
    order = {folder.id: place for place, folder in enumerate(folders)}
    read.files.sort(key=lambda one: order[one.file.folder_id])
    file["files"] = [show_file(one, ids) for one in read.files]
    for found in read.agents:
        _add_agent(file, found, read, ids)
    _add_groups(file, read, ids)
    file["o_identities"] = [show_identity(one, ids) for one in read.identities]
    if wanted.skills is not None:
        file["skills"] = wanted.skills
    return read.lists.written(file)


def _add_agent(file: dict[str, Any], found: _Found, read: _Read, ids: LocalIds) -> None:
    agent = found.state.agent
    kept = read.kept.get(agent.id, {})
    for block in found.state.blocks:
        if not ids.has(block.id):
            file["blocks"].append(show_block(block, ids, read.kept))
    tool_ids = [*_add_tools(file, found, read, ids), *_add_kept_tools(file, kept, ids)]
    file["agents"].append(
        show_agent(
            agent,
            found.own,
            ids,
            tool_ids=tool_ids,
            block_ids=[ids.of("block", block.id) for block in found.state.blocks],
            variables=found.variables,
            kept=kept,
        )
        | _folders(found, read, ids)
    )
    for thread in found.threads:
        file["o_conversations"].append(_conversation(thread, ids, read.kept))
    for name, part in kept.get(FILE, {}).items():
        file.setdefault(name, part)
        if name == "skills":
            file["skills"] = part


def _all_folders(read: _Read) -> list[Folder]:
    """The folders of all agents, each once, in the order of the agents."""
    agents = [found.state.agent.id for found in read.agents]
    held = (folder for id_ in agents for folder in read.folders.get(id_, ()))
    return list({folder.id: folder for folder in held}.values())


def _folders(found: _Found, read: _Read, ids: LocalIds) -> dict[str, Any]:
    """What an agent says of its folders."""
    agent = found.state.agent
    mine = read.folders.get(agent.id, [])
    held = [one for one in read.files if one.file.folder_id in {folder.id for folder in mine}]
    return {
        "source_ids": [ids.of("source", folder.id) for folder in mine],
        "files_agents": show_views(agent, held, found.views, ids),
    }


def _add_groups(file: dict[str, Any], read: _Read, ids: LocalIds) -> None:
    """The groups, of whose blocks those that an agent of the file has."""
    for group in read.groups:
        shared = [id_ for id_ in group.shared_block_ids if ids.has(id_)]
        shown = show_group(group.model_copy(update={"shared_block_ids": shared}), ids)
        file["groups"].append(shown)
        led = {shown["manager_config"].get("manager_agent_id"), *shown["agent_ids"]}
        for agent in file["agents"]:
            if agent["id"] in led:
                agent["group_ids"].append(shown["id"])


def _is_in_window(
    message: Message, conversation: Conversation, agent: Agent, *, is_aside: bool
) -> bool:
    """As `o.storage.history.context_windows` has it."""
    if message.position == 0:
        return True
    if agent.message_buffer_autoclear:
        return False
    if message.id == conversation.summary_id:
        return True
    is_behind = message.position > conversation.window_start
    return is_behind and message.role is not Role.SUMMARY and not is_aside


def _conversation(thread: _Thread, ids: LocalIds, kept: Kept) -> dict[str, Any]:
    one = thread.conversation
    return {
        "id": ids.of("conversation", one.id),
        "agent_id": ids.of("agent", one.agent_id),
        "summary": one.summary,
        "model": one.model,
        "model_settings": one.model_settings,
        "created_at": one.created_at.isoformat(),
        "last_message_at": one.last_message_at.isoformat() if one.last_message_at else None,
        "messages": thread.history.messages,
        "in_context_message_ids": thread.history.in_context,
        "isolated_blocks": [show_block(block, ids, kept) for block in thread.isolated],
    }


def _add_tools(file: dict[str, Any], found: _Found, read: _Read, ids: LocalIds) -> list[str]:
    """The agent's tools, and the MCP servers that they are of; returns the tools' ids."""
    state = found.state
    rows: dict[str, StoredTool] = {tool.name: tool for tool in state.tools}
    shown: list[str] = []
    for body in tool_bodies(state.agent.organization_id, state.agent.tool_names, state.tools):
        row = rows.get(body.name)
        server = read.servers.get(row.mcp_server_id or "") if row else None
        if server is not None and not ids.has(server.id):
            file["mcp_servers"].append(show_server(server, ids, read.kept))
        if not ids.has(body.id):
            name = server.server_name if server else None
            file["tools"].append(show_tool(body, row, name, ids, read.kept))
        shown.append(ids.of("tool", body.id))
    return shown


def _add_kept_tools(file: dict[str, Any], kept: Any, ids: LocalIds) -> list[str]:
    """Tools that came with a file and are not served here."""
    shown: list[str] = []
    for tool in kept.get("tools", ()):
        known = next((one for one in file["tools"] if one["name"] == tool.get("name")), None)
        if known is None:
            known = tool | {"id": ids.new("tool")}
            file["tools"].append(known)
        shown.append(known["id"])
    return shown
