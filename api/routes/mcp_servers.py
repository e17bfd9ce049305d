"""MCP servers: create, list, retrieve, change, delete, refresh, and their tools."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Query, Response
from fastapi.responses import StreamingResponse

from api.answers.connecting import connection_stream
from api.bodies import answer
from api.deps import ActorDep, Parts, PartsDep, ReadsDep, ToolId, TransactionDep
from api.documentation import CONNECTION, MCP_FAILURES
from api.tools.tool_runs import run_by_worker
from api.wire.mcp import (
    CreateMcpServerBody,
    McpServerBody,
    RefreshedToolsBody,
    RunMcpToolBody,
    UpdateMcpServerBody,
)
from api.wire.tools import ToolBody, ToolExecutionBody
from o.domain.actors import Actor
from o.domain.tools import StoredTool
from o.ids import pattern
from o.mcp.tools import ToolChanges
from o.storage.tools import mcp_servers as stored
from o.storage.tools.tools import get_tool, tool_not_found

router = APIRouter(tags=["mcp-servers"])
ServerId = Annotated[str, Path(alias="mcp_server_id", pattern=pattern("mcp_server"))]


@router.get(
    "/mcp-servers/",
    operation_id="mcp_list_mcp_servers",
    summary="List MCP servers",
    response_model=list[McpServerBody],
)
async def index(parts: PartsDep, connection: ReadsDep, actor: ActorDep) -> Response:
    """All of them, the oldest first. Tokens and headers are masked."""
    found = await stored.list_mcp_servers(connection, actor)
    return answer([parts.mcp.shown(server) for server in found])


@router.post(
    "/mcp-servers/",
    operation_id="mcp_create_mcp_server",
    summary="Add an MCP server",
    response_model=McpServerBody,
)
async def create(body: CreateMcpServerBody, parts: PartsDep, actor: ActorDep) -> Response:
    """Store a server and list its tools. Where that fails it is stored, and `problem` says why."""
    return answer(parts.mcp.shown(await parts.mcp.create(actor, body)))


@router.get(
    "/mcp-servers/{mcp_server_id}",
    operation_id="mcp_retrieve_mcp_server",
    summary="Retrieve an MCP server",
    response_model=McpServerBody,
)
async def retrieve(
    server_id: ServerId, parts: PartsDep, connection: ReadsDep, actor: ActorDep
) -> Response:
    """One server. Its token and headers are masked."""
    return answer(parts.mcp.shown(await stored.get_mcp_server(connection, actor, server_id)))


@router.patch(
    "/mcp-servers/{mcp_server_id}",
    operation_id="mcp_update_mcp_server",
    summary="Change an MCP server",
    response_model=McpServerBody,
)
async def update(
    server_id: ServerId,
    body: Annotated[UpdateMcpServerBody, Body()],
    parts: PartsDep,
    actor: ActorDep,
) -> Response:
    """Change what is named. Its tools stay as they are until it is refreshed."""
    return answer(parts.mcp.shown(await parts.mcp.change(actor, server_id, body)))


@router.delete(
    "/mcp-servers/{mcp_server_id}",
    operation_id="mcp_delete_mcp_server",
    summary="Delete an MCP server",
    status_code=204,
    response_class=Response,
)
async def delete(server_id: ServerId, connection: TransactionDep, actor: ActorDep) -> None:
    """Delete a server with its tools, which every agent loses."""
    await stored.delete_mcp_server(connection, actor, server_id)


@router.get(
    "/mcp-servers/connect/{mcp_server_id}",
    operation_id="mcp_connect_mcp_server",
    summary="Try to connect to an MCP server",
    response_class=StreamingResponse,
    responses=CONNECTION,
)
async def connect(server_id: ServerId, parts: PartsDep, actor: ActorDep) -> Response:
    """Events while O connects to a server and lists its tools. What is stored stays as it is."""
    async with parts.database.connect() as connection:
        server = await stored.get_mcp_server(connection, actor, server_id)
    return connection_stream(server, partial(parts.mcp.list_tools, actor, server_id))


@router.patch(
    "/mcp-servers/{mcp_server_id}/refresh",
    operation_id="mcp_refresh_mcp_server_tools",
    summary="Ask an MCP server for its tools anew",
    response_model=RefreshedToolsBody,
    responses=MCP_FAILURES,
)
async def refresh(
    server_id: ServerId,
    parts: PartsDep,
    actor: ActorDep,
    agent_id: Annotated[str | None, Query(max_length=100)] = None,
) -> Response:
    """Add, change and delete tools so that they are the server's. `agent_id` means nothing here."""
    return answer(refreshed(await parts.mcp.refresh(actor, server_id)))


@router.get(
    "/mcp-servers/{mcp_server_id}/tools",
    operation_id="mcp_list_tools_for_mcp_server",
    summary="List the tools of an MCP server",
    response_model=list[ToolBody],
)
async def list_tools(server_id: ServerId, connection: ReadsDep, actor: ActorDep) -> Response:
    """All of them as they were last listed, by name."""
    await stored.get_mcp_server(connection, actor, server_id)
    found = await stored.list_server_tools(connection, actor, server_id)
    return answer([ToolBody.of(tool) for tool in found])


@router.get(
    "/mcp-servers/{mcp_server_id}/tools/{tool_id}",
    operation_id="mcp_retrieve_mcp_tool",
    summary="Retrieve a tool of an MCP server",
    response_model=ToolBody,
)
async def retrieve_tool(
    server_id: ServerId, tool_id: ToolId, connection: ReadsDep, actor: ActorDep
) -> Response:
    """One tool of a server."""
    tool = await get_tool(connection, actor, tool_id)
    return answer(ToolBody.of(_of_server(tool, server_id)))


@router.post(
    "/mcp-servers/{mcp_server_id}/tools/{tool_id}/run",
    operation_id="mcp_run_tool",
    summary="Run a tool of an MCP server",
    response_model=ToolExecutionBody,
)
async def run_tool(
    server_id: ServerId,
    tool_id: ToolId,
    parts: PartsDep,
    actor: ActorDep,
    body: Annotated[RunMcpToolBody | None, Body()] = None,
) -> Response:
    """Call a tool without an agent. What goes wrong inside it is a result with `stderr`."""
    async with parts.database.connect() as connection:
        tool = _of_server(await get_tool(connection, actor, tool_id), server_id)
    found = await run_mcp_tool(parts, actor, tool, body.args if body else {})
    if found["status"] == "success":
        return answer(ToolExecutionBody(status="success", func_return=found["content"]))
    return answer(ToolExecutionBody(status="error", stderr=[found["content"]]))


async def run_mcp_tool(
    parts: Parts, actor: Actor, tool: StoredTool, arguments: dict[str, Any]
) -> dict[str, Any]:
    """What a tool of an MCP server returns, with its `status`. No transaction is to be open."""
    limits = parts.settings
    within_s = limits.mcp_connect_timeout_s + limits.mcp_call_timeout_s
    return await run_by_worker(parts, actor, tool.name, arguments, tool=tool, within_s=within_s)


def refreshed(changes: ToolChanges) -> RefreshedToolsBody:
    """What a refresh changed, as clients are told."""
    return RefreshedToolsBody(
        added=_names(changes.added),
        updated=_names(changes.updated),
        deleted=_names(changes.deleted),
    )


def _names(tools: Sequence[StoredTool]) -> list[str]:
    return [tool.name for tool in tools]


def _of_server(tool: StoredTool, server_id: str) -> StoredTool:
    if tool.mcp_server_id != server_id:
        raise tool_not_found(tool.id)
    return tool
