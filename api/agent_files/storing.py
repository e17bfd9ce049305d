"""What an import of an agent file stores: all of it in one transaction, or nothing."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from api.agent_files.storing_related import RelatedStore
from api.agent_files.storing_tools import ToolStore
from api.deps import Parts
from o.domain.archives import Passage
from o.domain.mcp import McpServer
from o.letta.notes import Notes
from o.letta.plans import ImportPlan, PlannedAgent, PlannedArchive, Setting
from o.storage.agents.agent_blocks import attach_blocks
from o.storage.agents.agents import add_agent, add_conversation
from o.storage.agents.blocks import add_blocks
from o.storage.agents.kept_parts import keep_parts
from o.storage.agents.thread_blocks import add_isolated_blocks
from o.storage.archives.archives import add_archive
from o.storage.archives.passages import Arrival, add_passages
from o.storage.history.imported import add_history
from o.storage.organizations.audit import put_on_record
from o.storage.pending_requests import add_pending_request
from o.storage.tables.memory import agent_archives
from o.storage.tools.mcp_servers import add_mcp_server, list_mcp_servers

SERVER_STAYS = "An MCP server by that name is here already, and stays as it is"
SERVER_NOT_ADDED = "An MCP server is left out: adding one needs a key of the scope admin"
UNASKED = "Its tools were not asked for since it was imported: refresh the server."

_PASSAGES_AT_ONCE = 500
_BY = {"by": "import_agent"}


class ImportStore:
    """Stores one plan. Rows are locked in the order of `o.storage.locks`."""

    def __init__(
        self,
        connection: AsyncConnection,
        parts: Parts,
        setting: Setting,
        plan: ImportPlan,
        notes: Notes,
    ) -> None:
        self._connection = connection
        self._parts = parts
        self._setting = setting
        self._actor = setting.actor
        self._plan = plan
        self._notes = notes
        self._missing: set[str] = set()  # names of tools that are not stored

    async def store(self) -> list[str]:
        """Store all of it; returns the ids of the files that are to be read then.

        Raises:
            Conflict: Somebody makes a server of the same name at this moment.
        """
        plan = self._plan
        await add_blocks(self._connection, plan.blocks)
        isolated = [thread for agent in plan.agents for thread in agent.threads]
        servers = await self._store_servers()
        tools = ToolStore(self._connection, self._setting, servers, self._notes)
        await tools.store(plan.tools)
        self._missing = tools.missing
        related = RelatedStore(self._connection, self._setting, plan, self._notes)
        file_ids = await related.store_folders()
        for agent in plan.agents:
            await self._store_agent(agent)
        await related.attach_folders()
        for thread in isolated:
            await add_isolated_blocks(self._connection, thread.conversation.id, thread.isolated)
        for archive in plan.archives:
            await self._store_archive(archive)
        await related.store_groups()
        await related.store_identities()
        for owner_id, kept in plan.kept.items():
            await self._keep(owner_id, kept)
        return file_ids

    async def _store_servers(self) -> dict[str, str]:
        """The ids of MCP servers by their names, of those that were here as well."""
        known = await list_mcp_servers(self._connection, self._actor)
        ids = {server.server_name: server.id for server in known}
        for new in sorted(self._plan.servers.values(), key=lambda one: one.server_name):
            if new.server_name in ids:
                self._notes.tell(SERVER_STAYS, new.server_name)
            elif not self._setting.adds_servers:
                self._notes.tell(SERVER_NOT_ADDED, new.server_name)
            elif (why := self._setting.refused_servers.get(new.server_name)) is not None:
                self._notes.tell(why, new.server_name)
            else:
                await add_mcp_server(self._connection, _unasked(new))
                await put_on_record(
                    self._connection, self._actor, "mcp_create_mcp_server", new.id, _BY
                )
                ids[new.server_name] = new.id
        return ids

    async def _store_agent(self, planned: PlannedAgent) -> None:
        agent = planned.agent
        names = [name for name in agent.tool_names if name not in self._missing]
        await add_agent(self._connection, agent.model_copy(update={"tool_names": names}))
        by_id = {block.id: block for block in self._plan.blocks}
        blocks = [by_id[id_] for id_ in planned.block_ids]
        await attach_blocks(self._connection, agent.id, blocks)
        for thread in planned.threads:
            await add_conversation(self._connection, thread.conversation)
            await add_history(self._connection, thread.messages, thread.aside)
            if thread.pending is not None:
                timeout_s = agent.approval_timeout_s or self._parts.settings.approval_timeout_s
                await add_pending_request(
                    self._connection, thread.pending, agent.model, timeout_s=timeout_s
                )
        if planned.variables:
            await self._parts.variables.set_of_agent(
                self._connection, self._actor, agent.id, planned.variables
            )
        await self._keep(agent.id, planned.kept)

    async def _store_archive(self, planned: PlannedArchive) -> None:
        archive = planned.archive
        await add_archive(self._connection, archive)
        held = [
            {
                "agent_id": agent_id,
                "archive_id": archive.id,
                "is_owner": is_owner,
                # Archives stay in the order of the file.
                "created_at": archive.created_at + timedelta(microseconds=self._place(planned)),
            }
            for agent_id, is_owner in planned.agents.items()
        ]
        if held:
            await self._connection.execute(insert(agent_archives), held)
        arrival = Arrival(at=archive.created_at)
        for some in _batches(planned.passages):
            await add_passages(self._connection, self._actor, some, arrival)

    def _place(self, planned: PlannedArchive) -> int:
        return self._plan.archives.index(planned)

    async def _keep(self, owner_id: str, kept: dict[str, object]) -> None:
        organization_id = self._actor.organization_id
        await keep_parts(self._connection, organization_id, owner_id, "af", kept)


def _unasked(server: McpServer) -> McpServer:
    return server.model_copy(update={"problem": UNASKED})


def _batches(items: Sequence[Passage]) -> list[Sequence[Passage]]:
    return [items[at : at + _PASSAGES_AT_ONCE] for at in range(0, len(items), _PASSAGES_AT_ONCE)]
