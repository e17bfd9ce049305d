"""A session with an MCP server: the only file that knows the `mcp` package.

The package costs a worker some 55 MB and seconds, so this is imported by whoever first asks a
server for something (`o.mcp.servers`). It is strict about what it reads; what servers really send
is mended first.
"""

import logging
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import anyio
import httpx2
import mcp_types as types
from mcp.client.session import ClientSession
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.dispatcher import CallOptions
from mcp.shared.exceptions import MCPError
from mcp.shared.jsonrpc_dispatcher import JSONRPCDispatcher
from mcp.shared.message import SessionMessage
from mcp.shared.transport_context import TransportContext
from pydantic import TypeAdapter

from o.domain.json_bounds import JsonOutOfBounds, check_json
from o.domain.mcp import McpTarget, McpTool
from o.errors import McpFailed
from o.mcp.content import text_of
from o.mcp.http import GuardedTransport, failure_of
from o.mcp.mending import mended_greeting, mended_list, tools_of
from o.mcp.stdio import Lines, Spawn
from o.outbound import OutboundGuard

_MOST_PAGES = 100
_MOST_TOOLS = 2_000
_NO_TIMEOUT = httpx2.Timeout(None)
_CLIENT = types.Implementation(name="o", version="0.1.0")
_EXPIRED = ("Session terminated", "Session not found")
_MISSES = re.compile("No such file|No module named|Cannot find module|[Cc]ommand not found")
_WHAT_IT_SEES = (
    " (in its sandbox it sees the system's programs, Python and the folders of O_MCP_STDIO_FOLDERS)"
)
_MADE_UP = (
    "Not Found",
    "Server returned an error response",
    "Session terminated",
    "Unexpected content type",
)
_RESULT = TypeAdapter(types.CallToolResult | types.InputRequiredResult)

# They log what servers send, and ours never do: neither content nor session ids.
for _name in ("mcp", "client", "httpx2", "httpcore2"):
    logging.getLogger(_name).setLevel(logging.CRITICAL + 1)


