"""The tools that an import of an agent file brings, beside those that are here by their names."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.tools import StoredTool
from o.letta.notes import Notes
from o.letta.plans import PlannedTool, Setting
from o.storage.agents.kept_parts import keep_parts
from o.storage.tools.tools import add_tools, find_tools, upsert_tool

TOOL_STAYS = "A tool by that name is here already, and stays as it is"
TOOL_CHANGED = "A tool by that name was here already, and is now as the file says"
OTHER_KIND = "A tool by that name is here, and comes from elsewhere: it is used as it is"
SERVERLESS = "A tool of an MCP server that is not here, or lacks it, is left out"


class ToolStore:
    """Stores the tools of one plan, in the transaction of the import.

    New ones come first, in the order of their names: where somebody else stores one by the same
    name at this moment, that is waited for, and the tool is one that is here. Nobody who has
    come further waits for any of them, so that no two imports wait for each other.

    Attributes:
        missing: Names of tools that are not stored.
    """

    def __init__(
        self,
        connection: AsyncConnection,
        setting: Setting,
        servers: dict[str, str],
        notes: Notes,
    ) -> None:
        """Nothing is stored yet; `servers` has the ids of MCP servers by their names."""
        self.missing: set[str] = set()
        self._connection = connection
        self._setting = setting
        self._organization_id = setting.actor.organization_id
        self._servers = servers
        self._notes = notes

    async def store(self, planned: Sequence[PlannedTool]) -> None:
        """Store what is new, and what takes over one that is here."""
        in_order = sorted(planned, key=lambda one: one.tool.name)
        addable = [tool for one in in_order if (tool := self._addable(one)) is not None]
        new = await add_tools(self._connection, addable)
        here = await self._here([one for one in in_order if one.tool.name not in new])
        for one in in_order:
            earlier = here.get(one.tool.name)
            tool = one.tool if one.tool.name in new else self._on_server(one, earlier)
            if tool is None:
                continue
            if earlier is not None and not self._takes_over(earlier, tool):
                continue
            stored = tool if tool.name in new else await upsert_tool(self._connection, tool)
            await keep_parts(self._connection, self._organization_id, stored.id, "af", one.kept)

    async def _here(self, planned: Sequence[PlannedTool]) -> dict[str, StoredTool]:
        """The tools that are here by the names of these. They stay as they are until the commit.

        Most imports change none, and do not wait for one another. Whoever does locks them for that
        at once: it could not be done afterwards without waiting for others that keep them, too.
        """
        names = [one.tool.name for one in planned]
        found = await find_tools(self._connection, self._organization_id, names=names, lock=False)
        by_name = {tool.name: tool for tool in found}
        for_change = any(
            self._is_overwritten(by_name[one.tool.name], one.tool)
            for one in planned
            if one.tool.name in by_name
        )
        found = await find_tools(
            self._connection, self._organization_id, names=names, for_change=for_change
        )
        return {tool.name: tool for tool in found}

    def _addable(self, one: PlannedTool) -> StoredTool | None:
        """The tool as it is stored where none by its name is here; None where it may not be."""
        if one.server_name is not None and not self._setting.adds_servers:
            return None
        return self._with_server(one)

    def _on_server(self, one: PlannedTool, earlier: StoredTool | None) -> StoredTool | None:
        """The tool beside one that is here, if any; it is told where it is left out."""
        tool = self._addable(one) if earlier is None else self._with_server(one)
        if tool is None:
            self._notes.tell(SERVERLESS, one.tool.name)
            self.missing.add(one.tool.name)
        return tool

    def _with_server(self, one: PlannedTool) -> StoredTool | None:
        if one.server_name is None:
            return one.tool
        server_id = self._servers.get(one.server_name)
        if server_id is None:
            return None
        return one.tool.model_copy(update={"mcp_server_id": server_id})

    def _is_overwritten(self, earlier: StoredTool, new: StoredTool) -> bool:
        """Whether a tool that is here is to become what the file says."""
        return (
            self._setting.options.override_existing_tools
            and earlier.tool_type == new.tool_type == "custom"
            and not _say_the_same(earlier, new)
        )

    def _takes_over(self, earlier: StoredTool, new: StoredTool) -> bool:
        """The same, and tell what becomes of it."""
        if (earlier.tool_type, earlier.mcp_server_id) != (new.tool_type, new.mcp_server_id):
            self._notes.tell(OTHER_KIND, new.name)
            return False
        if _say_the_same(earlier, new):
            return False
        is_overwritten = self._is_overwritten(earlier, new)
        self._notes.tell(TOOL_CHANGED if is_overwritten else TOOL_STAYS, new.name)
        return is_overwritten


def _say_the_same(earlier: StoredTool, new: StoredTool) -> bool:
    """Whether nothing about a tool would change."""
    own = {"id", "created_at", "updated_at", "created_by_id", "last_updated_by_id"}
    return earlier.model_dump(exclude=own) == new.model_dump(exclude=own)
