"""V1's older routes of MCP servers, `/tools/mcp/servers`: the same servers, by their names."""

from typing import Annotated

from fastapi import APIRouter, Body, Path, Query, Request, Response

from api.access.audit import note_target
from api.bodies import answer
from api.deps import ActorDep, Parts, PartsDep, ReadsDep, TransactionDep
from api.documentation import MCP_FAILURES
from api.routes.mcp_servers import refreshed, run_mcp_tool
from api.wire.mcp import RefreshedToolsBody, RunMcpToolBody
from api.wire.named_mcp import (
    McpResultBody,
    McpToolBody,
    NamedMcpServer,
    NamedServerBody,
    NamedServerChanges,
    TestedServerBody,
    as_change,
    as_new,
)
from api.wire.tools import ToolBody
from o.domain.actors import Actor
from o.domain.mcp import McpServer
from o.domain.tools import StoredTool
from o.errors import McpFailed, NotFound
from o.storage.tools import mcp_servers as stored

router = APIRouter(prefix="/tools/mcp/servers", tags=["mcp-servers"])
ServerName = Annotated[str, Path(alias="mcp_server_name", max_length=255)]
ToolName = Annotated[str, Path(alias="mcp_tool_name", max_length=1_000)]


@router.get(
    "",
    operation_id="list_mcp_servers",
    summary="List MCP servers by name",
    response_model=dict[str, NamedMcpServer],
)
async def index(
    parts: PartsDep, connection: ReadsDep, actor: ActorDep
) -> dict[str, NamedMcpServer]:
    """The same servers as `/mcp-servers/` lists, by their names."""
    found = await stored.list_mcp_servers(connection, actor)
    return {server.server_name: _shown(parts, server) for server in found}


@router.put(
    "",
    operation_id="add_mcp_server",
    summary="Add or change an MCP server by name",
    response_model=list[NamedMcpServer],
)
async def put(
    body: Annotated[NamedServerBody, Body()], parts: PartsDep, actor: ActorDep
) -> Response:
    """Store a server, or make the one of that name the same, and list its tools.

    Where its tools cannot be listed it is stored, and `problem` says why. Every server is answered.
    """
    async with parts.database.connect() as connection:
        old = await stored.find_mcp_server(connection, actor, body.server_name)
    if old is None:
        await parts.mcp.create(actor, as_new(body))
    else:
        await parts.mcp.change(actor, old.id, as_change(body))
        await parts.mcp.try_refresh(actor, old.id)
    return await _all(parts, actor)


@router.post(
    "/test",
    operation_id="test_mcp_server",
    summary="Try an MCP server without adding it",
    response_model=TestedServerBody,
    responses=MCP_FAILURES,
)
async def test(
    body: Annotated[NamedServerBody, Body()], parts: PartsDep, actor: ActorDep
) -> Response:
    """List the tools of a server that is not stored."""
    found = await parts.mcp.tools_of(actor, as_new(body))
    return answer(TestedServerBody(tools=[McpToolBody.listed(tool) for tool in found]))


@router.patch(
    "/{mcp_server_name}",
    operation_id="update_mcp_server",
    summary="Change an MCP server by name",
    response_model=NamedMcpServer,
)
async def update(
    name: ServerName, body: NamedServerChanges, parts: PartsDep, actor: ActorDep
) -> Response:
    """Change what is named. Its tools stay as they are until it is refreshed."""
    server = await _named(parts, actor, name)
    return answer(_shown(parts, await parts.mcp.change(actor, server.id, body.as_change())))


@router.delete(
    "/{mcp_server_name}",
    operation_id="delete_mcp_server",
    summary="Delete an MCP server by name",
    response_model=list[NamedMcpServer],
)
async def delete(
    name: ServerName,
    request: Request,
    parts: PartsDep,
    connection: TransactionDep,
    actor: ActorDep,
) -> Response:
    """Delete a server with its tools, which every agent loses. What is left is answered."""
    server = await stored.get_mcp_server_by_name(connection, actor, name)
    note_target(request, server.id)
    await stored.delete_mcp_server(connection, actor, server.id)
    left = await stored.list_mcp_servers(connection, actor)
    return answer([_shown(parts, one) for one in left])