class _Mending(JSONRPCDispatcher[TransportContext]):
    """Mends answers before the package checks them, and keeps what a tool returned as it came."""

    returned: Mapping[str, Any] = {}

    async def send_raw_request(  # type: ignore[override]  # the other arguments are its own
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> dict[str, Any]:
        raw = await super().send_raw_request(method, params, opts)
        try:
            check_json(raw)
        except JsonOutOfBounds as error:
            raise McpFailed(f"what it answers cannot be read: {error}") from None
        match method:
            case "initialize":
                return mended_greeting(raw)
            case "tools/list":
                return mended_list(raw)
            case "tools/call" if raw.get("resultType", "complete") == "complete":
                self.returned = raw
                kept = {"resultType": "complete"} if "resultType" in raw else {}
                return {**kept, "content": [], "isError": raw.get("isError") is True}
            case _:
                return raw


class Session:
    """A server that has been greeted."""

    def __init__(self, session: ClientSession, dispatcher: _Mending) -> None:
        self._session = session
        self._dispatcher = dispatcher

    async def list_tools(self) -> list[McpTool]:
        """Every tool, page by page. A cursor that comes again ends the list.

        Raises:
            McpFailed: The server does not list them, or has too many.
        """
        found: dict[str, McpTool] = {}
        seen: set[str | None] = {None}
        cursor: str | None = None
        for _ in range(_MOST_PAGES):
            params = types.PaginatedRequestParams(cursor=cursor) if cursor else None
            page = await self._session.list_tools(params=params)
            for tool in tools_of(page.model_dump(by_alias=True, mode="json", exclude_none=True)):
                found.setdefault(tool.name, tool)
            if len(found) > _MOST_TOOLS:
                raise McpFailed(f"it has more than {_MOST_TOOLS} tools")
            cursor = page.next_cursor
            if cursor in seen:
                return list(found.values())
            seen.add(cursor)
        raise McpFailed("its list of tools does not end")

    async def call(self, name: str, arguments: Mapping[str, Any]) -> tuple[bool, str]:
        """Call a tool: whether it went well, and what it says.

        Raises:
            McpFailed: The server says no, with `answered`.
            MCPError: It did not come to an answer.
        """
        try:
            result = await self._call(name, arguments)
        except MCPError as error:
            if error.code != types.HEADER_MISMATCH:
                raise
            await self._session.list_tools()  # it wants arguments in headers, which the list says
            result = await self._call(name, arguments)
        if not isinstance(result, types.CallToolResult):
            raise McpFailed("it asks for something first, which is not supported", answered=True)
        raw = self._dispatcher.returned
        content = raw.get("content")
        found = content if isinstance(content, list) else []
        blocks = [one for one in found if isinstance(one, dict)]
        return not result.is_error, text_of(blocks, raw.get("structuredContent"))

    async def _call(self, name: str, arguments: Mapping[str, Any]) -> types.CallToolResult | Any:
        # Not `call_tool`: it lists all tools to check the result against a schema of the server's.
        params = types.CallToolRequestParams(name=name, arguments=dict(arguments))
        adapter: Any = _RESULT
        return await self._session.send_request(types.CallToolRequest(params=params), adapter)


@asynccontextmanager
async def session_with(
    target: McpTarget, transport: GuardedTransport, spawn: Spawn, *, most: int
) -> AsyncIterator[Session]:
    """Connect to a server and greet it. What goes wrong is raised as it comes (`said`).

    Servers of today are greeted with `initialize`; one that knows only the newest protocol, which
    has no greeting, says so.
    """
    async with AsyncExitStack() as stack:
        streams = await stack.enter_async_context(_streams(target, transport, spawn, most))
        dispatcher = _Mending(*streams)
        session = await stack.enter_async_context(
            ClientSession(dispatcher=dispatcher, client_info=_CLIENT)
        )
        try:
            await session.initialize()
        except MCPError as error:
            if error.code not in (types.UNSUPPORTED_PROTOCOL_VERSION, types.METHOD_NOT_FOUND):
                raise
            await session.discover()
        yield Session(session, dispatcher)


@asynccontextmanager
async def _streams(
    target: McpTarget, transport: GuardedTransport, spawn: Spawn, most: int
) -> AsyncIterator[Any]:
    if target.server_type == "stdio":
        async with _process_streams(target, spawn, transport, most) as streams:
            yield streams
        return

    def client(*_: Any, **__: Any) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(transport=transport, timeout=_NO_TIMEOUT, trust_env=False)

    if target.server_type == "sse":
        async with sse_client(target.url, httpx_client_factory=client) as streams:
            yield streams
        return
    async with (
        client() as http,
        streamable_http_client(target.url, http_client=http, max_sse_event_size=most) as streams,
    ):
        yield streams


@asynccontextmanager
async def _process_streams(
    target: McpTarget, spawn: Spawn, transport: GuardedTransport, most: int
) -> AsyncIterator[Any]:
    """The streams of a server that is a process. It ends with the session, whatever it does."""
    process = await spawn(target.command, target.args, target.environment)
    lines = Lines(process, most)
    to_us, from_server = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    to_server, from_us = anyio.create_memory_object_stream[SessionMessage](0)

    async def read() -> None:
        async with to_us:
            try:
                async for line in lines.read():
                    await to_us.send(_message(line))
                transport.problem = "its process ended" + _last(lines)
            except McpFailed as error:
                transport.problem = error.message

    async def write() -> None:
        async with from_us:
            async for message in from_us:
                text = message.message.model_dump_json(by_alias=True, exclude_unset=True)
                await lines.write(text.encode())

    try:
        async with anyio.create_task_group() as tasks, from_server, to_server:
            for work in (lines.drain_stderr, read, write):
                tasks.start_soon(work)
            try:
                yield from_server, to_server
            finally:
                tasks.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            await process.end()


def _message(line: bytes) -> SessionMessage | Exception:
    try:
        return SessionMessage(types.jsonrpc_message_adapter.validate_json(line, by_name=False))
    except ValueError as error:
        return error


def _last(lines: Lines) -> str:
    words = lines.last_words.strip()
    if not words:
        return ""
    seen = _WHAT_IT_SEES if _MISSES.search(words) else ""
    return f"; its last words: {words[-500:]}{seen}"


def said(error: BaseException, transport: GuardedTransport) -> McpFailed:
    """An exception of a session in words: what the server said, else what the transport met."""
    first = _first(error)
    if isinstance(first, McpFailed):
        return first
    if isinstance(first, MCPError) and not _is_ours(first) and not transport.refused:
        return McpFailed(f"it says: {first.message[:2_000]}", answered=True)
    if (failure := failure_of(transport)) is not None:
        return failure
    text = str(first)
    if text.startswith("Unexpected content type"):
        return McpFailed("what it answers is neither JSON nor a stream of events")
    if text.startswith("Unsupported protocol version"):
        return McpFailed("it speaks no version of MCP that is known here", answered=True)
    return McpFailed("what it answers cannot be read")


def is_expired(error: BaseException) -> bool:
    """Whether the server does not know the session any more: it did nothing of what was asked."""
    first = _first(error)
    return isinstance(first, MCPError) and first.message in _EXPIRED


def _is_ours(error: MCPError) -> bool:
    """Whether the package made up the error because no answer came or none could be read."""
    codes = (types.CONNECTION_CLOSED, types.PARSE_ERROR, types.REQUEST_TIMEOUT)
    return error.code in codes or error.message.startswith(_MADE_UP)


def _first(error: BaseException) -> BaseException:
    """The first real error of a group: task groups wrap them."""
    while isinstance(error, BaseExceptionGroup):
        inner = [
            one for one in error.exceptions if not isinstance(one, anyio.get_cancelled_exc_class())
        ]
        error = inner[0] if inner else error.exceptions[0]
    return error


def new_transport(
    target: McpTarget, guard: OutboundGuard, *, connect_s: float, most: int
) -> GuardedTransport:
    """What carries the requests of one session with a server."""
    return GuardedTransport(guard, target.headers, connect_s=connect_s, most=most)
