"""What the API asks of workers about MCP servers."""

from dataclasses import asdict
from typing import Any

from activities.worker_requests import AlreadyStarted, Asked
from o.domain.actors import Actor
from o.errors import NotFound
from o.mcp.runner import MAY_HAVE_RUN, McpRunner, ReadServer
from o.mcp.servers import McpServers
from o.mcp.targets import target_of
from o.secrets import Keyring
from o.storage.database import Database
from o.storage.tools import get_tool
from o.tools.invocation import Invocation


class McpRequests:
    """Handlers of worker requests."""

    def __init__(
        self,
        database: Database,
        servers: McpServers,
        runner: McpRunner,
        keyring: Keyring,
        read_server: ReadServer,
    ) -> None:
        self._database = database
        self._servers = servers
        self._runner = runner
        self._keyring = keyring
        self._read_server = read_server

    async def list_tools(self, asked: Asked) -> dict[str, Any]:
        """The tools of a server, as it describes them. It bears repeating.

        Raises:
            McpFailed: It could not be asked.
        """
        server_id = str(asked.request["server_id"])
        server = await self._read_server(asked.organization_id, server_id)
        if server is None:
            raise NotFound(f"MCP server with id {server_id} not found")
        found = await self._servers.list_tools(target_of(server, self._keyring))
        return {"tools": [asdict(tool) for tool in found]}

    async def call(self, asked: Asked) -> dict[str, Any]:
        """Call a tool once, whatever becomes of the workers.

        Raises:
            ToolFailed: It was not called.
        """
        actor = Actor(organization_id=asked.organization_id)
        async with self._database.connect() as connection:
            tool = await get_tool(connection, actor, str(asked.request["tool_id"]))
        call = Invocation(
            organization_id=asked.organization_id,
            name=tool.name,
            arguments=asked.request["arguments"],
            idempotency_key=asked.id,
            tool=tool,
        )
        repeats = self._runner.repeats_safely(call)
        unseen = {"status": "error", "content": MAY_HAVE_RUN.strip(), "may_have_run": True}
        if asked.is_started and not repeats:
            return unseen

        async def before_sending() -> None:
            if not (asked.is_started and repeats):
                await asked.before_sending()

        try:
            returned = await self._runner.run(call, before_sending=before_sending)
        except AlreadyStarted:
            return unseen
        return {
            "status": returned.status,
            "content": returned.content,
            "may_have_run": returned.may_have_run,
        }