@router.get(
    "/{mcp_server_name}/tools",
    operation_id="list_mcp_tools_by_server",
    summary="List the tools of an MCP server by its name",
    response_model=list[McpToolBody],
    responses=MCP_FAILURES,
)
async def list_tools(name: ServerName, connection: ReadsDep, actor: ActorDep) -> Response:
    """All of them as they were last listed, under the server's own names."""
    server = await stored.get_mcp_server_by_name(connection, actor, name)
    found = await stored.list_server_tools(connection, actor, server.id)
    if server.problem and not found:
        raise McpFailed(server.problem)
    return answer([McpToolBody.of(tool) for tool in found])


@router.post(
    "/{mcp_server_name}/resync",
    operation_id="resync_mcp_server_tools",
    summary="Ask an MCP server for its tools anew, by its name",
    response_model=RefreshedToolsBody,
    responses=MCP_FAILURES,
)
async def resync(
    name: ServerName,
    parts: PartsDep,
    actor: ActorDep,
    agent_id: Annotated[str | None, Query(max_length=100)] = None,
) -> Response:
    """Add, change and delete tools so that they are the server's. `agent_id` means nothing here."""
    server = await _named(parts, actor, name)
    return answer(refreshed(await parts.mcp.refresh(actor, server.id)))


@router.post(
    "/{mcp_server_name}/{mcp_tool_name}",
    operation_id="add_mcp_tool",
    summary="Retrieve a tool of an MCP server by its name there",
    response_model=ToolBody,
)
async def add_tool(
    name: ServerName, tool_name: ToolName, connection: ReadsDep, actor: ActorDep
) -> Response:
    """The tool that an agent can be given. It is here since the server's tools were listed."""
    server = await stored.get_mcp_server_by_name(connection, actor, name)
    found = await stored.list_server_tools(connection, actor, server.id)
    return answer(ToolBody.of(_tool(server, found, tool_name)))


@router.post(
    "/{mcp_server_name}/tools/{mcp_tool_name}/execute",
    operation_id="execute_mcp_tool",
    summary="Run a tool of an MCP server by its name there",
    response_model=McpResultBody,
)
async def execute(
    name: ServerName,
    tool_name: ToolName,
    body: RunMcpToolBody,
    parts: PartsDep,
    actor: ActorDep,
) -> Response:
    """Call a tool without an agent. What goes wrong inside it is a result without `success`."""
    async with parts.database.connect() as connection:
        server = await stored.get_mcp_server_by_name(connection, actor, name)
        found = await stored.list_server_tools(connection, actor, server.id)
    ran = await run_mcp_tool(parts, actor, _tool(server, found, tool_name), body.args)
    return answer(McpResultBody(result=ran["content"], success=ran["status"] == "success"))


async def _named(parts: Parts, actor: Actor, name: str) -> McpServer:
    async with parts.database.connect() as connection:
        return await stored.get_mcp_server_by_name(connection, actor, name)


async def _all(parts: Parts, actor: Actor) -> Response:
    async with parts.database.connect() as connection:
        found = await stored.list_mcp_servers(connection, actor)
    return answer([_shown(parts, server) for server in found])


def _shown(parts: Parts, server: McpServer) -> NamedMcpServer:
    return NamedMcpServer.named(parts.mcp.shown(server))


def _tool(server: McpServer, tools: list[StoredTool], name: str) -> StoredTool:
    """The tool that the server calls so; else the one that has the name here."""
    by_name = {tool.name: tool for tool in tools} | {tool.mcp_name: tool for tool in tools}
    if (found := by_name.get(name)) is None:
        raise NotFound(
            f"The MCP server {server.server_name} has no tool named {name}; "
            "where it is new there, have its tools listed anew (`…/resync`)."
        )
    return found
