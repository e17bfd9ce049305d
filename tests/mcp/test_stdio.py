"""MCP servers over stdio: in a sandbox of bubblewrap, or not at all."""

import sysconfig
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from o.domain.mcp import McpTarget
from o.errors import McpFailed
from o.mcp.servers import McpLimits, McpServers
from o.outbound import OutboundGuard
from sandbox.bubblewrap.backend import BubblewrapSandbox
from sandbox.mcp_processes import ConfinedServers
from sandbox.protocol import Limits, SandboxState
from tests import support

PACKAGES = sysconfig.get_paths()["purelib"]
SUPPORT = Path(support.__file__).parent
MEMORY = 1024 * 1024 * 1024


@pytest.fixture(scope="module")
async def spawn() -> ConfinedServers:
    sandbox = BubblewrapSandbox(Limits())
    state = await sandbox.look()
    assert not state.problem
    return ConfinedServers(
        [Path(PACKAGES), SUPPORT], Limits(timeout_s=60, memory=MEMORY), sandbox.look
    )


@pytest.fixture
async def servers(spawn: ConfinedServers) -> AsyncIterator[McpServers]:
    servers = McpServers(OutboundGuard(), McpLimits(connect_s=60, call_s=60), spawn)
    yield servers
    await servers.close()
    assert not servers._sessions


def _target(command: str, *args: str) -> McpTarget:
    environment = {"PYTHONPATH": PACKAGES}
    return McpTarget("x", "x", "stdio", command=command, args=args, environment=environment)


def _script(text: str) -> McpTarget:
    return _target("sh", "-c", text)


async def _nothing() -> None:
    pass


async def test_a_server_of_the_official_package_is_listed_and_called(servers: McpServers) -> None:
    target = _target("python3", str(SUPPORT / "mcp_server.py"), "stdio")
    assert "add" in [tool.name for tool in await servers.list_tools(target)]
    assert await servers.call(target, "add", {"a": 1, "b": 2}, _nothing) == (True, "3")
    with pytest.raises(McpFailed, match="its process ended") as raised:
        await servers.call(target, "crash", {}, _nothing)
    assert raised.value.answered is False


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (_script("echo no key >&2; exit 3"), "its process ended; its last words: no key"),
        (_script("yes"), "no message"),
        (_script("cat /dev/zero"), "more than it may"),
        (_script("yes >&2 & sleep 0.3; kill $!"), "its process ended"),
        (_script("cat /etc/shadow"), "No such file.*O_MCP_STDIO_FOLDERS"),
        (_target("python3", "/srv/elsewhere/server.py"), "No such file.*O_MCP_STDIO_FOLDERS"),
        (_target("python3", "-m", "no_such_server"), "No module named.*O_MCP_STDIO_FOLDERS"),
        (_script("echo '{not json'; exit"), "its process ended"),
        (_script(f"touch {SUPPORT}/left"), "Read-only"),
        (_target("no-such-command"), "not in the sandbox"),
        (_target("/root/secret"), "not in the sandbox"),
        (_target("../bin/sh"), "not in the sandbox"),
    ],
)
async def test_a_server_that_misbehaves_is_an_error_in_words(
    servers: McpServers, target: McpTarget, words: str
) -> None:
    with pytest.raises(McpFailed, match=words):
        await servers.list_tools(target)


async def test_a_server_that_says_nothing_is_ended(spawn: ConfinedServers) -> None:
    servers = McpServers(OutboundGuard(), McpLimits(connect_s=0.5), spawn)
    with pytest.raises(McpFailed, match=r"within 0\.5 s \(O_MCP_CONNECT_TIMEOUT_S\)"):
        await servers.list_tools(_script("trap '' TERM; sleep 60"))
    await servers.close()
    assert not servers._sessions


async def test_without_a_sandbox_nothing_is_started() -> None:
    async def look() -> SandboxState:
        return SandboxState("bubblewrap", "namespaces", problem="the kernel forbids namespaces")

    spawn: Any = ConfinedServers([], Limits(), look)
    with pytest.raises(McpFailed, match="the kernel forbids namespaces"):
        await McpServers(OutboundGuard(), spawn=spawn).list_tools(_script("id"))
