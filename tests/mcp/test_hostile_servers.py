"""MCP servers that misbehave: what comes of it is an error in words, and nobody waits for them."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator

import pytest

from o.domain.mcp import McpTarget
from o.errors import McpFailed
from o.mcp.schemas import parameters_of
from o.mcp.servers import McpBusy, McpLimits, McpServers
from o.outbound import OutboundGuard
from tests.mcp.hostile import Hostile, hostile_server

ODD_NAMES = [
    *("null_schema", "no_schema", "no_type", "text_schema", "hints", "twice"),
    *("nul\ufffdname", "bomb", "icons"),
]
LIMITS = McpLimits(connect_s=10.0, list_s=10.0, call_s=10.0, at_once=3)
HASTY = McpLimits(connect_s=0.5, list_s=1.5, call_s=0.5, at_once=3)


@pytest.fixture(scope="module")
async def hostile() -> AsyncIterator[Hostile]:
    async with hostile_server() as server:
        await McpServers(OutboundGuard(["127.0.0.1"])).list_tools(_target(server, "warm-up"))
        yield server


@pytest.fixture
async def servers() -> AsyncIterator[McpServers]:
    servers = McpServers(OutboundGuard(["127.0.0.1"]), LIMITS)
    yield servers
    await servers.close()
    assert not servers._sessions


@pytest.fixture
async def hasty() -> AsyncIterator[McpServers]:
    """Those that wait for nobody, for servers that never answer."""
    servers = McpServers(OutboundGuard(["127.0.0.1"]), HASTY)
    yield servers
    await servers.close()
    assert not servers._sessions


def _target(hostile: Hostile, way: str) -> McpTarget:
    return McpTarget(way, way, "streamable_http", url=f"{hostile.url}/{way}")


async def _listed(servers: McpServers, hostile: Hostile, way: str) -> list[str]:
    return [tool.name for tool in await servers.list_tools(_target(hostile, way))]


async def _called(servers: McpServers, hostile: Hostile, way: str) -> tuple[bool, str, int]:
    """How a call went, what came of it, and how often it may have been sent."""
    sent = 0

    async def before_sending() -> None:
        nonlocal sent
        sent += 1

    target = _target(hostile, way)
    well, text = await servers.call(target, "echo", {"a": 1}, before_sending)
    return well, text, sent


@pytest.mark.parametrize(
    ("way", "words"),
    [
        ("half", "broke off"),
        ("html", "neither JSON"),
        ("garbage", "cannot be read"),
        ("unauthorized", "401"),
        ("redirect", "redirects"),
        ("accepted", "202"),
        ("zipped", "compresses"),
        ("version", "no version of MCP"),
        ("cursors", "does not end"),
        ("too_many", "more than 2000 tools"),
        ("deep", "nested deeper|cannot be read"),
        ("no_tools", "Method not found"),
        ("no_list", "no list of tools"),
        ("no_tools_at_all", "no list of tools"),
        ("no_names", "no list of tools"),
    ],
)
async def test_a_server_that_cannot_be_listed_is_an_error_in_words(
    servers: McpServers, hostile: Hostile, way: str, words: str
) -> None:
    with pytest.raises(McpFailed, match=words):
        await _listed(servers, hostile, way)


@pytest.mark.parametrize("way", ["silent", "endless"])
async def test_nobody_waits_for_a_server_that_never_answers(
    hasty: McpServers, hostile: Hostile, way: str
) -> None:
    with pytest.raises(McpFailed, match=r"within 0\.5 s \(O_MCP_CONNECT_TIMEOUT_S\)"):
        await _listed(hasty, hostile, way)


@pytest.mark.parametrize(
    ("way", "names"),
    [
        ("good", ["echo"]),
        ("stateless", ["echo"]),
        ("no_get", ["echo"]),
        ("notifications_fail", ["echo"]),
        ("redirect_within", ["echo"]),
        ("cursor_loop", ["echo"]),
        ("flood", ["echo"]),
        ("empty", []),
        ("farewell", ["echo"]),
        ("pages", [f"tool_{n}" for n in range(200)]),
        (
            "odd",
            ODD_NAMES,
        ),
    ],
)
async def test_what_can_be_listed_is(
    servers: McpServers, hostile: Hostile, way: str, names: list[str]
) -> None:
    assert await _listed(servers, hostile, way) == names


@pytest.mark.parametrize(
    ("way", "well", "text"),
    [
        ("good", True, "fine"),
        ("asks", True, "fine"),
        ("noise", True, "fine"),
        ("expired", True, "fine"),
        ("expired_json", True, "fine"),
        ("structured", True, '{"a": [1, 2]}'),
        ("nothing", True, ""),
        ("other_ids", True, "wrong"),
        (
            "odd_content",
            True,
            '{"type": "hologram", "data": 1}\n[resource: a:b of no type, 3 bytes, not shown]\n'
            "[link to a resource: a:c]\n[audio: of no type, 0 bytes, not shown]",
        ),
    ],
)
async def test_what_a_tool_returns_is_read(
    servers: McpServers, hostile: Hostile, way: str, well: bool, text: str
) -> None:
    assert await _called(servers, hostile, way) == (well, text, 1)


async def test_a_large_result_is_cut(servers: McpServers, hostile: Hostile) -> None:
    _, text, _ = await _called(servers, hostile, "large")
    assert len(text) < 1_000_200
    assert "it had 5000000 characters" in text[1_000_000:]


@pytest.mark.parametrize(
    ("way", "words", "answered"),
    [
        ("drops", "closed the connection", False),
        ("broken", "answered 502", False),
        ("forbidden", "403", True),
        ("huge", "more than 8388608 bytes", False),
        ("error", "unknown tool", True),
    ],
)
async def test_whether_a_call_may_have_run_is_known(
    servers: McpServers, hostile: Hostile, way: str, words: str, answered: bool
) -> None:
    with pytest.raises(McpFailed, match=words) as raised:
        await _called(servers, hostile, way)
    assert raised.value.answered is answered


async def test_what_forbids_a_call_is_not_taken_for_an_error_of_the_server(
    servers: McpServers, hostile: Hostile
) -> None:
    async def before_sending() -> None:
        raise LookupError("somebody else has begun it")

    with pytest.raises(LookupError, match="begun"):
        await servers.call(_target(hostile, "forbidden_here"), "echo", {}, before_sending)
    assert not hostile.asked["forbidden_here"]


async def test_a_server_that_stalls_keeps_nobody_else_waiting(
    hasty: McpServers, servers: McpServers, hostile: Hostile
) -> None:
    already = hostile.asked["stalls"]
    stalled = [asyncio.create_task(_called(servers, hostile, "stalls")) for _ in range(3)]
    await _until_asked(hostile, "stalls", already + 3)
    with pytest.raises(McpBusy):
        await _called(servers, hostile, "stalls")
    assert await _called(servers, hostile, "good") == (True, "fine", 1)
    assert not any(task.done() for task in stalled)
    for task in stalled:
        task.cancel()
    with pytest.raises(McpFailed, match=r"within 0\.5 s \(O_MCP_CALL_TIMEOUT_S\)") as raised:
        await _called(hasty, hostile, "stalls")
    assert raised.value.answered is False


async def test_a_cancelled_call_ends_at_once(hostile: Hostile) -> None:
    servers = McpServers(OutboundGuard(["127.0.0.1"]))
    already = hostile.asked["stalls"]
    call = asyncio.create_task(_called(servers, hostile, "stalls"))
    await _until_asked(hostile, "stalls", already + 1)
    began = time.monotonic()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert time.monotonic() - began < 0.2
    await servers.close()
    assert not servers._sessions


async def test_an_address_that_is_not_public_is_refused(hostile: Hostile) -> None:
    servers = McpServers(OutboundGuard())
    for url in (hostile.url, "http://169.254.169.254/mcp", "http://[::1]:1/", "http://10.0.0.1/"):
        for kind in ("streamable_http", "sse"):
            with pytest.raises(McpFailed, match="not public"):
                await servers.list_tools(McpTarget("x", "x", kind, url=f"{url}/good"))


async def test_a_redirect_is_judged_anew(hostile: Hostile) -> None:
    names = OutboundGuard(["127.0.0.1:" + hostile.url.rpartition(":")[2]])
    with pytest.raises(McpFailed, match="redirects"):
        await McpServers(names).list_tools(_target(hostile, "redirect"))


async def test_stdio_is_off(servers: McpServers) -> None:
    with pytest.raises(McpFailed, match="O_MCP_STDIO=1"):
        await servers.list_tools(McpTarget("x", "x", "stdio", command="/bin/sh"))


async def test_nothing_of_what_servers_send_is_logged(
    servers: McpServers, hostile: Hostile, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        for way in ("good", "garbage", "half"):
            with pytest.raises(McpFailed) if way != "good" else _nothing():
                await _listed(servers, hostile, way)
    logged = [
        one for one in caplog.records if one.name.split(".")[0] in ("mcp", "client", "httpx2")
    ]
    assert not logged


async def test_schemas_that_multiply_become_an_object_of_anything(
    servers: McpServers, hostile: Hostile
) -> None:
    found = await servers.list_tools(_target(hostile, "odd"))
    bomb = next(tool for tool in found if tool.name == "bomb")
    assert parameters_of(bomb.input_schema).schema == {"type": "object", "properties": {}}


async def _until_asked(hostile: Hostile, way: str, times: int) -> None:
    async with asyncio.timeout(5):
        while hostile.asked[way] < times:
            await asyncio.sleep(0.005)


class _nothing:  # noqa: N801
    def __enter__(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...
