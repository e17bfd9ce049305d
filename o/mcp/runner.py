"""Runs the tools of MCP servers."""

from collections.abc import Awaitable, Callable

from o.domain.mcp import McpServer
from o.domain.text import storable_json
from o.errors import Conflict, McpFailed, ToolFailed
from o.mcp.schemas import own_arguments
from o.mcp.servers import McpServers
from o.mcp.targets import target_of
from o.mcp.tools import own_names_of
from o.secrets import Keyring
from o.tools.invocation import Invocation, Returned

ReadServer = Callable[[str, str], Awaitable[McpServer | None]]
"""The server by the ids of its organization and its own; None where it is gone."""

MAY_HAVE_RUN = (
    " The call was sent, so the tool may have run, in part or whole. It was not called again: find "
    "out what it did before you repeat it."
)


class McpRunner:
    """A `ToolRunner` for the tools of MCP servers."""

    def __init__(self, servers: McpServers, keyring: Keyring, read_server: ReadServer) -> None:
        self._servers = servers
        self._keyring = keyring
        self._read_server = read_server

    def repeats_safely(self, call: Invocation) -> bool:
        """Whether the server says so of its tool (`readOnlyHint`, `idempotentHint`)."""
        return call.tool is not None and call.tool.is_idempotent

    async def run(
        self, call: Invocation, *, before_sending: Callable[[], Awaitable[None]]
    ) -> Returned:
        """Call a tool of a server; see `ToolRunner`.

        Raises:
            ToolFailed: The server is gone, or could not be reached.
            McpBusy: As many calls to it as may be are under way; nothing was sent.
        """
        tool = call.tool
        if tool is None or tool.mcp_server_id is None or tool.mcp_name is None:
            raise ToolFailed(f"{call.name} belongs to no MCP server.")
        server = await self._read_server(call.organization_id, tool.mcp_server_id)
        if server is None:
            raise ToolFailed(f"The MCP server of {call.name} was deleted.")
        try:
            target = target_of(server, self._keyring)
        except Conflict as error:
            raise ToolFailed(error.message) from error
        sent = False

        async def sending() -> None:
            nonlocal sent
            await before_sending()
            sent = True

        arguments = own_arguments(storable_json(call.arguments), own_names_of(tool))
        try:
            well, text = await self._servers.call(target, tool.mcp_name, arguments, sending)
        except McpFailed as error:
            words = f"Error from the MCP server {server.server_name}: {error.message}."
            if not sent:
                raise ToolFailed(f"{words} The tool was not called.") from error
            lost = not error.answered and not self.repeats_safely(call)
            return Returned("error", words + (MAY_HAVE_RUN if lost else ""), may_have_run=lost)
        return Returned("success" if well else "error", text)
