"""An MCP server that misbehaves, in the way that its path names."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

VERSION = "2025-06-18"
METADATA = "http://169.254.169.254/latest/meta-data"
CHALLENGE = {"WWW-Authenticate": 'Bearer resource_metadata="http://x/y"'}
ECHO = {"name": "echo", "description": "Echo", "inputSchema": {"type": "object"}}
BOMB = {
    "type": "object",
    "$defs": {f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 8} for n in range(12)},
    "properties": {"x": {"$ref": "#/$defs/d0"}},
}
ODD = [
    {"name": "null_schema", "inputSchema": None},
    {"name": "no_schema", "description": None},
    {"name": "no_type", "inputSchema": {"properties": {"a": {"type": "string"}}}},
    {"name": "text_schema", "inputSchema": "string"},
    {"name": "hints", "inputSchema": {}, "annotations": {"readOnlyHint": "yes", "title": 7}},
    {"name": "twice", "inputSchema": {}},
    {"name": "twice", "inputSchema": {}},
    {"name": "nul\0name", "inputSchema": {}},
    {"name": "", "inputSchema": {}},
    {"name": 7, "inputSchema": {}},
    "no tool at all",
    {"name": "bomb", "inputSchema": BOMB},
    {"name": "icons", "inputSchema": {}, "icons": "none", "execution": 3, "_meta": []},
]

NO_TOOLS: dict[str, dict[str, Any]] = {
    "empty": {"tools": []},
    "no_list": {"tools": ECHO},
    "no_tools_at_all": {},
    "no_names": {"tools": [{"name": ""}, "no tool at all"]},
}


class Hostile:
    """What it was asked: `asked` counts the tool calls that it took, by path."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.paths: Counter[str] = Counter()
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        way = request.match_info["way"]
        self.paths[f"{request.method} {request.path}"] += 1
        if request.method != "POST":
            return await self._aside(request, way)
        message = await request.json()
        method = message.get("method")
        if "id" not in message:
            return web.Response(status=500 if way == "notifications_fail" else 202)
        if method == "initialize":
            return await self._greet(request, way, message)
        if method == "tools/list":
            return await self._list(request, way, message)
        self.asked[way] += 1
        return await self._call(request, way, message)

    async def _aside(self, request: web.Request, way: str) -> web.StreamResponse:
        """The stream of events, and the farewell."""
        if way == "flood" and request.method == "GET":
            response = await _stream(request)
            note = {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}
            while True:
                await response.write(_event(note) * 100)
        if way == "farewell" and request.method == "DELETE":
            await asyncio.sleep(60)
        if way == "unauthorized":
            return web.Response(status=401, headers=CHALLENGE)
        return web.Response(status=404 if way == "no_get" else 405)

    async def _greet(  # noqa: C901, PLR0911  a table of misdeeds
        self, request: web.Request, way: str, message: dict[str, Any]
    ) -> web.StreamResponse:
        match way:
            case "silent":
                await asyncio.sleep(60)
            case "half":
                response = web.StreamResponse(headers={"Content-Type": "application/json"})
                response.content_length = 1000
                await response.prepare(request)
                await response.write(b'{"jsonrpc": "2.0", "id"')
                _cut(request)
                return response
            case "endless":
                response = await _stream(request)
                while True:
                    await response.write(b": ping\n\n")
                    await asyncio.sleep(0.01)
            case "html":
                return web.Response(text="<h1>Welcome</h1>", content_type="text/html")
            case "garbage":
                return web.Response(text="{not json", content_type="application/json")
            case "unauthorized":
                return web.Response(status=401, headers=CHALLENGE)
            case "plain_401":
                return web.Response(status=401)
            case "redirect":
                raise web.HTTPTemporaryRedirect(METADATA)
            case "redirect_within":
                raise web.HTTPTemporaryRedirect("/good")
            case "accepted":
                return web.Response(status=202)
            case "zipped":
                return web.Response(
                    body=b"\x1f\x8b" + bytes(20),
                    headers={"Content-Type": "application/json", "Content-Encoding": "gzip"},
                )
        version = "1999-01-01" if way == "version" else VERSION
        body = {"protocolVersion": version, "capabilities": None, "serverInfo": {"name": 3}}
        session = {} if way == "stateless" else {"Mcp-Session-Id": f"session-{self.asked[way]}"}
        return web.json_response(_result(message, body), headers=session)

    async def _list(  # noqa: PLR0911  a table of misdeeds
        self, request: web.Request, way: str, message: dict[str, Any]
    ) -> web.StreamResponse:
        cursor = (message.get("params") or {}).get("cursor")
        match way:
            case "pages":
                start = int(cursor or 0)
                tools = [{**ECHO, "name": f"tool_{n}"} for n in range(start, start + 40)]
                more = {"nextCursor": str(start + 40)} if start < 160 else {}
                return web.json_response(_result(message, {"tools": tools, **more}))
            case "cursor_loop":
                again = {"tools": [ECHO], "nextCursor": "again"}
                return web.json_response(_result(message, again))
            case "cursors":
                name = f"tool_{cursor or 0}"
                after = str(int(cursor or 0) + 1)
                page = {"tools": [{**ECHO, "name": name}], "nextCursor": after}
                return web.json_response(_result(message, page))
            case "too_many":
                tools = [{**ECHO, "name": f"tool_{n}"} for n in range(2_500)]
                return web.json_response(_result(message, {"tools": tools}))
            case "odd":
                return web.json_response(_result(message, {"tools": ODD}))
            case "empty" | "no_list" | "no_tools_at_all" | "no_names":
                return web.json_response(_result(message, NO_TOOLS[way]))
            case "deep":
                nested = '{"a":' * 150 + "1" + "}" * 150
                body = json.dumps(_result(message, {"tools": []})).replace("[]", f"[{nested}]")
                return web.Response(text=body, content_type="application/json")
            case "no_tools":
                error = {"code": -32601, "message": "Method not found"}
                return web.json_response({"jsonrpc": "2.0", "id": message["id"], "error": error})
        return web.json_response(_result(message, {"tools": [ECHO]}))

    async def _call(  # noqa: C901, PLR0911, PLR0912  a table of misdeeds
        self, request: web.Request, way: str, message: dict[str, Any]
    ) -> web.StreamResponse:
        match way:
            case "stalls":
                await asyncio.sleep(60)
            case "drops":
                _cut(request)
                return web.Response()
            case "expired" if self.asked[way] == 1:
                return web.Response(status=404, text="no such session")
            case "expired_json" if self.asked[way] == 1:
                error = {"code": -32600, "message": "Session not found"}
                body = {"jsonrpc": "2.0", "id": None, "error": error}
                return web.json_response(body, status=404)
            case "broken":
                return web.Response(status=502, text="Bad Gateway")
            case "forbidden":
                return web.Response(status=403)
            case "huge":
                big = {"content": [{"type": "text", "text": "x" * 12_000_000}]}
                return web.json_response(_result(message, big))
            case "large":
                big = {"content": [{"type": "text", "text": "x" * 5_000_000}]}
                return web.json_response(_result(message, big))
            case "other_ids":
                response = await _stream(request)
                for number in (99, "7", None, message["id"] + 1):
                    text = {"content": [{"type": "text", "text": "wrong"}]}
                    await response.write(_event({"jsonrpc": "2.0", "id": number, "result": text}))
                return response
            case "asks":
                response = await _stream(request)
                ask = {"jsonrpc": "2.0", "id": 1, "method": "sampling/createMessage", "params": {}}
                await response.write(_event(ask))
                await response.write(_event({**ask, "method": "roots/list", "id": 2}))
                await response.write(_event(_result(message, _said("fine"))))
                return response
            case "noise":
                response = await _stream(request)
                log = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": "x"}}
                await response.write(_event(log) * 300)
                await response.write(_event(_result(message, _said("fine"))))
                return response
            case "odd_content":
                content: list[Any] = [
                    None,
                    "text",
                    {"type": "text"},
                    {"type": "hologram", "data": 1},
                ]
                content += [{"type": "resource", "resource": {"uri": "a:b", "blob": "aGk="}}]
                content += [{"type": "resource_link", "uri": "a:c"}, {"type": "audio"}]
                return web.json_response(_result(message, {"content": content, "isError": "no"}))
            case "structured":
                found = {"content": [], "structuredContent": {"a": [1, 2]}, "isError": False}
                return web.json_response(_result(message, found))
            case "nothing":
                return web.json_response(_result(message, {}))
            case "error":
                error = {"code": -32602, "message": "unknown tool"}
                body = {"jsonrpc": "2.0", "id": message["id"], "error": error}
                return web.json_response(body)
        return web.json_response(_result(message, _said("fine")))


@asynccontextmanager
async def hostile_server() -> AsyncIterator[Hostile]:
    """The server on a free port of loopback."""
    hostile = Hostile()
    app = web.Application()
    app.router.add_route("*", "/{way}", hostile.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    hostile.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield hostile
    await runner.cleanup()


def _cut(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.close()


def _said(text: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": text}]}


def _result(message: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": message["id"], "result": result}


def _event(message: dict[str, Any]) -> bytes:
    return b"event: message\ndata: " + json.dumps(message).encode() + b"\n\n"


async def _stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    return response
