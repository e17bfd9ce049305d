"""Which MCP servers of an agent file may be added: those that their own route would take."""

from pydantic import ValidationError

from api.mcp_servers import McpBook
from api.wire.mcp import CreateMcpServerBody
from o.domain.text import storable
from o.errors import InvalidArgument, InvalidInput
from o.letta.file_models import AgentFile, FileServer

REFUSED = "An MCP server is left out: {}"

_MOST_CHARS = 300


async def refused_servers(file: AgentFile, book: McpBook) -> dict[str, str]:
    """What is to be told of servers that are not to be added, by their names."""
    return {
        storable(one.server_name): REFUSED.format(why[:_MOST_CHARS])
        for one in file.mcp_servers
        if (why := await _why_not(one, book)) is not None
    }


async def _why_not(server: FileServer, book: McpBook) -> str | None:
    stdio = server.stdio_config or {}
    config = {
        "mcp_server_type": server.server_type,
        "server_url": server.server_url,
        "command": stdio.get("command"),
        "args": stdio.get("args") or [],
    }
    try:
        body = CreateMcpServerBody.model_validate(
            {"server_name": server.server_name, "config": config}
        )
        await book.check(server.server_type, getattr(body.config, "server_url", None))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        return f"{first['loc'][-1]}: {first['msg']}"
    except (InvalidArgument, InvalidInput) as error:
        return error.message
    return None
