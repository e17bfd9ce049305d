"""Which MCP servers of an agent file may be added: those that their own route would take."""

import asyncio
from collections.abc import Collection

from pydantic import ValidationError

from api.tools.mcp_servers import McpBook
from api.wire.mcp import CreateMcpServerBody, StdioConfig
from o.errors import InvalidArgument, InvalidInput
from o.letta.file_models import AgentFile, FileServer
from o.letta.planned_tools import server_name_of
from o.letta.reading import place_of, unreadable

REFUSED = "An MCP server is left out: {}"
GONE = "it was here, and somebody has deleted it meanwhile."
MOST = 100
"""Servers that one file may add: each is an address to be looked up."""

_AT_ONCE = 4  # a name that is not found holds one of the few threads that look names up
_MOST_CHARS = 300


async def judge_servers(
    file: AgentFile, here: Collection[str], book: McpBook
) -> tuple[AgentFile, dict[str, str]]:
    """Judge the servers that are new.

    Args:
        file: Its servers, of which some may be here.
        here: The names of those that are; they stay as they are, and are not judged.
        book: Of the servers.

    Returns:
        The file, whose new servers are as they were judged; and, by their names, what is to be
        told of servers that are not to be added.

    Raises:
        InvalidInput: The file has too many new ones.
    """
    new = [one for one in file.mcp_servers if server_name_of(one) not in here]
    if len(new) > MOST:
        raise unreadable(f"mcp_servers: it has {len(new)} new MCP servers, and may add {MOST}")
    room = asyncio.Semaphore(_AT_ONCE)

    async def judged(one: FileServer) -> FileServer | str:
        async with room:
            return await _judged(one, book)

    refused = {name: REFUSED.format(GONE) for name in here}
    as_judged = {}
    for one, verdict in zip(new, await asyncio.gather(*map(judged, new)), strict=True):
        if isinstance(verdict, str):
            refused[server_name_of(one)] = REFUSED.format(verdict[:_MOST_CHARS])
        else:
            as_judged[one.id] = verdict
    servers = [as_judged.get(one.id, one) for one in file.mcp_servers]
    return file.model_copy(update={"mcp_servers": servers}), refused


async def _judged(server: FileServer, book: McpBook) -> FileServer | str:
    """The server as its route would store it, or why it would not."""
    stdio = server.stdio_config or {}
    config = {
        "mcp_server_type": server.server_type,
        "server_url": server.server_url,
        "command": stdio.get("command"),
        "args": stdio.get("args") or [],
    }
    try:
        body = CreateMcpServerBody.model_validate(
            {"server_name": server_name_of(server), "config": config}
        )
        url = None if isinstance(body.config, StdioConfig) else body.config.server_url
        await book.check(server.server_type, url)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        return f"{place_of(first['loc']) or 'server'}: {first['msg']}"
    except (InvalidArgument, InvalidInput) as error:
        return error.message
    process = None
    if isinstance(body.config, StdioConfig):
        process = {"command": body.config.command, "args": body.config.args}
    return server.model_copy(
        update={"server_name": body.server_name, "server_url": url, "stdio_config": process}
    )
