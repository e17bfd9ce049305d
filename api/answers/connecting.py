"""The events of a connection to an MCP server, as V1's clients read them while it is made."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

from fastapi.responses import StreamingResponse

from api.answers.chunks import DONE, frame
from o.domain.mcp import McpServer, McpTool
from o.errors import McpUnauthorized, OError

Listing = Callable[[], Awaitable[Sequence[McpTool]]]

_log = logging.getLogger(__name__)
_KEEP_ALIVE_S = 5.0
_KEEP_ALIVE = b": keep-alive\n\n"
_WANTS_OAUTH = (
    "The server wants to know who asks (401). O makes no OAuth connection: get a token where the "
    "server is from, and set it as auth_token, or another header as custom_headers "
    "(PATCH /v1/mcp-servers/{id})."
)


def connection_stream(server: McpServer, list_tools: Listing) -> StreamingResponse:
    """Tell how a connection comes about. Closing the stream ends it.

    Args:
        server: Which server.
        list_tools: Connects and has the tools; it ends within limits of its own.
    """
    return StreamingResponse(
        _frames(server, list_tools),
        media_type="text/event-stream",
        headers={"cache-control": "no-cache", "x-accel-buffering": "no"},
    )


async def _frames(server: McpServer, list_tools: Listing) -> AsyncIterator[bytes]:
    asking = asyncio.ensure_future(list_tools())
    try:
        yield _event("connection_attempt", server)
        while not (await asyncio.wait({asking}, timeout=_KEEP_ALIVE_S))[0]:
            yield _KEEP_ALIVE
        for one in _outcome(server, asking):
            yield one
        yield DONE
    finally:
        asking.cancel()


def _outcome(server: McpServer, asked: "asyncio.Future[Sequence[McpTool]]") -> list[bytes]:
    """The last events: the tools, or why there are none."""
    try:
        return [_event("success", server, tools=[_shown(tool) for tool in asked.result()])]
    except McpUnauthorized:
        told = _WANTS_OAUTH.format(id=server.id)
        return [_event(name, server, message=told) for name in ("oauth_required", "error")]
    except OError as error:
        said = error.message
    except Exception as error:
        _log.warning("a connection is not told of", extra={"error": type(error).__name__})
        said = "The server could not be asked; try again."
    return [_event("error", server, message=said)]


def _event(name: str, server: McpServer, **more: Any) -> bytes:
    return frame({"event": name, "server_name": server.server_name, **more})


def _shown(tool: McpTool) -> dict[str, Any]:
    """A tool as its server describes it, by the names of MCP."""
    return {
        "name": tool.name,
        "description": tool.description,
        "inputSchema": dict(tool.input_schema),
    }
