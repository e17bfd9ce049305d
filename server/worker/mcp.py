"""What a worker does with MCP servers: their tools in turns, and what the API asks of them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from activities.worker_requests import Asked, Handler
from o.domain.mcp import McpServer
from o.errors import NotFound
from o.mcp.runner import McpRunner, ReadServer
from o.mcp.servers import McpLimits, McpServers
from o.mcp.targets import target_of
from o.outbound import OutboundGuard
from o.secrets import Keyring
from o.settings.all import Settings
from o.storage.database import Database
from o.storage.tools.mcp_servers import mcp_server_reader
from o.storage.worker_requests import LIST_MCP_TOOLS
from sandbox.bubblewrap.backend import BubblewrapSandbox
from sandbox.choice import limits_of
from sandbox.mcp_processes import ConfinedServers
from sandbox.protocol import Limits


@dataclass(frozen=True)
class McpWork:
    """The runner of the tools of MCP servers, and handlers of what the API asks, by kind."""

    runner: McpRunner
    handlers: Mapping[str, Handler]


def mcp_work(settings: Settings, database: Database, keyring: Keyring) -> McpWork:
    """Put it together. The `mcp` package is loaded when the first server is asked."""
    limits = McpLimits(
        connect_s=settings.mcp_connect_timeout_s,
        list_s=settings.mcp_list_timeout_s,
        call_s=settings.mcp_call_timeout_s,
        at_once=settings.mcp_calls,
    )
    read_server = mcp_server_reader(database)
    spawn = _stdio(settings) if settings.mcp_stdio else None
    servers = McpServers(OutboundGuard(settings.outbound_allow), limits, spawn)
    runner = McpRunner(servers, keyring, read_server)
    return McpWork(runner, {LIST_MCP_TOOLS: _lister(servers, keyring, read_server)})


def _lister(servers: McpServers, keyring: Keyring, read_server: ReadServer) -> Handler:
    """What asks a server, `{"server_id"}` or `{"server"}`, for `{"tools"}`. It bears repeating.

    It raises `McpFailed` where the server could not be asked.
    """

    async def list_tools(asked: Asked) -> dict[str, Any]:
        server = await _server_of(asked, read_server)
        found = await servers.list_tools(target_of(server, keyring))
        return {"tools": [asdict(tool) for tool in found]}

    return list_tools


async def _server_of(asked: Asked, read_server: ReadServer) -> McpServer:
    """The stored server by an id, or one that comes whole, because it is stored nowhere."""
    if (whole := asked.request.get("server")) is not None:
        return McpServer.model_validate(whole)
    server_id = str(asked.request["server_id"])
    server = await read_server(asked.organization_id, server_id)
    if server is None:
        raise NotFound(f"MCP server with id {server_id} not found")
    return server


def _stdio(settings: Settings) -> ConfinedServers:
    """What starts servers over stdio, whatever the sandbox of other tools is."""
    lives_s = settings.mcp_connect_timeout_s + max(
        settings.mcp_list_timeout_s, settings.mcp_call_timeout_s
    )
    limits = Limits(timeout_s=lives_s, memory=settings.mcp_stdio_memory_mb * 1024 * 1024)
    return ConfinedServers(
        settings.mcp_stdio_folders, limits, BubblewrapSandbox(limits_of(settings)).look
    )
