"""What the API asks of workers about MCP servers."""

from dataclasses import asdict
from typing import Any

from activities.worker_requests import Asked
from o.errors import NotFound
from o.mcp.runner import ReadServer
from o.mcp.servers import McpServers
from o.mcp.targets import target_of
from o.secrets import Keyring


class McpRequests:
    """Handlers of worker requests."""

    def __init__(
        self,
        servers: McpServers,
        keyring: Keyring,
        read_server: ReadServer,
    ) -> None:
        self._servers = servers
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
