"""The MCP servers of an agent file are judged before any is stored."""

import asyncio
from typing import Any

from api.agent_files.judged_servers import judge_servers
from api.tools.mcp_servers import McpBook
from o.letta.file_models import AgentFile
from o.outbound import OutboundGuard
from o.settings.all import Settings
from tests.support import agent_files as files

NOBODY: Any = None


async def test_servers_are_looked_up_together_and_those_that_are_here_not_at_all() -> None:
    together = asyncio.Barrier(3)
    looked_up = set()

    async def resolve(host: str, _port: int) -> list[str]:
        looked_up.add(host)
        async with asyncio.timeout(10):
            await together.wait()
        return ["10.0.0.1" if host == "b" else "1.1.1.1"]

    guard = OutboundGuard(resolve=resolve)
    book = McpBook(NOBODY, NOBODY, NOBODY, guard, Settings())
    servers = [
        {"id": name, "server_name": name, "server_type": "sse", "server_url": f"http://{name}/sse"}
        for name in "abcd"
    ]
    file = AgentFile.model_validate(files.whole(files.agent(), mcp_servers=servers))
    _, refused = await judge_servers(file, {"d"}, book)
    assert looked_up == {"a", "b", "c"}
    assert "b is no public address" in refused["b"]
    assert not refused.keys() & {"a", "c"}
