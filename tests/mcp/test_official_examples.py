"""Agents use servers that others wrote: the examples of the official MCP package."""

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from letta_client import Letta

from tests.support.ports import own_port
from tests.support.product import MCP_EXAMPLES, MCP_FOLDERS, eventually
from tests.support.provider import HANDLE, call, do, say

_OVER_HTTP = MCP_EXAMPLES / "servers" / "simple-streamablehttp"
_OVER_STDIO = MCP_EXAMPLES / "snippets" / "servers" / "direct_execution.py"


@pytest.fixture
def url() -> Iterator[str]:
    port = own_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "mcp_simple_streamablehttp", "--port", str(port)],
        env=os.environ | {"PYTHONPATH": str(_OVER_HTTP)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}/mcp"
    eventually(lambda: _answers(url), what="the example over HTTP")
    yield url
    process.terminate()
    process.wait(timeout=10)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).status_code < 500
    except httpx.HTTPError:
        return False


def _use(
    client: Letta, server_name: str, config: Any, own_name: str, **arguments: Any
) -> tuple[str, str]:
    """The status and the text of what a tool of a server returns to an agent."""
    server: Any = client.mcp_servers.create(server_name=server_name, config=config)
    listed: Any = client.mcp_servers.tools.list(server.id)
    tool = next(one for one in listed if one.metadata["mcp"]["tool_name"] == own_name)
    agent = client.agents.create(model=HANDLE, tool_ids=[tool.id])
    text = do(call(tool.name, **arguments), say("done"))
    reply = client.agents.messages.create(agent.id, input=text)
    (returned,) = [one for one in reply.messages if one.message_type == "tool_return_message"]
    client.mcp_servers.delete(server.id)
    return returned.status, str(returned.tool_return)


def test_an_agent_uses_the_example_over_streamable_http_which_sends_notifications_first(
    client: Letta, url: str
) -> None:
    config = {"mcp_server_type": "streamable_http", "server_url": url}
    tool, sent = "start-notification-stream", {"interval": 0, "count": 3, "caller": "Ada"}
    status, text = _use(client, "official-http", config, tool, **sent)
    assert (status, text[:20]) == ("success", "Sent 3 notifications")
    assert text.endswith("for caller: Ada")


def test_an_agent_uses_the_example_over_stdio(client: Letta) -> None:
    config = {
        "mcp_server_type": "stdio",
        "command": "python3",
        "args": [str(_OVER_STDIO)],
        "env": {"PYTHONPATH": MCP_FOLDERS[0]},
    }
    assert _use(client, "official-stdio", config, "hello", name="Ada") == ("success", "Hello, Ada!")
