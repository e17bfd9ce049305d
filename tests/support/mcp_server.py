"""An MCP server as people write them, with the official package.

It runs as a process of its own: `python -m tests.support.mcp_server streamable-http` prints the
port of loopback that it listens on.
"""

import argparse
import asyncio
import os
import socket
import uuid
from typing import Any

import uvicorn
from mcp.server.mcpserver import MCPServer
from mcp_types import CallToolResult, ImageContent, TextContent, ToolAnnotations

server = MCPServer("example", log_level="CRITICAL")
calls: list[str] = []


@server.tool()
def add(a: int, b: int) -> str:
    """Add two numbers."""
    return str(a + b)


@server.tool(annotations=ToolAnnotations(readOnlyHint=True))
def weather(city: str, unit: str = "C") -> dict[str, Any]:
    """The weather of a city."""
    return {"city": city, "temperature": 21, "unit": unit}


@server.tool()
def fail(why: str) -> str:
    """Fail."""
    raise ValueError(why)


@server.tool()
def picture() -> CallToolResult:
    """A picture with a title."""
    image = ImageContent(type="image", data="aGVsbG8=", mimeType="image/png")
    return CallToolResult(content=[TextContent(type="text", text="Ada"), image])


@server.tool(name="who.am/I")
def who() -> str:
    """A tool whose name no model takes."""
    return "the example"


@server.tool()
def once() -> str:
    """How often it was called, and by whom."""
    calls.append(uuid.uuid4().hex)
    return str(len(calls))


@server.tool()
async def stall() -> str:
    """Answer in a minute."""
    await asyncio.sleep(60)
    return "done"


@server.tool()
def crash() -> str:
    """End in the middle of a call."""
    os._exit(1)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("transport", choices=["stdio", "sse", "streamable-http"])
    parser.add_argument("--tools", type=int, default=0, help="So many more.")
    parser.add_argument("--changed", action="store_true", help="One is new, one reads otherwise.")
    options = parser.parse_args()
    if options.changed:
        server.remove_tool("add")
        server.add_tool(add, description="Add them up.")
        server.add_tool(lambda: "yes", name="changed", description="A new one.")
    for number in range(options.tools):
        server.add_tool(lambda text="": text, name=f"tool_{number}", description="One of many.")
    if options.transport == "stdio":
        server.run("stdio")
        return
    app = server.sse_app() if options.transport == "sse" else server.streamable_http_app()
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)  # noqa: T201
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])


if __name__ == "__main__":
    main()
